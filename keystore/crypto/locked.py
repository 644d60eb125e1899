"""Memory for keys: kept out of swap and core dumps where the system allows, and wiped when given back.

Keys are small, and a page of memory is the least that can be locked. So pages are cut into pieces of one size each.

Invariants:
1. A piece belongs to one owner at a time, until the last view of it is gone. Then it is zeros again, whoever forgot to
   wipe it.
2. What the system refuses (no `mlock`, or over RLIMIT_MEMLOCK) changes nothing but `status`.

Leaves to others: when a key is wiped (`keystore.crypto.secret`).
"""

import contextlib
import ctypes
import mmap
import os
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

PIECE_BYTES_MIN = 32
CHUNK_BYTES = 4 * mmap.PAGESIZE
"""LIMIT: bytes taken and locked at once; holds some 500 keys of 32 bytes. RLIMIT_MEMLOCK may be as low as 64 KiB."""


@dataclass(frozen=True)
class MemoryStatus:
    """Bytes of memory for keys.

    Attributes:
        locked: of them, never swapped out.
        undumped: of them, in no core dump.
    """

    size: int
    locked: int
    undumped: int


class SecretMemory:
    """Gives out pieces of memory of its own. Threads may share it; a forked child has a copy of it all."""

    def __init__(self) -> None:
        self._free: dict[int, deque[tuple[mmap.mmap, int]]] = {}
        self._lock = threading.Lock()
        self._size = self._locked = self._undumped = 0
        os.register_at_fork(after_in_child=self._after_fork_in_child)

    def take(self, length: int) -> memoryview:
        """Return `length` bytes of zeros; they are given back when the last view of them is gone."""
        size = max(PIECE_BYTES_MIN, 1 << max(0, length - 1).bit_length())
        try:
            free = self._free[size]
            chunk, offset = free.pop()
        except (KeyError, IndexError):
            free, chunk, offset = self._grow(size)
        piece = _piece_type(size).from_buffer(chunk, offset)
        piece.home = free, (chunk, offset)
        return memoryview(piece).cast("B")[:length]

    def status(self) -> MemoryStatus:
        """Tell how much there is, and what the system allowed."""
        return MemoryStatus(self._size, self._locked, self._undumped)

    def _grow(self, size: int) -> tuple[deque[tuple[mmap.mmap, int]], mmap.mmap, int]:
        with self._lock:
            free = self._free.setdefault(size, deque())
            length = max(CHUNK_BYTES, size)
            chunk = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self._size += length
            self._undumped += length * keep_out_of_dumps(chunk)
            self._locked += length * _lock_in_memory(chunk)
            free.extend((chunk, offset) for offset in range(size, length, size))
            return free, chunk, 0

    def _after_fork_in_child(self) -> None:
        # Another thread may have held the lock at the fork. Locks on memory are not inherited.
        self._lock = threading.Lock()
        self._locked = 0


def keep_out_of_dumps(memory: mmap.mmap) -> bool:
    """Leave `memory` out of core dumps (MADV_DONTDUMP); return whether the system does it."""
    with contextlib.suppress(OSError, AttributeError):
        memory.madvise(mmap.MADV_DONTDUMP)
        return True
    return False


def fill_with_random(view: memoryview) -> None:
    """Fill `view` with bytes of the operating system's generator, without a copy where the C library can."""
    target = (ctypes.c_ubyte * len(view)).from_buffer(view)
    if _GETRANDOM is None or _GETRANDOM(target, ctypes.c_size_t(len(view)), 0) != len(view):
        view[:] = os.urandom(len(view))


def _lock_in_memory(memory: mmap.mmap) -> bool:
    if _MLOCK is None:
        return False
    address = ctypes.addressof(ctypes.c_ubyte.from_buffer(memory))
    return bool(_MLOCK(ctypes.c_void_p(address), ctypes.c_size_t(len(memory))) == 0)


def _piece_type(size: int) -> Any:
    known = _PIECES.get(size)
    if known is None:
        known = _PIECES.setdefault(size, type(f"Piece{size}", (ctypes.c_ubyte * size,), {"__del__": _give_back}))
    return known


def _give_back(piece: Any, memset: Any = ctypes.memset, sizeof: Any = ctypes.sizeof) -> None:
    # Runs wherever the last view goes, inside a garbage collection too: so it takes no lock.
    memset(piece, 0, sizeof(piece))
    free, place = piece.home
    free.append(place)


def _function(name: str) -> Any:
    try:
        return getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None


_PIECES: Final[dict[int, Any]] = {}
_MLOCK: Final = _function("mlock")
_GETRANDOM: Final = _function("getrandom")
MEMORY: Final = SecretMemory()
"""The memory of all keys of this process."""
