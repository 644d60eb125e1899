"""A file of this process alone, for journals and temporary files: in memory, and sealed where that is too little.

What does not fit goes to a file without a name, under a key that nobody but this object ever has. Nobody finds it after
a crash, and nobody misses it: a journal is for rollbacks of its own process only (`main_file`).

Invariant: what is on the disk is sealed, under a nonce that is used once, for its place in this file.
"""

import errno
import os
import tempfile
from collections import OrderedDict
from typing import IO, Final

import apsw

from keystore.crypto.kernel import NONCE_BYTES, TAG_BYTES, TagMismatchError, open_block, seal_block
from keystore.crypto.secret import SecretKey

BLOCK_BYTES: Final = 64 << 10
BLOCKS_MAX: Final = 16
"""LIMIT: blocks of one such file in memory, those used last; 1 MiB."""


class Scratch:
    """What apsw needs of a file. One thread at a time, as SQLite uses it."""

    def __init__(self) -> None:
        self._size = 0
        self._blocks: OrderedDict[int, bytearray] = OrderedDict()
        self._changed: set[int] = set()
        self._sealed: dict[int, tuple[bytes, bytes]] = {}
        """Nonce and tag of each block that is in the file."""
        self._file: IO[bytes] | None = None
        self._key: SecretKey | None = None
        self._seals = 0

    # -- content ------------------------------------------------------------------------------------------------------

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        """Return what there is of `amount` bytes at `offset`."""
        end = min(offset + amount, self._size)
        number, at = divmod(offset, BLOCK_BYTES)
        if at + end - offset <= BLOCK_BYTES:
            return bytes(memoryview(self._block(number))[at : at + max(0, end - offset)])
        parts = []
        while offset < end:
            number, at = divmod(offset, BLOCK_BYTES)
            parts.append(bytes(memoryview(self._block(number))[at : at + end - offset]))
            offset += len(parts[-1])
        return b"".join(parts)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        """Write all of `data`; the file grows, zeros before it where there was nothing."""
        self._size = max(self._size, offset + len(data))
        done = 0
        while done < len(data):
            number, at = divmod(offset + done, BLOCK_BYTES)
            part = data if not at + len(data) > BLOCK_BYTES and not done else data[done : done + BLOCK_BYTES - at]
            block = self._block(number, writing=True)
            self._changed.add(number)  # first: a signal between the two must not lose what was written
            block[at : at + len(part)] = part
            done += len(part)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        """Cut, or grow with zeros."""
        number, at = divmod(size, BLOCK_BYTES)
        for gone in [n for n in {*self._blocks, *self._sealed} if n > number or (n == number and not at)]:
            self._blocks.pop(gone, None)
            self._sealed.pop(gone, None)
            self._changed.discard(gone)
        if at and (number in self._blocks or number in self._sealed):
            block = self._block(number, writing=True)
            self._changed.add(number)
            block[at:] = bytes(BLOCK_BYTES - at)
        self._size = size

    def xFileSize(self) -> int:  # noqa: N802
        return self._size

    def xClose(self) -> None:  # noqa: N802
        """Forget all of it."""
        for block in self._blocks.values():
            block[:] = bytes(len(block))
        self._blocks.clear()
        if self._key is not None:
            self._key.wipe()
        if self._file is not None:
            self._file.close()

    # -- what a private file has no use for ---------------------------------------------------------------------------

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Nothing: it need not outlive the process."""

    def xLock(self, level: int) -> None:  # noqa: N802
        """Nothing: nobody else has it."""

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """Nothing."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, operation: int, pointer: int) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return 512

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return int(apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE | apsw.SQLITE_IOCAP_SAFE_APPEND | apsw.SQLITE_IOCAP_SEQUENTIAL)

    # -- private ------------------------------------------------------------------------------------------------------

    def _block(self, number: int, *, writing: bool = False) -> bytearray:
        block = self._blocks.get(number)
        if block is not None:
            self._blocks.move_to_end(number)
        if block is None or (writing and len(self._blocks) > BLOCKS_MAX):
            self._make_room(BLOCKS_MAX - (block is None), writing=writing)
        if block is None:
            block = self._unsealed(number) if number in self._sealed else bytearray(BLOCK_BYTES)
            self._blocks[number] = block
        return block

    def _make_room(self, count: int, *, writing: bool) -> None:
        """Keep at most `count` blocks, the newest; one more for who reads, as a rollback must not need a disk."""
        while len(self._blocks) > count:
            among = self._blocks if writing else (number for number in self._blocks if number not in self._changed)
            number = next(iter(among), None)
            if number is None:
                return
            self._spill(number)

    def _spill(self, number: int) -> None:
        """Take a block out of memory, once it is in the file: after an error it is where it was."""
        block = self._blocks[number]
        if number in self._changed:
            # SAFETY: the key is this object's alone, and the count only rises.
            nonce = self._seals.to_bytes(NONCE_BYTES, "little")
            self._seals += 1
            file, key = self._opened()
            sealed = seal_block(key, nonce, block, _aad(number))
            _write(file.fileno(), sealed[:-TAG_BYTES], number * BLOCK_BYTES)
            self._sealed[number] = nonce, sealed[-TAG_BYTES:]
            self._changed.discard(number)
        del self._blocks[number]
        block[:] = bytes(len(block))

    def _opened(self) -> tuple[IO[bytes], SecretKey]:
        if self._file is None or self._key is None:
            try:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            except OSError as error:
                raise _refusal(error, "made") from error
            self._key = SecretKey.generate()
        return self._file, self._key

    def _unsealed(self, number: int) -> bytearray:
        assert self._file is not None
        assert self._key is not None
        nonce, tag = self._sealed[number]
        try:
            ciphertext = os.pread(self._file.fileno(), BLOCK_BYTES, number * BLOCK_BYTES)
            return open_block(self._key, nonce, ciphertext, tag, _aad(number))
        except TagMismatchError:
            text = "a temporary file of this process was changed or cut; the transaction is rolled back. Try again"
            raise apsw.IOError(text) from None
        except OSError as error:
            raise _refusal(error, "read") from error


def _aad(number: int) -> bytes:
    return b"scratch 1" + number.to_bytes(8, "little")


def _write(fd: int, data: bytes, offset: int) -> None:
    try:
        while data:
            written = os.pwrite(fd, data, offset)
            data, offset = data[written:], offset + written
    except OSError as error:
        raise _refusal(error, "written") from error


def _refusal(error: OSError, what: str) -> apsw.Error:
    """Return what to raise where the system refused."""
    kind = apsw.FullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else apsw.IOError
    return kind(
        f"a temporary file of this transaction could not be {what}: {error.strerror}. Roll back, make space "
        "where TMPDIR says, then try again"
    )
