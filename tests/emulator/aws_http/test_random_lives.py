"""Random lives of keys by boto3, against a plain account of what AWS's documentation says; `aws_crypto/test_key_life`
has more of them, without a client.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from kms_emulator.embedded import KmsEmulator

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

PICK = st.integers(0, 9)
REFUSALS = {"Disabled": "DisabledException", "PendingDeletion": "KMSInvalidStateException"}
ALIASES = ("alias/one", "alias/two")


@dataclass
class Key:
    """What is known of one key."""

    key_id: str
    state: str = "Enabled"
    ends: int | None = None
    rotations: int = 0
    sealed: list[tuple[bytes, str]] = field(default_factory=list)


class Lives(RuleBasedStateMachine):
    def __init__(self, emulator: KmsEmulator) -> None:
        super().__init__()
        emulator.reset()
        emulator.clock.freeze()
        self.emulator, self.today = emulator, 0
        self.kms: KMSClient = emulator.boto3_client("kms")
        self.keys, self.gone, self.aliases = list[Key](), list[Key](), dict[str, Key]()

    def teardown(self) -> None:
        self.kms.close()

    # -- what is done

    @rule()
    def create(self) -> None:
        self.keys.append(Key(self.kms.create_key()["KeyMetadata"]["KeyId"]))

    @rule(pick=PICK)
    def encrypt(self, pick: int) -> None:
        if key := self._key(pick):
            context = {"day": str(self.today)}
            outcome, found = self._outcome("encrypt", KeyId=key.key_id, Plaintext=b"x", EncryptionContext=context)
            assert outcome == REFUSALS.get(key.state, "OK")
            if found:
                key.sealed.append((found["CiphertextBlob"], context["day"]))

    @rule(pick=PICK, enabled=st.booleans())
    def switch(self, pick: int, enabled: bool) -> None:
        if key := self._key(pick):
            outcome, _ = self._outcome("enable_key" if enabled else "disable_key", KeyId=key.key_id)
            if key.state == "PendingDeletion":
                assert outcome == "KMSInvalidStateException"
            else:
                assert outcome == "OK"
                key.state = "Enabled" if enabled else "Disabled"

    @rule(pick=PICK, days=st.integers(7, 30))
    def schedule(self, pick: int, days: int) -> None:
        if key := self._key(pick):
            outcome, _ = self._outcome("schedule_key_deletion", KeyId=key.key_id, PendingWindowInDays=days)
            assert outcome == ("KMSInvalidStateException" if key.state == "PendingDeletion" else "OK")
            if outcome == "OK":
                key.state, key.ends = "PendingDeletion", self.today + days

    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        if key := self._key(pick):
            outcome, _ = self._outcome("cancel_key_deletion", KeyId=key.key_id)
            assert outcome == ("OK" if key.state == "PendingDeletion" else "KMSInvalidStateException")
            if outcome == "OK":
                key.state, key.ends = "Disabled", None

    @rule(pick=PICK)
    def rotate(self, pick: int) -> None:
        if key := self._key(pick):
            outcome, _ = self._outcome("rotate_key_on_demand", KeyId=key.key_id)
            assert outcome == REFUSALS.get(key.state, "OK")
            key.rotations += outcome == "OK"

    @rule(pick=PICK, name=st.sampled_from(ALIASES))
    def point(self, pick: int, name: str) -> None:
        """Make an alias, or point one elsewhere."""
        if key := self._key(pick):
            act = "update_alias" if name in self.aliases else "create_alias"
            outcome, _ = self._outcome(act, AliasName=name, TargetKeyId=key.key_id)
            assert outcome == ("KMSInvalidStateException" if key.state == "PendingDeletion" else "OK")
            if outcome == "OK":
                self.aliases[name] = key

    @rule(days=st.sampled_from([1, 7, 30]))
    def advance(self, days: int) -> None:
        self.emulator.clock.advance(timedelta(days=days))
        self.today += days
        gone = [key for key in self.keys if key.ends is not None and key.ends <= self.today]
        self.gone += gone
        self.keys = [key for key in self.keys if key not in gone]
        self.aliases = {name: key for name, key in self.aliases.items() if key not in gone}

    # -- what holds

    @invariant()
    def what_is_told_is_what_there_is(self) -> None:
        listed = {entry["KeyId"] for entry in self.kms.list_keys()["Keys"]}
        assert listed == {key.key_id for key in self.keys}
        for key in self.keys:
            told = self.kms.describe_key(KeyId=key.key_id)["KeyMetadata"]
            assert (told["KeyState"], told["Enabled"]) == (key.state, key.state == "Enabled")
        aliases = {alias["AliasName"]: alias.get("TargetKeyId") for alias in self.kms.list_aliases()["Aliases"]}
        assert {name: aliases.get(name) for name in ALIASES} == {
            name: self.aliases[name].key_id if name in self.aliases else None for name in ALIASES
        }

    @invariant()
    def what_was_sealed_opens_exactly_where_it_may(self) -> None:
        for key in self.keys:
            for blob, day in key.sealed[-1:] + key.sealed[:1]:
                outcome, found = self._outcome("decrypt", CiphertextBlob=blob, EncryptionContext={"day": day})
                assert outcome == REFUSALS.get(key.state, "OK")
                assert not found or (found["Plaintext"], found["KeyId"].rpartition("/")[2]) == (b"x", key.key_id)
                if found:
                    other = self._outcome("decrypt", CiphertextBlob=blob, EncryptionContext={"da": f"y{day}"})
                    assert other == ("InvalidCiphertextException", None)
        for key in self.gone[-1:]:
            for blob, day in key.sealed[-1:]:
                outcome, _ = self._outcome("decrypt", CiphertextBlob=blob, EncryptionContext={"day": day})
                assert outcome == "AccessDeniedException"

    @invariant()
    def rotations_are_counted(self) -> None:
        for key in self.keys:
            assert len(self.kms.list_key_rotations(KeyId=key.key_id)["Rotations"]) == key.rotations

    # -- by the way

    def _key(self, pick: int) -> Key | None:
        return self.keys[pick % len(self.keys)] if self.keys else None

    def _outcome(self, operation: str, **members: object) -> tuple[str, dict[str, Any] | None]:
        """Return OK and the answer, or the code of a refusal."""
        try:
            return "OK", getattr(self.kms, operation)(**members)
        except ClientError as error:
            return error.response["Error"]["Code"], None


@pytest.fixture
def own() -> Iterator[KmsEmulator]:
    with KmsEmulator() as emulator:
        yield emulator


def test_lives(own: KmsEmulator) -> None:
    class OwnLives(Lives):
        def __init__(self) -> None:
            super().__init__(own)

    run_state_machine_as_test(OwnLives, settings=settings(max_examples=10, stateful_step_count=25))
