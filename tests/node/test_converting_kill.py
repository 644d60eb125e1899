"""kill -9 at the operations of a conversion, on the node's files and on those of its stores; nothing is lost.

A child converts a copy of the same node, and commits whenever it tells how far it is; it dies at one operation. Whoever
opens the node finds everything, in stores with the layer and without; the same call once more does what is left.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node
from keystore.pages import movable
from keystore.pages.blockfile import OsBlockFile
from tests.key_files import new_key
from tests.node.test_kill import KillingFiles, killed
from tests.pages.stores import each_commit_marked

PAGES = 12
OPERATIONS_MAX = 2000
ENOUGH = 300
"""Operations that a conversion has at least."""


@dataclass(frozen=True)
class Keys:
    """What a node is under: URI of the CMK, and of the platform key of its volume layer."""

    cmk: str
    volume: str | None


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """And every commit writes the watermark, so that an operation has the same number each time."""
    monkeypatch.setattr(movable, "STEP_BYTES", 128 << 10)
    with each_commit_marked():
        yield


def page_of(number: int) -> bytes:
    return number.to_bytes(8, "big") * 512


def dying(operation: Callable[..., Any], files: KillingFiles) -> Callable[..., Any]:
    """Return an operation of a store's file that counts with those of the node's files."""

    def act(*arguments: Any, **named: Any) -> Any:
        files._step()
        return operation(*arguments, **named)

    return act


def convert_and_die(directory: Path, wanted: Keys, connect: KmsConnector, at: int, told: int) -> Callable[[], None]:
    def run() -> None:
        files, number = KillingFiles(1 << 30), 0
        for name in ("write", "by_descriptor", "sync", "extend", "truncate"):
            setattr(OsBlockFile, name, dying(getattr(OsBlockFile, name), files))
        node = Node.open(directory, connect, files=files)
        with node.using_store("d", "busy") as store:

            def commit(done: int, total: int) -> None:
                nonlocal number
                number += 1
                store.commit({number % PAGES: page_of(number)})
                os.write(told, b"!")

            files._left = at
            node.convert(wanted.cmk, wanted.volume, progress=commit)
        node.close()

    return run


def expected(commits: int) -> list[bytes]:
    pages = [page_of(0)] * PAGES
    for number in range(1, commits + 1):
        pages[number % PAGES] = page_of(number)
    return pages


def require_whole(node: Node, commits: int) -> int:
    """Require what was acknowledged, and no more than the commit that was under way; return how many are there."""
    with node.using_store("d", "busy") as store:
        found = store.read_many(range(PAGES))
    assert found in (expected(commits), expected(commits + 1))
    with node.using_store("d", "idle") as store:
        assert store.read_many(range(PAGES)) == [page_of(1 << 40)] * PAGES
    assert node.verify().ok
    return commits if found == expected(commits) else commits + 1


def require_converted(node: Node, wanted: Keys, generation: int) -> None:
    assert not node.is_converting
    assert node.master_info.key_id == wanted.cmk
    assert (node.volume_info and node.volume_info.key_id) == wanted.volume
    assert [key.state for key in node.list_databases()[0].data_keys] == ["destroyed"] * (generation - 1) + ["current"]
    for name in ("busy", "idle"):
        with node.using_store("d", name) as store:
            store.checkpoint()
    files = [path for path in node.directory.rglob("databases/*/*") if path.is_file()]
    assert [path.suffix for path in files] == [".store"] * 2
    assert {path.read_bytes()[:8] == b"CMKPAGES" for path in files} == {wanted.volume is None}
    assert (node.directory / "volume").exists() == (wanted.volume is not None)


def explore(tmp_path: Path, connect: KmsConnector, begin: Keys, wanted: Keys, operations: range) -> int:
    """Kill a conversion from `begin` to `wanted` at each of the operations; return how often it died."""
    first = tmp_path / "first"
    with Node.init(first, begin.cmk, connect, volume_key=begin.volume) as node:
        for name, number in (("busy", 0), ("idle", 1 << 40)):
            with node.new_store("d", name, 4096) as store:
                store.commit({page: page_of(number) for page in range(PAGES)})
    for at in operations:
        directory = tmp_path / "node"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(first, directory)
        lines, told = os.pipe()
        died = killed(convert_and_die(directory, wanted, connect, at, told))
        os.close(told)
        with os.fdopen(lines, "rb") as rest:
            commits = len(rest.read())
        with Node.open(directory, connect) as node:
            commits = require_whole(node, commits)
            if not died:
                require_converted(node, wanted, 2)
                return operations.index(at)
            node.convert(wanted.cmk, wanted.volume)
            require_converted(node, wanted, 2)
        with Node.open(directory, connect) as node:
            assert require_whole(node, commits) == commits
    raise AssertionError("it has more operations than that")


@pytest.fixture
def customer(tmp_path: Path) -> Keys:
    return Keys(new_key(tmp_path / "customer"), new_key(tmp_path / "platform"))


@pytest.fixture
def platform(cmk: str) -> Keys:
    return Keys(cmk, None)


STEP = 31


def test_a_kill_while_customer_keys_go_on(
    tmp_path: Path, customer: Keys, platform: Keys, connect: KmsConnector
) -> None:
    assert explore(tmp_path, connect, platform, customer, range(0, OPERATIONS_MAX, STEP)) >= ENOUGH // STEP


def test_a_kill_while_they_go_off(tmp_path: Path, customer: Keys, platform: Keys, connect: KmsConnector) -> None:
    assert explore(tmp_path, connect, customer, platform, range(4, OPERATIONS_MAX, STEP)) >= ENOUGH // STEP


@pytest.mark.soak
@pytest.mark.parametrize("on", [True, False])
def test_a_kill_at_every_operation(
    tmp_path: Path, customer: Keys, platform: Keys, connect: KmsConnector, on: bool
) -> None:
    begin, wanted = (platform, customer) if on else (customer, platform)
    assert explore(tmp_path, connect, begin, wanted, range(OPERATIONS_MAX)) >= ENOUGH
