"""The guard of keys in use: who depends on which key, and whether that keeps a key from being disabled or deleted.

No cloud has it. It is off until somebody turns it on. Then it refuses what callers ask for; what time does, it lets be.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from kms_emulator.model.errors import KeyInUseError
from kms_emulator.model.keys import Key

SETTING = "guard"
USES_MAX = 10_000
"""LIMIT: uses that are kept; all of them are one setting of the store."""


class SettingStore(Protocol):
    """What the guard needs of a store; see `store.Store`."""

    def put_setting(self, name: str, value: str) -> None:
        """Write a setting."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Somebody depends on a key, or on one version of it.

    Attributes:
        number: from 1; never given again.
        uid: of the key, in hexadecimal: it has no successor, unlike its name.
        version: its number; None where the key as a whole is used.
        key: what the key was called when this was said.
        user: who, in words of their own.
    """

    number: int
    realm: str
    uid: str
    version: int | None
    key: str
    user: str


class Guard:
    """All uses, and the switch, over the store, which has a change before memory has it."""

    def __init__(self, store: SettingStore, settings: Mapping[str, str]) -> None:
        self._store = store
        self.on, self._last, self._uses = _decode(settings[SETTING]) if SETTING in settings else (False, 0, ())

    @property
    def uses(self) -> Sequence[KeyUse]:
        """Return the uses, oldest first."""
        return self._uses

    def switch(self, on: bool) -> None:
        """Turn the guard on or off."""
        self._put(on, self._last, self._uses)

    def add(self, key: Key, version: int | None, called: str, user: str) -> KeyUse:
        """Note a use; the one that there is, if it is the same.

        Raises:
            ValueError: there are too many.
        """
        uid = key.uid.hex()
        for use in self._uses:
            if (use.uid, use.version, use.user) == (uid, version, user):
                return use
        if len(self._uses) >= USES_MAX:
            raise ValueError(f"there are {USES_MAX} uses already; remove some")
        use = KeyUse(self._last + 1, key.realm, uid, version, called, user)
        self._put(self.on, use.number, (*self._uses, use))
        return use

    def remove(self, number: int = 0, user: str = "") -> int:
        """Forget one use, all of a user, or with neither all; return how many there were."""
        kept = tuple(use for use in self._uses if (number and use.number != number) or (user and use.user != user))
        removed = len(self._uses) - len(kept)
        if removed:
            self._put(self.on, self._last, kept)
        return removed

    def check(self, key: Key, version: int | None = None) -> None:
        """Let a key, or one version of it, be disabled, deleted or destroyed.

        Raises:
            KeyInUseError: the guard is on, and somebody uses it.
        """
        uses = (use for use in self._uses if use.uid == key.uid.hex())
        users = [use.user for use in uses if None in (version, use.version) or use.version == version]
        if self.on and users:
            raise KeyInUseError(key, version, users)

    def clear(self) -> None:
        """Forget everything, after the store did."""
        self.on, self._last, self._uses = False, 0, ()

    def _put(self, on: bool, last: int, uses: tuple[KeyUse, ...]) -> None:
        document = {"on": on, "last": last, "uses": [asdict(use) for use in uses]}
        self._store.put_setting(SETTING, json.dumps(document, sort_keys=True))
        self.on, self._last, self._uses = on, last, uses


def _decode(text: str) -> tuple[bool, int, tuple[KeyUse, ...]]:
    document = json.loads(text)
    return document["on"], document["last"], tuple(KeyUse(**use) for use in document["uses"])
