"""Encrypts a file in place and at any offset: AES-256-XTS (IEEE 1619, NIST SP 800-38E) over sectors of 4 KiB.

The number of the sector is the tweak. Inside a sector each block of 16 bytes depends on its place and on nothing beside
it, so a piece of a sector is encrypted without the rest of it.

Invariants:
1. A block of 16 zero bytes stands for 16 zero bytes: what the system gave as zeros when a file grew reads as zeros.
   A block that happens to encrypt to zeros (2^-128 each) would be lost, and is found by whoever checks the content.
2. Nothing here is authenticated: a changed block opens to noise. Whatever lies in the file has to notice.

SAFETY: a key serves one file. The same block in the same place of it always has the same ciphertext.
"""

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import XTS

from keystore.crypto.secret import SecretKey

SECTOR_BYTES = 4096
BLOCK_BYTES = 16
SECTOR_KEY_BYTES = 64
"""Two keys of AES-256."""

Buffer = bytes | bytearray | memoryview


class SectorCipher:
    """Encrypts and decrypts pieces of one file; owns `key` (64 bytes) and wipes it."""

    def __init__(self, key: SecretKey) -> None:
        if len(key) != SECTOR_KEY_BYTES:
            raise ValueError(f"the key has {len(key)} bytes; AES-256-XTS takes {SECTOR_KEY_BYTES}")
        self._key = key

    def encrypt(self, offset: int, data: Buffer) -> bytes:
        """Return the ciphertext of `data` at `offset` of the file; both are multiples of 16.

        Raises:
            ValueError: they are not, or the key was wiped.
        """
        return self._run(offset, data, decrypt=False)

    def decrypt(self, offset: int, data: Buffer) -> bytes:
        """Return what `encrypt` was given, and zeros for blocks that nobody wrote."""
        out = self._run(offset, data, decrypt=True)
        if not out:
            return out
        unwritten = ~np.frombuffer(data, dtype="<u8").reshape(-1, 2).any(axis=1)
        if not unwritten.any():
            return out
        blocks = np.frombuffer(out, dtype="<u8").reshape(-1, 2).copy()
        blocks[unwritten] = 0
        return blocks.tobytes()

    def wipe(self) -> None:
        """Wipe the key; may be called twice."""
        self._key.wipe()

    def _run(self, offset: int, data: Buffer, *, decrypt: bool) -> bytes:
        view = memoryview(data).cast("B")
        if offset % BLOCK_BYTES or len(view) % BLOCK_BYTES:
            raise ValueError(f"{len(view)} bytes at {offset}; both are multiples of {BLOCK_BYTES}")
        algorithm = AES(self._key.view())
        parts, done = [], 0
        while done < len(view):
            sector, within = divmod(offset + done, SECTOR_BYTES)
            piece = view[done : done + SECTOR_BYTES - within]
            cipher = Cipher(algorithm, XTS(sector.to_bytes(16, "little")))
            context = cipher.decryptor() if decrypt else cipher.encryptor()
            # What stands before the piece only moves the cipher on to its place.
            parts.append(context.update(bytes(within) + piece)[within:] if within else context.update(piece))
            done += len(piece)
        self._key.check()
        return b"".join(parts)
