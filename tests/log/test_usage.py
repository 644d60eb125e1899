"""The keys that segments of a log need: told from few clear heads, with none of the keys."""

import os
from collections import Counter
from pathlib import Path

import pytest

from keystore.errors import LogDamagedError
from keystore.node.directory import Node
from keystore.node.usage import keys_usage
from keystore.objects.directory import DirectoryPlace
from keystore.snapshots.log_eras import log_eras
from keystore.snapshots.log_segment import object_name
from keystore.snapshots.log_tail import read_head, segment_numbers

SIZE = 4096


def write(node: Node, segments: int) -> None:
    for _ in range(segments):
        with node.using_store("db", "file") as store:
            store.commit({0: os.urandom(SIZE)})
        node.log.flush()


@pytest.fixture
def eras(node: Node, place: Path, cmk: str, other_cmk: str) -> dict[str, int]:
    """Segments under two CMKs, in four eras; returns how many need which key."""
    node.create_store("db", "file", SIZE).close()
    write(node, 4)
    node.rotate_master()
    write(node, 1)
    node.change_cmk(other_cmk)
    write(node, 5)
    node.rotate_master()
    write(node, 2)
    node.close()
    found = DirectoryPlace(place)
    heads = [read_head(found, node.node_id, number) for number in segment_numbers(found, node.node_id)]
    counts = Counter(head.wrapped.key_id for head in heads)
    assert set(counts) == {cmk, other_cmk}
    assert len({head.era for head in heads}) == 4
    return dict(counts)


def test_each_key_with_its_segments(eras: dict[str, int], node: Node, place: Path) -> None:
    report = keys_usage([place])
    assert (report.problems, report.notes) == ((), ())
    assert {key.key_version: sum(user.segments for user in key.users) for key in report.keys} == eras
    for key in report.keys:
        assert {(user.kind, user.place) for user in key.users} == {("log", str(place / "log" / node.node_id.hex()))}
        assert key.safe_ns is None  # they go when somebody prunes the log


def test_few_heads_are_read(eras: dict[str, int], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    really_open = DirectoryPlace.open

    def counting(self: DirectoryPlace, name: str) -> object:
        opened.append(name)
        return really_open(self, name)

    monkeypatch.setattr(DirectoryPlace, "open", counting)
    found = list(log_eras(DirectoryPlace(place)))
    assert [era.last.era for era in found] == [1, 2, 3, 4]
    assert sum(era.count for era in found) == sum(eras.values())
    assert len(opened) <= 4 * (2 + sum(eras.values()).bit_length())


def test_a_damaged_segment_is_a_problem(eras: dict[str, int], node: Node, place: Path) -> None:
    (place / object_name(node.node_id, 1)).write_bytes(b"no segment")
    report = keys_usage([place])
    assert [type(problem) for problem in report.problems] == [LogDamagedError]
