"""The call log: who asked for what, with which key, and how it ended. Lengths only, never a plaintext or a ciphertext.

In memory and of this process: a test reads back what it caused.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

CALLS_KEPT_MAX = 100_000
"""LIMIT: calls in memory, some 30 MB; older ones are dropped and counted."""


@dataclass(slots=True)
class CallRecord:
    """One call, as the cloud names things. Nobody changes one that is in the log.

    Attributes:
        caller: ARN of a known caller; empty for others.
        access_key_id: as sent, also of callers who are not known.
        address: the source address.
        fault: number of the fault that the call met; 0 for none.
        number: given by the log.
    """

    time_ns: int
    provider: str
    operation: str
    key: str
    key_version: str
    outcome: str
    plaintext_bytes: int
    ciphertext_bytes: int
    caller: str = ""
    access_key_id: str = ""
    address: str = ""
    fault: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class CallFilter:
    """What to list; an empty field takes all."""

    provider: str = ""
    operation: str = ""
    key: str = ""
    outcome: str = ""
    caller: str = ""
    after_number: int = 0

    def takes(self, call: CallRecord) -> bool:
        """Tell whether the call is wanted.

        `key` may be a part of the key's name; `caller` is an access key id or a part of the ARN.
        """
        return (
            call.number > self.after_number
            and self.provider in ("", call.provider)
            and self.operation in ("", call.operation)
            and self.outcome in ("", call.outcome)
            and self.key in call.key
            and (self.caller in call.caller or self.caller == call.access_key_id)
        )


class CallLog:
    """The newest `CALLS_KEPT_MAX` calls, in order, and counts of all.

    Attributes:
        counts: calls by provider, operation and outcome.
        faults: calls that met a fault, by provider.
    """

    def __init__(self) -> None:
        self._calls: deque[CallRecord] = deque(maxlen=CALLS_KEPT_MAX)
        self.total = 0
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.faults: Counter[str] = Counter()

    @property
    def dropped(self) -> int:
        return self.total - len(self._calls)

    def add(self, call: CallRecord) -> None:
        """Append a call and number it."""
        self.total += 1
        self.counts[call.provider, call.operation, call.outcome] += 1
        if call.fault:
            self.faults[call.provider] += 1
        call.number = self.total
        self._calls.append(call)

    def select(self, wanted: CallFilter) -> Iterator[CallRecord]:
        """Yield the wanted calls, oldest first."""
        return (call for call in self._calls if wanted.takes(call))

    def clear(self) -> None:
        """Forget everything; numbers start at 1 again."""
        self._calls.clear()
        self.counts.clear()
        self.faults.clear()
        self.total = 0
