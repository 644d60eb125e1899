"""What may be removed of a log: what no restore within its window needs, from the oldest segment on."""

from dataclasses import replace
from pathlib import Path

import pytest

from keystore.crypto.secret import SecretKey
from keystore.crypto.signing import SigningKey
from keystore.errors import LogMissingError
from keystore.format.manifest import NEVER
from keystore.format.snapshot_map import ManifestBody, ManifestKeys
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.node.snapshotting import snapshot
from keystore.objects.directory import DirectoryPlace
from keystore.objects.opening import open_place
from keystore.snapshots.log_pruning import DAY_NS, Base, needed_after, prune_log
from keystore.snapshots.log_tail import read_head, segment_numbers
from keystore.snapshots.manifest import read_manifest, seal_manifest
from keystore.snapshots.names import manifest_name, pack_name
from tests.log.history import SIZE

OLD, OLDER, NEW = Base(500, 5), Base(300, 3), Base(900, 9)


@pytest.mark.parametrize(
    ("bases", "start_ns", "expected"),
    [
        ([], 600, None),
        ([Base(500, 0)], 600, None),
        ([OLD], 600, 5),
        ([OLD, OLDER, NEW], 600, 5),
        ([OLD, OLDER, NEW], 500, 5),
        ([OLD, OLDER, NEW], 499, 3),
        ([OLD, OLDER, NEW], 299, 3),
        ([OLD, NEW], 100, 5),
        ([NEW, Base(700, 0)], 2000, 9),
    ],
)
def test_the_newest_snapshot_before_the_window_decides(bases: list[Base], start_ns: int, expected: int | None) -> None:
    assert needed_after(bases, start_ns) == expected


def test_segments_go_from_the_oldest_on_and_the_last_stays(
    tmp_path: Path, cmk: str, connect: KmsConnector, place: Path
) -> None:
    day = [30_000]  # later than the clock of this machine, which the headers of stores take
    with Node.init(tmp_path / "node", cmk, connect, now_ns=lambda: day[0] * DAY_NS) as node:
        node.log.enable(place)
        with node.create_store("db", "a", SIZE) as store:
            for _ in range(9):
                day[0] += 1
                store.commit({0: bytes([day[0] % 256]) * SIZE})
                node.log.flush()
        opened, node_id = open_place(str(place)), node.node_id
        numbers = segment_numbers(opened, node_id)
        assert numbers == list(range(1, 11))
        settled = {number: read_head(opened, node_id, number).settled_ns for number in numbers}

        def prune(bases: list[Base], window_days: int) -> list[int]:
            prune_log(opened, node_id, bases, window_days, 30_009 * DAY_NS)
            return segment_numbers(opened, node_id)

        with pytest.raises(LogMissingError, match="Nothing was removed"):
            prune([], 1)
        assert prune([Base(settled[4], 4)], 9) == numbers, "all is within the window"
        assert prune([Base(settled[4], 4)], 2) == numbers[4:]
        assert prune([Base(settled[4], 4), Base(settled[8], 8)], 5) == numbers[4:], "a restore builds on the fourth"
        assert prune([Base(settled[10], 10)], 0) == [10]
        store = node.open_store("db", "a")
        store.commit({0: b"x" * SIZE})
        assert node.log.flush() == 11


@pytest.mark.parametrize("wrong", ["forged", "lost a pack", "expired"])
def test_a_snapshot_that_no_restore_can_build_on_removes_nothing(
    tmp_path: Path, cmk: str, connect: KmsConnector, place: Path, wrong: str
) -> None:
    """A forged one may lie where its writer could not remove the log."""
    day = [30_000]
    target = DirectoryPlace(tmp_path / "target")
    with Node.init(tmp_path / "node", cmk, connect, now_ns=lambda: day[0] * DAY_NS) as node:
        node.log.enable(place)
        with node.create_store("db", "a", SIZE) as store:
            taken = []
            for number in range(9):
                day[0] += 1
                store.commit({number: bytes([number + 1]) * SIZE})
                node.log.flush()
                if number in (1, 4):
                    expires_ns = 30_006 * DAY_NS if (number, wrong) == (4, "expired") else NEVER
                    taken.append(snapshot(node, target, full=True, expires_ns=expires_ns))
        true, other = (read_manifest(target, each.snapshot_id).head for each in taken)
        if wrong == "lost a pack":
            target.remove(pack_name(other.packs[0].pack_id))
        elif wrong == "forged":
            target.remove(manifest_name(other.snapshot_id))
            signing, key = SigningKey(SecretKey.generate()), SecretKey.generate()
            head = replace(other, signer=signing.public, packs=(), expires_ns=NEVER)
            body, keys = ManifestBody("n", (), ()), ManifestKeys(b"", ())
            forged = seal_manifest(head, body, keys, map_key=key, snapshot_key=key, signing=signing)
            target.put(manifest_name(other.snapshot_id), forged)
        assert true.log.number < other.log.number
        assert node.log.prune([target], 3).removed == true.log.number
