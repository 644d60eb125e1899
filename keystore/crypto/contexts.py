"""Expanded keys, kept as long as they are likely to be used again."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from keystore.crypto.protocols import KEY_BYTES
from keystore.crypto.secret import SecretKey

CONTEXTS_MAX: Final = 64
"""LIMIT: AEAD contexts kept. Making one costs about as much as sealing 4 KiB; a store uses two for each session."""

Context = TypeVar("Context")


class AeadContexts(Generic[Context]):
    """The last `CONTEXTS_MAX` AEAD contexts, by identity of their key object. Threads may share it."""

    def __init__(self, make: Callable[[memoryview], Context]) -> None:
        """`make` expands the 32 bytes of a key."""
        self._make = make
        self._lock = threading.Lock()
        # The key object is kept alive beside its context: so its id cannot come to mean another key.
        self._contexts: OrderedDict[int, tuple[SecretKey, Context]] = OrderedDict()
        # What `get` returned last, and before that: most calls ask for the two keys of one session in turns.
        self._last: tuple[SecretKey, Context] | None = None
        self._former: tuple[SecretKey, Context] | None = None
        os.register_at_fork(after_in_child=self._start_again)

    def get(self, key: SecretKey) -> Context:
        """Return the context of `key`, made now if it is not there.

        Raises:
            ValueError: the key was wiped, or has not 32 bytes.
        """
        last = self._last
        if last is not None and last[0] is key and not key.wiped:
            return last[1]
        former = self._former
        if former is not None and former[0] is key and not key.wiped:
            return former[1]
        with self._lock:
            self._former, self._last = self._last, None
            if key.wiped:
                self._contexts.pop(id(key), None)
            elif (known := self._contexts.get(id(key))) is not None:
                self._contexts.move_to_end(id(key))
                self._last = known
                return known[1]
            if len(key) != KEY_BYTES:
                raise ValueError(f"the key has {len(key)} bytes; AES-256-GCM takes {KEY_BYTES}")
            context = self._make(key.view())
            key.check()
            self._contexts[id(key)] = self._last = (key, context)
            if len(self._contexts) > CONTEXTS_MAX:
                self._contexts.popitem(last=False)
            return context

    def forget(self, key: SecretKey) -> None:
        with self._lock:
            self._last = self._former = None
            self._contexts.pop(id(key), None)

    def __len__(self) -> int:
        return len(self._contexts)

    def _start_again(self) -> None:
        # Another thread may have held the lock at the fork; its copy in the child would stay locked for ever.
        self._lock = threading.Lock()
        self._contexts, self._last, self._former = OrderedDict(), None, None
