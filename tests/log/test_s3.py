"""A log in a bucket: written, gone on with, and restored from."""

from pathlib import Path
from random import Random

from keystore.kms.connect import connector
from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.opening import open_place
from keystore.snapshots.at_time import PointInTime
from keystore.snapshots.log_tail import segment_numbers
from tests.buckets import s3_bucket as s3_bucket
from tests.buckets import s3_endpoint as s3_endpoint
from tests.log.history import SIZE, History, change, state_of


def test_a_log_in_a_bucket(tmp_path: Path, cmk: str, s3_bucket: str) -> None:
    place, history, random = open_place(f"{s3_bucket}/nodes"), History(), Random(2)
    with Node.init(tmp_path / "node", cmk, connector()) as node:
        node.log.enable(str(place))
        node.create_store("db", "a", SIZE).close()
        made = snapshot(node, place)
    for _ in range(2):
        with Node.open(tmp_path / "node", connector()) as node, node.using_store("db", "a") as store:
            for _ in range(10):
                change(store, random)
                history.note("a", store)
    assert len(segment_numbers(place, node.node_id)) == 4
    at_ns = history.times()[13]
    restore(place, made.snapshot_id, tmp_path / "new", connector(), at=PointInTime(at_ns))
    with Node.open(tmp_path / "new", connector()) as new, new.using_store("db", "a") as store:
        assert state_of(store) == history.at("a", at_ns)
