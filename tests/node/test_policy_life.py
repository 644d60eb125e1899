"""A backup policy over months, on a real node, a real place and a real KMS, all on the emulator's clock.

The use of a key falls to zero when its last snapshot expires. Then it is deleted, and everything that is left restores.
"""

import os
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from keystore.format.kind import SnapshotKind
from keystore.kms.connect import connector
from keystore.kms.naming import KeyName
from keystore.node.directory import Node
from keystore.node.drill import drill
from keystore.node.policy_run import PolicyRun, run_policy
from keystore.node.usage import KeyUsage, keys_usage
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.names import snapshot_ids
from keystore.snapshots.policy import DAY_NS, DEFAULT_POLICY, Policy, PolicyItem, Retention
from kms_emulator.embedded import KmsEmulator
from tests.snapshots.test_policy_year import by_hand
from tests.snapshots.virtual_target import HOUR_NS, ns, text

MONTHLY = Policy(
    time(18, 0),
    (
        PolicyItem(SnapshotKind.DAILY, Retention(2, "days")),
        PolicyItem(SnapshotKind.WEEKLY, Retention(2, "weeks"), weekday=5),
        PolicyItem(SnapshotKind.MONTHLY, Retention(1, "months")),
    ),
)


@dataclass
class Life:
    """A node under a key of the emulator, and its snapshots."""

    kms: KmsEmulator
    directory: Path
    place: DirectoryPlace
    policy: Policy
    now_ns: int

    def open(self) -> AbstractContextManager[Node]:
        return Node.open(self.directory, connector(self.kms.grpc_endpoint), now_ns=lambda: self.now_ns)

    def run_at(self, now_ns: int) -> PolicyRun:
        self.now_ns = now_ns
        self.kms.clock.set(datetime.fromtimestamp(now_ns // 10**9, UTC), frozen=True)
        done = run_policy(self.place, self.directory, self.open, self.policy, now_ns=lambda: self.now_ns)
        assert (done.problems, done.refusal, done.kept) == ([], None, [])
        return done

    def usage(self, uri: str) -> KeyUsage | None:
        report = keys_usage([self.directory, self.place.path])
        assert report.problems == ()
        return next(iter(report.of(KeyName(uri))), None)


def new_key(kms: KmsEmulator) -> str:
    with closing(kms.boto3_client("kms")) as client:
        return f"aws://us-east-1/{client.create_key()['KeyMetadata']['Arn']}"


def begin(kms: KmsEmulator, tmp_path: Path, policy: Policy, start: str) -> tuple[Life, str]:
    kms.clock.set(datetime.fromisoformat(start).replace(tzinfo=UTC), frozen=True)
    uri = new_key(kms)
    (tmp_path / "source").write_bytes(os.urandom(10_000))
    with Node.init(tmp_path / "node", uri, connector(kms.grpc_endpoint), now_ns=lambda: ns(start)) as node:
        node.import_file("db", "file", tmp_path / "source", page_size=4096)
    return Life(kms, tmp_path / "node", DirectoryPlace(tmp_path / "snapshots"), policy, ns(start)), uri


def test_the_use_of_a_key_falls_to_zero_and_then_it_is_deleted(kms_emulator: KmsEmulator, tmp_path: Path) -> None:
    life, first = begin(kms_emulator, tmp_path, MONTHLY, "2026-01-28T18:00")
    for now_ns in range(life.now_ns, ns("2026-02-03T00:00"), DAY_NS):
        life.run_at(now_ns)
    usage = life.usage(first)
    assert usage is not None
    assert (len([user for user in usage.users if user.kind == "node"]), usage.safe_ns) == (1, None)
    second = new_key(kms_emulator)
    with life.open() as node:
        node.change_cmk(second)
    # Left under the first key: of the last two days, and 31 January, a Saturday, for a month.
    usage = life.usage(first)
    assert usage is not None
    assert [text(user.expires_ns) for user in usage.users] == [
        "2026-02-28T18:00",
        "2026-02-03T18:00",
        "2026-02-04T18:00",
    ]
    assert text(usage.safe_ns or 0) == "2026-02-28T18:00"

    with closing(kms_emulator.boto3_client("kms")) as client:
        arn = first.removeprefix("aws://us-east-1/")
        for user in usage.users:
            assert user.snapshot_id is not None
            kms_emulator.guard.add(arn, f"snapshot {user.snapshot_id.hex()}")
        kms_emulator.guard.on()
        counts = []
        for now_ns in range(ns("2026-02-03T18:00"), ns("2026-03-03T00:00"), DAY_NS):
            for head in life.run_at(now_ns).deleted:
                if head.wrapped.key_version == arn:
                    kms_emulator.guard.remove(f"snapshot {head.snapshot_id.hex()}")
            usage = life.usage(first)
            counts.append(0 if usage is None else len(usage.users))
            if usage is not None:
                with pytest.raises(ClientError, match="is in use by snapshot"):
                    client.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        assert counts == [2, *[1] * 24, 0, 0, 0]

        client.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        life.run_at(life.now_ns + 8 * DAY_NS)
        with pytest.raises(client.exceptions.NotFoundException):
            client.describe_key(KeyId=arn)
    done = list(drill(life.place, connector(kms_emulator.grpc_endpoint)))
    assert [one.error for one in done] == [None] * len(snapshot_ids(life.place))
    assert {one.head.wrapped.key_id for one in done if one.head} == {second}
    with life.open() as node:
        node.export_file("db", "file", tmp_path / "exported")
    assert (tmp_path / "exported").read_bytes() == (tmp_path / "source").read_bytes()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_year_of_the_default_policy_for_real(kms_emulator: KmsEmulator, tmp_path: Path) -> None:
    """1,584 snapshots; at 18:00 of each day there are as many as the table says that was computed by hand."""
    life, _ = begin(kms_emulator, tmp_path, DEFAULT_POLICY, "2026-01-01T00:00")
    counts = {}
    for now_ns in range(life.now_ns, ns("2027-02-01T00:00"), 6 * HOUR_NS):
        assert life.run_at(now_ns).taken is not None
        if text(now_ns).endswith("18:00"):
            counts[text(now_ns)[:10]] = len(snapshot_ids(life.place))
    assert counts == by_hand()
    assert all(one.error is None for one in drill(life.place, connector(kms_emulator.grpc_endpoint)))
