"""Random lives of keys in a vault, by azure-keyvault-keys, against a plain account of what Azure's documentation says.

Whatever is asked in whatever order, keys are listed, refused and used exactly where the account has them so. The
account knows days and words; it shares no code with the emulator's model.
"""

import base64
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.keyvault.keys import JsonWebKey, KeyClient
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from kms_emulator.core import Core
from tests.emulator.azure_http.conftest import AnyToken
from tests.emulator.azure_http.test_access import in_loop
from tests.emulator.running import Running

START = datetime(2030, 1, 1, tzinfo=UTC)
RETENTION_DAYS = 90
SECRET = b"32 bytes, of which nobody knows."
NAMES = ("one", "two")
LIMITS = (None, -2, 1, 5)
STEPS = (1, 3, RETENTION_DAYS - 1, RETENTION_DAYS)
ACTS = (
    *("add", "switch", "switch", "limit", "limit", "encrypt", "encrypt", "encrypt"),
    *("delete", "recover", "recover", "purge", "backup", "advance"),
)
DONE: Counter[str] = Counter()
"""How often each was done, in all lives."""


@cache
def web_key() -> JsonWebKey:
    """Return a private key to import; making one for each version would take most of the time."""
    private = rsa.generate_private_key(65537, 2048).private_numbers()
    numbers = {"n": private.public_numbers.n, "e": private.public_numbers.e, "d": private.d}
    parts = {name: number.to_bytes((number.bit_length() + 7) // 8, "big") for name, number in numbers.items()}
    primes = {"p": private.p.to_bytes(128, "big"), "q": private.q.to_bytes(128, "big")}
    return JsonWebKey(kty="RSA", **parts, **primes)


@dataclass
class Version:
    """What is known of one version."""

    number: str
    enabled: bool = True
    begins: int | None = None
    ends: int | None = None
    sealed: str = ""


@dataclass
class Key:
    """What is known of one key: its versions, and the day on which it goes if it was deleted."""

    versions: list[Version] = field(default_factory=list)
    goes: int | None = None


class Lives(RuleBasedStateMachine):
    def __init__(self, emulator: Running) -> None:
        super().__init__()
        self.emulator, self.today, self.keys = emulator, 0, dict[str, Key]()
        in_loop(emulator, emulator.core.reset)
        in_loop(emulator, lambda: emulator.core.set_clock(emulator.core.clock.at(_ns(START), frozen=True)))
        server = emulator.server
        options = {"connection_verify": server.ca, "retry_total": 0}
        self.client = KeyClient(str(server.https_url), AnyToken(), **options)

    def teardown(self) -> None:
        self.client.close()

    # -- what is done

    @initialize()
    def begin(self) -> None:
        for name in NAMES:
            self.add_version(name)

    @rule(acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 999)), min_size=9, max_size=9))
    def live(self, acts: list[tuple[str, int]]) -> None:
        """Do many things to keys; `number` gives each its details."""
        for act, number in acts:
            self._act(act, number)
            self.lists_have_what_there_is()
            self.what_was_sealed_opens_exactly_where_it_may()

    def _act(self, act: str, number: int) -> None:
        name, pick = NAMES[number % 2], number // 2
        {
            "add": lambda: self.add_version(name),
            "switch": lambda: self.switch(name, pick, number % 3 > 0),
            "limit": lambda: self.limit(name, pick, LIMITS[number % 4], LIMITS[number // 4 % 4]),
            "encrypt": lambda: self.encrypt(name, pick),
            "delete": lambda: self.delete(name),
            "recover": lambda: self.recover(name),
            "purge": lambda: self.purge(name),
            "backup": lambda: self.through_a_backup(name),
            "advance": lambda: self.advance(STEPS[number % len(STEPS)]),
        }[act]()
        DONE[act] += 1

    def add_version(self, name: str) -> None:
        key = self.keys.get(name)
        if key is not None and key.goes is not None:
            with refused(409):
                self.client.import_key(name, web_key())
            return
        made = self.client.import_key(name, web_key())
        self.keys.setdefault(name, Key()).versions.append(Version(str(made.properties.version)))

    def switch(self, name: str, pick: int, enabled: bool) -> None:
        version = self._version(name, pick)
        if version is None:
            with refused(404):
                self.client.update_key_properties(name, enabled=enabled)
            return
        self.client.update_key_properties(name, version.number, enabled=enabled)
        version.enabled = enabled

    def limit(self, name: str, pick: int, begins: int | None, ends: int | None) -> None:
        version = self._version(name, pick)
        if version is None:
            return
        times: dict[str, Any] = {}
        if begins is not None:
            version.begins = self.today + begins
            times["not_before"] = START + timedelta(days=version.begins)
        if ends is not None:
            version.ends = self.today + ends
            times["expires_on"] = START + timedelta(days=version.ends)
        self.client.update_key_properties(name, version.number, **times)

    def encrypt(self, name: str, pick: int) -> None:
        version = self._version(name, pick)
        status, text = self._operation(name, version.number if version else "", "encrypt", _to_text(SECRET))
        if version is None:
            assert (status, text) == (404, "")
        elif not version.enabled:
            assert (status, text) == (403, "KeyDisabled")
        elif version.begins is not None and self.today < version.begins:
            assert (status, text) == (403, "KeyNotYetValid")
        elif version.ends is not None and self.today >= version.ends:
            assert (status, text) == (403, "KeyExpired")
        else:
            assert status == 200
            version.sealed = text

    def delete(self, name: str) -> None:
        if self._version(name, 0) is None:
            with refused(404):
                self.client.begin_delete_key(name)
            return
        self.client.begin_delete_key(name).wait()
        self.keys[name].goes = self.today + RETENTION_DAYS

    def recover(self, name: str) -> None:
        key = self._deleted(name)
        if key is None:
            with refused(404):
                self.client.begin_recover_deleted_key(name)
            return
        self.client.begin_recover_deleted_key(name).wait()
        key.goes = None

    def purge(self, name: str) -> None:
        if self._deleted(name) is None:
            with refused(404):
                self.client.purge_deleted_key(name)
            return
        self.client.purge_deleted_key(name)
        del self.keys[name]

    def through_a_backup(self, name: str) -> None:
        if self._version(name, 0) is None:
            return
        backup = self.client.backup_key(name)
        with refused(409):
            self.client.restore_key_backup(backup)
        self.client.begin_delete_key(name).wait()
        self.client.purge_deleted_key(name)
        self.client.restore_key_backup(backup)

    def advance(self, days: int) -> None:
        core = self.emulator.core
        in_loop(self.emulator, lambda: core.set_clock(core.clock.advance(days * _ns(timedelta(days=1)))))
        self.today += days
        gone = [name for name, key in self.keys.items() if key.goes is not None and key.goes <= self.today]
        for name in gone:
            del self.keys[name]

    # -- what holds

    def lists_have_what_there_is(self) -> None:
        live = {name: key for name, key in self.keys.items() if key.goes is None}
        assert {key.name for key in self.client.list_properties_of_keys()} == live.keys()
        deleted = {key.name: key for key in self.client.list_deleted_keys()}
        assert deleted.keys() == self.keys.keys() - live.keys()
        for name, found in deleted.items():
            assert found.scheduled_purge_date == START + timedelta(days=self.keys[name].goes or 0)
        for name, key in live.items():
            told = {item.version: item.enabled for item in self.client.list_properties_of_key_versions(name)}
            assert told == {version.number: version.enabled for version in key.versions}

    def what_was_sealed_opens_exactly_where_it_may(self) -> None:
        for name, key in self.keys.items():
            for version in key.versions:
                if version.sealed:
                    found = self._operation(name, version.number, "decrypt", version.sealed)
                    if key.goes is not None:
                        assert found == (404, "")
                    elif not version.enabled:
                        assert found == (403, "KeyDisabled")
                    else:  # validity stops only what makes something new
                        assert found == (200, _to_text(SECRET))

    # -- by the way

    def _version(self, name: str, pick: int) -> Version | None:
        """Return a version of a live key."""
        key = self.keys.get(name)
        return None if key is None or key.goes is not None else key.versions[pick % len(key.versions)]

    def _deleted(self, name: str) -> Key | None:
        key = self.keys.get(name)
        return key if key is not None and key.goes is not None else None

    def _operation(self, name: str, version: str, operation: str, value: str) -> tuple[int, str]:
        """Return status, and the value or the inner code; through the SDK's pipeline, for its own client of
        cryptography encrypts at home, and looks at the machine's clock."""
        body = {"alg": "RSA-OAEP-256", "value": value}
        answer = self.client.send_request(HttpRequest("POST", f"/keys/{name}/{version}/{operation}", json=body))
        found = answer.json()
        if answer.status_code == 200:
            return 200, str(found["value"])
        return answer.status_code, str(found["error"].get("innererror", {}).get("code", ""))


def _ns(time: datetime | timedelta) -> int:
    seconds = time.timestamp() if isinstance(time, datetime) else time.total_seconds()
    return int(seconds) * 10**9


def _to_text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@contextmanager
def refused(status: int) -> Iterator[None]:
    with pytest.raises(HttpResponseError) as caught:
        yield
    assert caught.value.status_code == status


@pytest.fixture
def own() -> Iterator[Running]:
    emulator = Running(Core(), http=True, https=True)
    yield emulator
    emulator.stop()


def test_lives(own: Running) -> None:
    class OwnLives(Lives):
        def __init__(self) -> None:
            super().__init__(own)

    DONE.clear()
    run_state_machine_as_test(OwnLives, settings=settings(max_examples=12, stateful_step_count=2))
    assert set(DONE) == set(ACTS)
