"""What one running emulator consists of, without any wire: registry, identities, clock, call log, and their store."""

import secrets
import time
from collections.abc import Callable

from kms_emulator.calls import CallLog
from kms_emulator.clock import ClockSetting, VirtualClock
from kms_emulator.model.entropy import RepeatedEntropy
from kms_emulator.model.faults import FaultPlan
from kms_emulator.model.guard import Guard
from kms_emulator.model.identities import Identities
from kms_emulator.model.registry import Entropy, Registry
from kms_emulator.model.store import MemoryStore, Store, StoredState
from kms_emulator.model.usage import LastUses
from kms_emulator.model.vaults import Vaults

_CLOCK_SETTING = "clock"


class Core:
    """Registry, identities, clock and call log over one store.

    `strict_auth` refuses callers whose access key is not known; a reset does not change it. `seed` is what a reset
    goes back to; it is added at the start, where names are free. `vault_ports` has the vaults that are served on a port
    of their own, by port.
    """

    def __init__(
        self,
        store: Store | None = None,
        host_ns: Callable[[], int] = time.time_ns,
        entropy: Entropy = secrets.token_bytes,
        seed: StoredState | None = None,
    ) -> None:
        self._store: Store = store or MemoryStore()
        self._entropy, self._seed = entropy, seed or StoredState()
        state = self._store.load()
        saved = state.settings.get(_CLOCK_SETTING)
        self.clock = VirtualClock(host_ns, ClockSetting.decode(saved) if saved else None)
        self.registry = Registry(self._store, state, entropy)
        self.identities = Identities(self._store, state.identities, state.credentials)
        self.vaults = Vaults(self._store, state.settings)
        self.vault_ports: dict[str, str] = {}
        self.guard = Guard(self._store, state.settings)
        self.strict_auth = False
        self.calls = CallLog()
        self.uses = LastUses(self.clock.now_ns())
        self.faults = FaultPlan()
        self._sow()
        if isinstance(entropy, RepeatedEntropy):
            entropy.mark()

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
        """Go back to the seed; calls, faults, the clock's setting and all else are forgotten."""
        self.registry.clear()
        self.identities.clear()
        self.vaults.clear()
        self.guard.clear()
        self.calls.clear()
        self.faults.clear()
        self.clock.setting = ClockSetting()
        self.uses.clear(self.clock.now_ns())
        if isinstance(self._entropy, RepeatedEntropy):
            self._entropy.restart()
        self._sow()

    def _sow(self) -> None:
        self.registry.merge(self._seed)
        self.identities.merge(self._seed.identities, self._seed.credentials)
