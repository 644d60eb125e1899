"""Azure Key Vault keys: RSA and EC, named by vault and name; every rotation is a version with a key id of its own."""
