"""Reads NIST CAVP response files for AES-GCM from the package `cryptography-vectors`."""

from collections.abc import Iterator
from dataclasses import dataclass

import cryptography_vectors


@dataclass(frozen=True)
class GcmCase:
    """One case; `plaintext` is None where the vector says that the tag must be refused."""

    key: bytes
    nonce: bytes
    aad: bytes
    ciphertext: bytes
    tag: bytes
    plaintext: bytes | None


def gcm_cases(file: str) -> list[GcmCase]:
    """Return every case of `file` with a 96-bit nonce and a 128-bit tag."""
    return [case for case in _cases(file) if len(case.nonce) == 12 and len(case.tag) == 16]


def _cases(file: str) -> Iterator[GcmCase]:
    with cryptography_vectors.open_vector_file(f"ciphers/AES/GCM/{file}", "r") as lines:
        text = lines.read()
    for paragraph in text.replace("\r", "").split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in paragraph.splitlines() if "[" not in line)
        fields = {name.strip(): value.strip() for name, value in fields.items()}
        if "Key" in fields:
            key, nonce, aad, ct, tag = (bytes.fromhex(fields[name]) for name in ("Key", "IV", "AAD", "CT", "Tag"))
            plaintext = None if "FAIL" in fields else bytes.fromhex(fields["PT"])
            yield GcmCase(key, nonce, aad, ct, tag, plaintext)
