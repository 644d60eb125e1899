"""What one running emulator consists of, without any wire: registry, identities, clock, call log, and their store."""

import time
from collections.abc import Callable

from kms_emulator.calls import CallLog
from kms_emulator.clock import ClockSetting, VirtualClock
from kms_emulator.model.faults import FaultPlan
from kms_emulator.model.identities import Identities
from kms_emulator.model.registry import Registry
from kms_emulator.model.store import MemoryStore, Store

_CLOCK_SETTING = "clock"


class Core:
    """Registry, identities, clock and call log over one store.

    `strict_auth` refuses callers whose access key is not known; a reset does not change it.
    """

    def __init__(self, store: Store | None = None, host_ns: Callable[[], int] = time.time_ns) -> None:
        self._store: Store = store or MemoryStore()
        state = self._store.load()
        saved = state.settings.get(_CLOCK_SETTING)
        self.clock = VirtualClock(host_ns, ClockSetting.decode(saved) if saved else None)
        self.registry = Registry(self._store, state)
        self.identities = Identities(self._store, state.identities, state.credentials)
        self.strict_auth = False
        self.calls = CallLog()
        self.faults = FaultPlan()

    def now_ns(self) -> int:
        """Return the virtual time, with everything done that was due by then."""
        now_ns = self.clock.now_ns()
        self.registry.elapse(now_ns)
        return now_ns

    def set_clock(self, setting: ClockSetting) -> int:
        """Move the clock, durably; return the new time, with everything done that was due by then."""
        self._store.put_setting(_CLOCK_SETTING, setting.encode())
        self.clock.setting = setting
        return self.now_ns()

    def reset(self) -> None:
        """Forget everything: keys, names, identities, calls, faults, and the clock's setting."""
        self.registry.clear()
        self.identities.clear()
        self.calls.clear()
        self.faults.clear()
        self.clock.setting = ClockSetting()
