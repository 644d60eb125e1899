"""Random lives of Google's keys through Google's own client, against a plain account of what must hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kms_emulator.embedded import KmsEmulator
from tests.emulator.gcp.importing import import_material, make_job, wrap
from tests.emulator.gcp.keys import LOCATION, RING, Client, Purpose, State, switch

START = datetime(2030, 1, 1, tzinfo=UTC)
WINDOW, PERIOD, JOB_LIFE = timedelta(days=2), timedelta(days=5), timedelta(days=3)
KEYS_MAX = 3
GONE = (State.DESTROYED, State.IMPORT_FAILED)
PICK = st.integers(0, 11)


@dataclass
class Version:
    """What the test knows of a version. `material` is what was imported, if anything was, of which `imported` tells."""

    state: Any = State.ENABLED
    destroyed_at: datetime | None = None
    imported: bool = False
    material: bytes | None = None


@dataclass
class Key:
    """What the test knows of a key: a ciphertext stands with the number of the version that made it."""

    name: str
    next_rotation: datetime | None
    versions: list[Version] = field(default_factory=lambda: [Version()])
    primary: int = 1
    sealed: list[tuple[int, bytes, bytes]] = field(default_factory=list)

    def version_name(self, number: int) -> str:
        return f"{self.name}/cryptoKeyVersions/{number}"


class Lives(RuleBasedStateMachine):
    """One emulator for all runs; each begins with a reset and a clock that stands still."""

    emulator: KmsEmulator
    client: Client

    @initialize()
    def begin(self) -> None:
        self.emulator.reset()
        self.now = START
        self.emulator.clock.set(START, frozen=True)
        self.client.create_key_ring(parent=LOCATION, key_ring_id="r", key_ring={})
        self.keys: list[Key] = []
        self.jobs: list[tuple[Any, datetime]] = []

    @precondition(lambda self: len(self.keys) < KEYS_MAX)
    @rule(rotates=st.booleans())
    def create(self, rotates: bool) -> None:
        described: dict[str, Any] = {"purpose": Purpose.ENCRYPT_DECRYPT, "destroy_scheduled_duration": WINDOW}
        following = self.now + PERIOD if rotates else None
        if following is not None:
            described |= {"rotation_period": PERIOD, "next_rotation_time": following}
        key_id = f"k{len(self.keys)}"
        made = self.client.create_crypto_key(parent=RING, crypto_key_id=key_id, crypto_key=described)
        with pytest.raises(exceptions.AlreadyExists):
            self.client.create_crypto_key(parent=RING, crypto_key_id=key_id, crypto_key=described)
        self.keys.append(Key(made.name, following))

    @precondition(lambda self: self.keys)
    @rule(which=PICK)
    def add_version(self, which: int) -> None:
        key = self.key(which)
        added = self.client.create_crypto_key_version(parent=key.name, crypto_key_version={})
        key.versions.append(Version())
        assert added.name == key.version_name(len(key.versions))

    @precondition(lambda self: self.keys)
    @rule(which=PICK, of=PICK, to=st.sampled_from(["ENABLED", "DISABLED"]))
    def switch(self, which: int, of: int, to: str) -> None:
        key, number, version = self.version(which, of)
        with allowed(version.state in (State.ENABLED, State.DISABLED)):
            switch(self.client, key.version_name(number), to)
            version.state = State[to]

    @precondition(lambda self: self.keys)
    @rule(which=PICK, of=PICK)
    def destroy(self, which: int, of: int) -> None:
        key, number, version = self.version(which, of)
        with allowed(version.state in (State.ENABLED, State.DISABLED)):
            found = self.client.destroy_crypto_key_version(name=key.version_name(number))
            version.state, version.destroyed_at = State.DESTROY_SCHEDULED, self.now + WINDOW
            assert found.destroy_time == version.destroyed_at

    @precondition(lambda self: self.keys)
    @rule(which=PICK, of=PICK)
    def restore(self, which: int, of: int) -> None:
        key, number, version = self.version(which, of)
        with allowed(version.state == State.DESTROY_SCHEDULED):
            self.client.restore_crypto_key_version(name=key.version_name(number))
            version.state, version.destroyed_at = State.DISABLED, None

    @precondition(lambda self: self.keys)
    @rule(which=PICK, of=PICK)
    def set_primary(self, which: int, of: int) -> None:
        key, number, version = self.version(which, of)
        with allowed(version.state == State.ENABLED):
            self.client.update_crypto_key_primary_version(name=key.name, crypto_key_version_id=str(number))
            key.primary = number

    @precondition(lambda self: self.keys)
    @rule(which=PICK, of=PICK, by_version=st.booleans())
    def encrypt(self, which: int, of: int, by_version: bool) -> None:
        key, number, version = self.version(which, of)
        if not by_version:
            number, version = key.primary, key.versions[key.primary - 1]
        plaintext = f"{len(key.sealed)} of {key.name}".encode()
        with allowed(version.state == State.ENABLED):
            name = key.version_name(number) if by_version else key.name
            made = self.client.encrypt(name=name, plaintext=plaintext)
            assert made.name == key.version_name(number)
            key.sealed.append((number, made.ciphertext, plaintext))

    @precondition(lambda self: any(key.sealed for key in self.keys))
    @rule(which=PICK, of=PICK)
    def decrypt(self, which: int, of: int) -> None:
        key = self.key(which, [key for key in self.keys if key.sealed])
        number, ciphertext, plaintext = key.sealed[of % len(key.sealed)]
        with allowed(key.versions[number - 1].state == State.ENABLED):
            found = self.client.decrypt(name=key.name, ciphertext=ciphertext)
            assert (found.plaintext, found.used_primary) == (plaintext, number == key.primary)
        for other in self.keys:
            if other is not key:
                with pytest.raises(exceptions.InvalidArgument, match="Decryption failed"):
                    self.client.decrypt(name=other.name, ciphertext=ciphertext)

    @precondition(lambda self: self.keys)
    @rule(which=PICK, of=PICK, again=st.booleans(), form=st.sampled_from(["right", "other", "unreadable"]))
    def import_material(self, which: int, of: int, again: bool, form: str) -> None:
        key, number, version = self.version(which, of)
        if again:
            # Mostly one that can be imported into: few are.
            fillable = [found for found in self.keys for item in found.versions if item.imported and item.state in GONE]
            key = fillable[which % len(fillable)] if fillable else key
            numbers = [n for n, item in enumerate(key.versions, 1) if item.imported and item.state in GONE]
            number = numbers[of % len(numbers)] if numbers else number % len(key.versions) + 1
            version = key.versions[number - 1]
        job = self.active_job()
        material = (version.material or bytes([number]) * 32) if form == "right" else bytes([0x40 + number]) * 32
        wrapped = b"x" if form == "unreadable" else wrap(job, material)
        fields = {"crypto_key_version": key.version_name(number)} if again else {}
        target = version if again else Version(imported=True)
        fits = target.imported and (not again or target.state in GONE)
        with allowed(fits):
            import_material(self.client, key.name, job, wrapped, **fields)
            if not again:
                key.versions.append(target)
            good = form != "unreadable" and target.material in (None, material)
            target.state, target.destroyed_at = (State.ENABLED if good else State.IMPORT_FAILED), None
            target.material = material if good else target.material

    @rule(half_days=st.integers(1, 8))
    def advance(self, half_days: int) -> None:
        by = timedelta(days=half_days / 2)
        self.now += by
        self.emulator.clock.advance(by)
        for key in self.keys:
            while key.next_rotation is not None and key.next_rotation <= self.now:
                key.versions.append(Version())
                key.primary, key.next_rotation = len(key.versions), key.next_rotation + PERIOD
            for version in key.versions:
                if version.destroyed_at is not None and version.destroyed_at <= self.now:
                    version.state, version.destroyed_at = State.DESTROYED, None

    @invariant()
    def all_is_as_known(self) -> None:
        found = list(self.client.list_crypto_keys(parent=RING))
        assert [key.name for key in found] == [key.name for key in self.keys]
        for key, shown in zip(self.keys, found, strict=True):
            assert (shown.primary.name, shown.next_rotation_time) == (key.version_name(key.primary), key.next_rotation)
            versions = list(self.client.list_crypto_key_versions(parent=key.name))
            assert [version.state for version in versions] == [version.state for version in key.versions]
            again = [version.imported and version.state in GONE for version in key.versions]
            assert [version.reimport_eligible for version in versions] == again

    def key(self, which: int, among: list[Key] | None = None) -> Key:
        keys = self.keys if among is None else among
        return keys[which % len(keys)]

    def version(self, which: int, of: int) -> tuple[Key, int, Version]:
        key = self.key(which)
        index = of % len(key.versions)
        return key, index + 1, key.versions[index]

    def active_job(self) -> Any:
        """Return an import job; a new one where the last one's time is over."""
        if not self.jobs or self.jobs[-1][1] <= self.now:
            self.jobs.append((make_job(self.client, f"job{len(self.jobs)}"), self.now + JOB_LIFE))
        return self.jobs[-1][0]


@contextmanager
def allowed(may: bool) -> Iterator[None]:
    """Expect success, or FAILED_PRECONDITION."""
    if may:
        yield
        return
    with pytest.raises(exceptions.FailedPrecondition):
        yield


def test_lives_of_keys() -> None:
    with KmsEmulator() as emulator:
        Lives.emulator, Lives.client = emulator, emulator.gcp.kms_client()
        case: Any = Lives.TestCase
        case.settings = settings(
            max_examples=15,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # to shrink a failure would take minutes
            suppress_health_check=list(HealthCheck),
        )
        try:
            case().runTest()
        finally:
            Lives.client.transport.close()
