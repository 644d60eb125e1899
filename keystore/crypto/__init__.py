"""The only importers of an AEAD: page kernel, derivation, key wrap, secrets."""
