"""Random lives of keys on a real SQLite store, against a plain account of what must hold; with restarts in between."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from kms_emulator.model import lifecycle
from kms_emulator.model.errors import KeyStateError, ModelError, VersionStateError
from kms_emulator.model.keys import Key, KeyKind, KeyState, VersionState
from kms_emulator.model.registry import Registry
from kms_emulator.storage.directory import DataDir

REALM = "cloud"
CONTEXT = b"context"


@dataclass
class Account:
    """What the test knows of one key."""

    state: str = "enabled"
    ends: int | None = None
    versions: list[str] = field(default_factory=lambda: ["enabled"])
    version_ends: dict[int, int] = field(default_factory=dict)
    primary: int = 1
    sealed: list[tuple[int, bytes, bytes]] = field(default_factory=list)


class Lives(RuleBasedStateMachine):
    names = Bundle("names")

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.now = 1_000
        self.accounts: dict[str, Account] = {}
        self.gone: set[str] = set()
        self._start()

    def _start(self) -> None:
        self.data = DataDir(Path(self.folder.name))
        self.registry = Registry(self.data.store, self.data.store.load())

    def teardown(self) -> None:
        self.data.close()
        self.folder.cleanup()

    @rule(target=names, number=st.integers(0, 5))
    def create(self, number: int) -> str:
        name = f"key-{number}"
        if name not in self.accounts:
            key = self.registry.create(REALM, name, KeyKind.AES_256, self.now)
            self.registry.add_version(key, self.registry.new_aes(), self.now)
            self.accounts[name] = Account()
        return name

    @rule(name=names, to=st.sampled_from(["enabled", "disabled"]))
    def switch(self, name: str, to: str) -> None:
        account = self.accounts.get(name)
        if account is None:
            return
        move = lifecycle.enable if to == "enabled" else lifecycle.disable
        key = self.registry.key(REALM, name)
        if account.state == "deletion-scheduled":
            with pytest.raises(KeyStateError):
                move(key, self.now)
        else:
            self.registry.put(move(key, self.now))
            account.state = to

    @rule(name=names, window=st.integers(1, 50))
    def schedule(self, name: str, window: int) -> None:
        account = self.accounts.get(name)
        if account is None:
            return
        key = self.registry.key(REALM, name)
        if account.state == "deletion-scheduled":
            with pytest.raises(KeyStateError):
                lifecycle.schedule_deletion(key, window, self.now)
        else:
            self.registry.put(lifecycle.schedule_deletion(key, window, self.now))
            account.state, account.ends = "deletion-scheduled", self.now + window

    @rule(name=names, into=st.sampled_from([KeyState.DISABLED, KeyState.ENABLED]))
    def cancel(self, name: str, into: KeyState) -> None:
        account = self.accounts.get(name)
        if account is None:
            return
        key = self.registry.key(REALM, name)
        if account.state != "deletion-scheduled":
            with pytest.raises(KeyStateError):
                lifecycle.cancel_deletion(key, into, self.now)
        else:
            self.registry.put(lifecycle.cancel_deletion(key, into, self.now))
            account.state, account.ends = into.value, None

    @rule(name=names, primary=st.booleans())
    def rotate(self, name: str, primary: bool) -> None:
        account = self.accounts.get(name)
        if account is None:
            return
        key, material = self.registry.key(REALM, name), self.registry.new_aes()
        if account.state == "deletion-scheduled":
            with pytest.raises(KeyStateError):
                self.registry.add_version(key, material, self.now, primary=primary)
            return
        self.registry.add_version(key, material, self.now, primary=primary)
        account.versions.append("enabled")
        account.primary = len(account.versions) if primary else account.primary

    @rule(
        name=names,
        number=st.integers(1, 4),
        act=st.sampled_from(["enable", "disable", "destroy", "restore", "primary"]),
        window=st.integers(1, 50),
    )
    def change_version(self, name: str, number: int, act: str, window: int) -> None:
        account = self.accounts.get(name)
        if account is None or number > len(account.versions):
            return
        key, state = self.registry.key(REALM, name), account.versions[number - 1]
        live = state in ("enabled", "disabled")
        allowed = {"primary": state == "enabled", "restore": state == "destroy-scheduled"}.get(act, live)
        moves: dict[str, Callable[[], Key]] = {
            "enable": lambda: lifecycle.switch_version(key, number, VersionState.ENABLED, self.now),
            "disable": lambda: lifecycle.switch_version(key, number, VersionState.DISABLED, self.now),
            "destroy": lambda: lifecycle.schedule_destroy(key, number, window, self.now),
            "restore": lambda: lifecycle.restore_version(key, number, self.now),
            "primary": lambda: lifecycle.set_primary(key, number, self.now),
        }
        move = moves[act]
        if not allowed or account.state == "deletion-scheduled":
            with pytest.raises((VersionStateError, KeyStateError)):
                move()
            return
        self.registry.put(move())
        if act == "primary":
            account.primary = number
            return
        after = {"enable": "enabled", "disable": "disabled", "destroy": "destroy-scheduled", "restore": "disabled"}
        account.versions[number - 1] = after[act]
        account.version_ends.pop(number, None)
        if act == "destroy":
            account.version_ends[number] = self.now + window

    @rule(name=names, plaintext=st.binary(max_size=40))
    def seal(self, name: str, plaintext: bytes) -> None:
        account = self.accounts.get(name)
        if account is None:
            return
        key, number = self.registry.key(REALM, name), account.primary
        if account.state == "enabled" and account.versions[number - 1] == "enabled":
            account.sealed.append((number, plaintext, self.registry.seal(key, number, plaintext, CONTEXT)))
        else:
            with pytest.raises((KeyStateError, VersionStateError)):
                self.registry.seal(key, number, plaintext, CONTEXT)

    @rule(by=st.integers(1, 40))
    def advance(self, by: int) -> None:
        self.now += by
        self.registry.elapse(self.now)
        for name, account in list(self.accounts.items()):
            if account.ends is not None and account.ends <= self.now:
                del self.accounts[name]
                self.gone.add(name)
                continue
            for number, ends in list(account.version_ends.items()):
                if ends <= self.now:
                    account.versions[number - 1] = "destroyed"
                    del account.version_ends[number]

    @rule()
    def restart(self) -> None:
        before = self.registry.keys(REALM)
        self.data.close()
        self._start()
        assert self.registry.keys(REALM) == before

    @rule(name=names)
    def open_all(self, name: str) -> None:
        account = self.accounts.get(name)
        if account is None:
            return
        for number, plaintext, ciphertext in account.sealed:
            key, version = self.registry.named_in(REALM, ciphertext)
            assert (key.name, version.number) == (name, number)
            usable = account.state == "enabled" and account.versions[number - 1] == "enabled"
            try:
                opened = self.registry.open(key, number, ciphertext, CONTEXT)
            except ModelError:
                assert not usable
            else:
                assert usable
                assert opened == plaintext

    @invariant()
    def states_agree(self) -> None:
        if not hasattr(self, "registry"):
            return
        assert {key.name for key in self.registry.keys(REALM)} == set(self.accounts)
        for name, account in self.accounts.items():
            key = self.registry.key(REALM, name)
            assert (key.state.value, key.delete_at_ns, key.primary) == (account.state, account.ends, account.primary)
            assert [version.state.value for version in key.versions] == account.versions


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
