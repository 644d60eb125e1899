"""Random lives of keys against a plain account of what AWS's documentation says, on a real store, with restarts.

Whatever is called in whatever order, a key is in the state that the documentation has it in, and decrypts exactly where
that says so. The account knows days and words; it shares no code with the emulator's model.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from kms_emulator.core import Core
from kms_emulator.model.material import Material
from kms_emulator.storage.directory import DataDir
from kms_emulator.wire.call import CloudError
from tests.emulator.aws_crypto.direct import Direct

DAY_NS = 86_400 * 10**9
REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-2")
ENDING = ("PendingDeletion", "PendingReplicaDeletion")
CODES = {"Disabled": "DisabledException"}
"""What a state answers to cryptography; every other that is not Enabled answers KMSInvalidStateException."""

ACTS = (
    *("create", "replicate", "replicate", "promote", "enable", "disable", "schedule", "schedule family", "cancel"),
    *("rotate", "import", "import", "delete material", "encrypt", "encrypt", "advance", "advance"),
)
INVALID = "KMSInvalidStateException"


@dataclass
class Family:
    """What keys of one id share."""

    key_id: str
    external: bool
    multi_region: bool
    material: Material | None = None
    sealed: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass
class Account:
    """What the documentation says of one key."""

    family: Family
    region: str
    primary: bool = True
    state: str = "Enabled"
    ends: int | None = None
    window: int = 0
    missing: bool = False
    expires: int | None = None

    @property
    def refusal(self) -> str:
        """What cryptography is answered, or OK."""
        return "OK" if self.state == "Enabled" else CODES.get(self.state, INVALID)

    def lose(self) -> None:
        self.missing, self.expires = True, None
        if self.state not in ENDING:
            self.state = "PendingImport"


def _is_likely(account: Account, act: str) -> bool:
    """Tell whether an act may do something for a key."""
    if act in ("replicate", "promote", "rotate", "schedule family"):
        return account.family.multi_region and account.primary and account.state == "Enabled"
    if act == "cancel":
        return account.state in ENDING
    if act == "schedule":
        return account.family.multi_region or account.state == "PendingImport"
    if act in ("import", "delete material"):
        return account.family.external and account.state not in ENDING
    return account.state == "Enabled"


class Lives(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.today, self.accounts, self.families = 0, list[Account](), list[Family]()
        self._start()
        clock = self.direct.core.clock
        self.start_ns = clock.now_ns()
        self.direct.core.set_clock(clock.at(self.start_ns, frozen=True))
        for external in (False, True):
            self.create(external, multi_region=True)
            self.import_same(self.accounts[-1], None)
            self.replicate(self.accounts[-1], REGIONS[1])
            self.create(external, multi_region=False)

    def _start(self) -> None:
        self.data = DataDir(Path(self.folder.name))
        self.direct = Direct(Core(self.data.store))

    def teardown(self) -> None:
        self.direct.close()
        self.data.close()
        self.folder.cleanup()

    def call(self, account: Account, operation: str, **members: object) -> str:
        return self.direct.outcome(operation, region=account.region, key_id=account.family.key_id, **members)

    def arn(self, account: Account) -> str:
        return f"arn:aws:kms:{account.region}:111122223333:key/{account.family.key_id}"

    def family_of(self, account: Account) -> list[Account]:
        return [other for other in self.accounts if other.family is account.family]

    # -- lives

    @rule(acts=st.lists(st.tuples(st.integers(0, 99), st.sampled_from(ACTS), st.integers(0, 60)), min_size=12))
    def live(self, acts: list[tuple[int, str, int]]) -> None:
        """Do many things to keys; `number` gives each its details."""
        for pick, act, number in acts:
            if act == "create":
                self.create(external=number % 2 == 0, multi_region=number % 3 != 0)
            elif act == "advance":
                self.advance(number)
            elif self.accounts:
                self._act(self._subject(pick, act), act, number)
            self._check()

    def _subject(self, pick: int, act: str) -> Account:
        """Choose a key; every second time one for which the act may do something."""
        likely = [account for account in self.accounts if _is_likely(account, act)]
        chosen = likely if likely and pick % 2 else self.accounts
        return chosen[pick // 2 % len(chosen)]

    def _act(self, account: Account, act: str, number: int) -> None:
        region = REGIONS[number % len(REGIONS)]
        {
            "replicate": lambda: self.replicate(account, region),
            "promote": lambda: self.promote(account, region),
            "enable": lambda: self.switch(account, "Enabled"),
            "disable": lambda: self.switch(account, "Disabled"),
            "schedule": lambda: self.schedule(account, 7 + number % 24),
            "schedule family": lambda: self.schedule_family(account, 7 + number % 24),
            "cancel": lambda: self.cancel(account),
            "rotate": lambda: self.rotate(account),
            "import": lambda: self.import_same(account, number or None),
            "delete material": lambda: self.delete_material(account),
            "encrypt": lambda: self.encrypt(account, bytes([number])),
        }[act]()

    def create(self, external: bool, multi_region: bool) -> None:
        origin = "EXTERNAL" if external else "AWS_KMS"
        made = self.direct.run("CreateKey", origin=origin, multi_region=multi_region).key_metadata
        account = Account(Family(made.key_id, external, multi_region), REGIONS[0])
        if external:
            account.family.material = self.direct.new_material(made.arn)
            account.lose()
        self.accounts.append(account)
        self.families.append(account.family)

    def replicate(self, account: Account, region: str) -> None:
        outcome = self.call(account, "ReplicateKey", replica_region=region)
        if not (account.family.multi_region and account.primary):
            assert outcome == "UnsupportedOperationException"
        elif account.state != "Enabled":
            assert outcome == account.refusal
        elif any(other.region == region for other in self.family_of(account)):
            assert outcome == "AlreadyExistsException"
        else:
            assert outcome == "OK"
            replica = Account(account.family, region, primary=False)
            if account.family.external:
                replica.lose()
            self.accounts.append(replica)

    def promote(self, account: Account, region: str) -> None:
        outcome = self.call(account, "UpdatePrimaryRegion", primary_region=region)
        other = next((item for item in self.family_of(account) if item.region == region), None)
        if not (account.family.multi_region and account.primary):
            assert outcome == "UnsupportedOperationException"
        elif account.state != "Enabled":
            assert outcome == account.refusal
        elif other is None:
            assert outcome == "NotFoundException"
        elif other is account:
            assert outcome == "UnsupportedOperationException"
        elif other.state != "Enabled":
            assert outcome == other.refusal
        else:
            assert outcome == "OK"
            account.primary, other.primary = False, True

    def switch(self, account: Account, to: str) -> None:
        outcome = self.call(account, "EnableKey" if to == "Enabled" else "DisableKey")
        if account.state in ("Enabled", "Disabled"):
            assert outcome == "OK"
            account.state = to
        else:
            assert outcome == INVALID

    def schedule(self, account: Account, days: int) -> None:
        outcome = self.call(account, "ScheduleKeyDeletion", pending_window_in_days=days)
        if account.state in ENDING:
            assert outcome == INVALID
            return
        assert outcome == "OK"
        account.window = days
        if account.primary and len(self.family_of(account)) > 1:
            account.state = "PendingReplicaDeletion"
        else:
            account.state, account.ends = "PendingDeletion", self.today + days

    def schedule_family(self, account: Account, days: int) -> None:
        for member in self.family_of(account):
            self.schedule(member, days)

    def cancel(self, account: Account) -> None:
        outcome = self.call(account, "CancelKeyDeletion")
        if account.state not in ENDING:
            assert outcome == INVALID
            return
        assert outcome == "OK"
        account.ends, account.state = None, "PendingImport" if account.missing else "Disabled"

    def rotate(self, account: Account) -> None:
        outcome = self.call(account, "RotateKeyOnDemand")
        if not account.primary:
            assert outcome == "UnsupportedOperationException"
        elif account.state != "Enabled":
            assert outcome == account.refusal
        elif account.family.external:
            assert outcome == INVALID  # no other material was imported
        else:
            assert outcome in ("OK", "LimitExceededException")
            for member in self.family_of(account):
                self.encrypt(member, b"under the new material")

    def import_same(self, account: Account, days: int | None) -> None:
        if account.family.material is None or account.state in ENDING:
            return
        expires = None if days is None else self.today + days
        expires_ns = None if expires is None else self.start_ns + expires * DAY_NS
        self.direct.import_material(self.arn(account), account.family.material, expires_ns)
        account.missing, account.expires = False, expires
        account.state = "Enabled" if account.state == "PendingImport" else account.state

    def delete_material(self, account: Account) -> None:
        outcome = self.call(account, "DeleteImportedKeyMaterial")
        if not account.family.external:
            assert outcome == "UnsupportedOperationException"
            return
        assert outcome == "OK"
        account.lose()

    def encrypt(self, account: Account, plaintext: bytes) -> None:
        members = {"region": account.region, "key_id": account.family.key_id, "plaintext": plaintext}
        if account.refusal != "OK":
            assert self.direct.outcome("Encrypt", **members) == account.refusal
            return
        account.family.sealed.append((self.direct.run("Encrypt", **members).ciphertext_blob, plaintext))

    # -- time and the process

    def advance(self, days: int) -> None:
        self.direct.advance(days * DAY_NS)
        for today in range(self.today, self.today + days + 1):
            self.today = today
            for account in list(self.accounts):
                if account.expires is not None and account.expires <= self.today:
                    account.lose()
            gone = [account for account in self.accounts if account.ends is not None and account.ends <= self.today]
            while gone:
                for account in gone:
                    self.accounts.remove(account)
                    self._begin_window(account)
                gone = [item for item in self.accounts if item.ends is not None and item.ends <= self.today]

    def _begin_window(self, gone: Account) -> None:
        rest = self.family_of(gone)
        if len(rest) == 1 and rest[0].state == "PendingReplicaDeletion":
            rest[0].state, rest[0].ends = "PendingDeletion", self.today + rest[0].window

    @rule()
    def restart(self) -> None:
        self.direct.close()
        self.data.close()
        self._start()

    # -- what holds

    def _check(self) -> None:
        self.states_are_the_documented_ones()
        self.decrypt_works_exactly_where_it_may()
        self.nothing_decrypts_where_the_key_is_not()

    def states_are_the_documented_ones(self) -> None:
        for account in self.accounts:
            found = self.direct.run("DescribeKey", region=account.region, key_id=account.family.key_id).key_metadata
            assert found.key_state == account.state
            assert found.enabled is (account.state == "Enabled")
            assert found.HasField("deletion_date") is (account.state == "PendingDeletion")
            if account.family.multi_region:
                assert found.multi_region_configuration.multi_region_key_type == (
                    "PRIMARY" if account.primary else "REPLICA"
                )
        for region in REGIONS:
            listed = {entry.key_id for entry in self.direct.run("ListKeys", region=region, limit=1000).keys}
            assert listed == {account.family.key_id for account in self.accounts if account.region == region}

    def decrypt_works_exactly_where_it_may(self) -> None:
        for account in self.accounts:
            for blob, plaintext in account.family.sealed[-3:] + account.family.sealed[:1]:
                members = {"region": account.region, "ciphertext_blob": blob}
                if account.refusal == "OK":
                    assert self.direct.run("Decrypt", **members).plaintext == plaintext
                    with pytest.raises(CloudError, match="InvalidCiphertextException"):
                        self.direct.run("Decrypt", **members, encryption_context={"a": "b"})
                else:
                    assert self.direct.outcome("Decrypt", **members) == account.refusal

    def nothing_decrypts_where_the_key_is_not(self) -> None:
        for family in self.families:
            here = {account.region for account in self.accounts if account.family is family}
            for blob, _ in family.sealed[-1:]:
                for region in set(REGIONS) - here:
                    assert (
                        self.direct.outcome("Decrypt", region=region, ciphertext_blob=blob) == "AccessDeniedException"
                    )


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=40,
    stateful_step_count=6,
    suppress_health_check=[HealthCheck.too_slow],
    # Shrinking would take minutes: every attempt opens a store.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
