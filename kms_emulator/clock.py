"""The virtual clock: the host's time plus an offset, or a time that stands still. Tests move it by months in a call."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """How far the clock is from the host's, or where it stands."""

    offset_ns: int = 0
    frozen_ns: int | None = None

    def encode(self) -> str:
        """Return the setting as text for the store."""
        return f"{self.offset_ns} {'' if self.frozen_ns is None else self.frozen_ns}"

    @classmethod
    def decode(cls, text: str) -> "ClockSetting":
        """Return the setting of a text; ValueError if it is not one."""
        offset, _, frozen = text.partition(" ")
        return cls(int(offset), int(frozen) if frozen else None)


class VirtualClock:
    """Tells nanoseconds since 1970; `host_ns` is the only source of real time in the emulator."""

    def __init__(self, host_ns: Callable[[], int], setting: ClockSetting | None = None) -> None:
        self._host_ns = host_ns
        self.setting = setting or ClockSetting()

    def now_ns(self) -> int:
        """Return the virtual time."""
        frozen = self.setting.frozen_ns
        return self._host_ns() + self.setting.offset_ns if frozen is None else frozen

    def host_ns(self) -> int:
        """Return the host's time."""
        return self._host_ns()

    def advance(self, by_ns: int) -> ClockSetting:
        """Return the setting that lies `by_ns` further on; ValueError if negative."""
        if by_ns < 0:
            raise ValueError("time is advanced by zero or more; to set it back, set it")
        frozen = self.setting.frozen_ns
        return ClockSetting(self.setting.offset_ns + by_ns, None if frozen is None else frozen + by_ns)

    def at(self, now_ns: int, *, frozen: bool) -> ClockSetting:
        """Return the setting under which it is `now_ns` now."""
        return ClockSetting(now_ns - self._host_ns(), now_ns if frozen else None)
