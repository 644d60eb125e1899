"""The call log: who asked for what, with which key, and how it ended. Lengths only, never a plaintext or a ciphertext.

In memory and of this process: a test reads back what it caused.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

CALLS_KEPT_MAX = 100_000
"""LIMIT: calls in memory, some 30 MB; older ones are dropped and counted."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, as the cloud names things. `number` is given by the log."""

    time_ns: int
    provider: str
    operation: str
    key: str
    key_version: str
    outcome: str
    plaintext_bytes: int
    ciphertext_bytes: int
    number: int = 0


@dataclass(frozen=True, slots=True)
class CallFilter:
    """What to list; an empty field takes all."""

    provider: str = ""
    operation: str = ""
    key: str = ""
    outcome: str = ""
    after_number: int = 0

    def takes(self, call: CallRecord) -> bool:
        """Tell whether the call is wanted; `key` may be a part of the key's name."""
        return (
            call.number > self.after_number
            and self.provider in ("", call.provider)
            and self.operation in ("", call.operation)
            and self.outcome in ("", call.outcome)
            and self.key in call.key
        )


class CallLog:
    """The newest `CALLS_KEPT_MAX` calls, in order."""

    def __init__(self) -> None:
        self._calls: deque[CallRecord] = deque(maxlen=CALLS_KEPT_MAX)
        self.total = 0

    @property
    def dropped(self) -> int:
        return self.total - len(self._calls)

    def add(self, call: CallRecord) -> None:
        """Append a call and number it."""
        self.total += 1
        self._calls.append(replace(call, number=self.total))

    def select(self, wanted: CallFilter) -> Iterator[CallRecord]:
        """Yield the wanted calls, oldest first."""
        return (call for call in self._calls if wanted.takes(call))

    def clear(self) -> None:
        """Forget everything; numbers start at 1 again."""
        self._calls.clear()
        self.total = 0
