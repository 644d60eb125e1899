"""A chain of snapshots in a directory and in buckets: taken, listed, restored, deleted, cleared up, the same in all."""

import io
from pathlib import Path
from random import Random

from keystore.node.directory import Node
from keystore.node.restoring import restore
from keystore.node.snapshotting import snapshot
from keystore.objects.opening import open_place
from keystore.snapshots.delete import collect_garbage, delete_snapshot
from keystore.snapshots.listing import list_snapshots
from keystore.snapshots.manifest import read_manifest
from keystore.snapshots.names import BEGUN, PACKS, ids_in, snapshot_ids
from keystore.snapshots.opened import open_snapshot
from tests.snapshots.conftest import CountingConnector, contents

PAGE = 4096
PAGES = 300


def test_the_life_of_a_chain(node: Node, place_url: str, connect: CountingConnector, tmp_path: Path) -> None:
    place, random, known = open_place(place_url), Random(1), dict[bytes, bytes]()
    data = bytearray(random.randbytes(PAGES * PAGE))
    node.import_file("d", "f", io.BytesIO(data), page_size=PAGE)
    for turn in range(3):
        changed = {number: random.randbytes(PAGE) for number in range(turn, PAGES, 60)}
        for number, page in changed.items():
            data[number * PAGE : (number + 1) * PAGE] = page
        with node.using_store("d", "f") as store:
            store.commit(dict(changed))
        made = snapshot(node, place)
        assert made.parent == (max(known) if known else None)
        assert made.stored_bytes < ((PAGES if not turn else len(changed)) + 20) * PAGE
        known[made.snapshot_id] = bytes(data)
    assert [(item.snapshot_id, item.state) for item in list_snapshots(place)] == [(each, "complete") for each in known]
    first, middle, last = known
    delete_snapshot(place, middle)
    for snapshot_id in (first, last):
        restore(place, snapshot_id, tmp_path / snapshot_id.hex(), connect)
        assert contents(tmp_path / snapshot_id.hex(), connect, tmp_path / "out") == {("d", "f"): known[snapshot_id]}
    with open_snapshot(place, last, connect) as opened:
        assert [batch.page_nos.tolist() for batch in opened.pages(opened.body.stores[0], [299, 5])] == [[5, 299]]
    assert collect_garbage(place, now_ns=lambda: 4 * 10**18).names == ()
    delete_snapshot(place, first)
    needed = {pack.pack_id for pack in read_manifest(place, last).head.packs}
    assert (snapshot_ids(place), set(ids_in(place, PACKS)), ids_in(place, BEGUN)) == ([last], needed, {})
    delete_snapshot(place, last)
    assert place.names() == []
