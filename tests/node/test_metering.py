"""Seals are counted by data key, and a key that reached its limit is changed without being asked."""

from pathlib import Path

import pytest

from keystore.keys.files import Files
from keystore.kms.protocol import KmsConnector
from keystore.node import metering
from keystore.node.directory import Node
from keystore.pages import sessions

SESSION = 4096
"""Seals of a session in these tests. A commit of a page takes for two more than it needs, a checkpoint for 1024."""
BATCH = 1000


class CountingFiles(Files):
    """Counts how often a keystore file was put in force; refuses new files while `full`."""

    def __init__(self) -> None:
        self.replaced, self.full = 0, False

    def create(self, path: Path) -> int:
        if self.full and path.name == "keystore.new":
            raise OSError(28, "No space left on device")
        return super().create(path)

    def rename(self, old: Path, new: Path) -> None:
        self.replaced += new.name == "keystore"
        super().rename(old, new)


@pytest.fixture(autouse=True)
def small_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SEALS_MAX", SESSION)


def fill(node: Node, sessions_wanted: int) -> None:
    """Write so much into an open store that it begins as many sessions."""
    with node.using_store("d", "f") as store:
        for number in range(sessions_wanted * SESSION // BATCH):
            store.commit({page: bytes([number]) * 4096 for page in range(BATCH)})


def seals(node: Node) -> list[int]:
    return [key.seals for key in node.list_databases()[0].data_keys]


def test_seals_are_counted_and_kept(
    directory: Path, cmk: str, connect: KmsConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "CLOSE_SEALS", BATCH)
    with Node.init(directory, cmk, connect) as node:
        node.create_store("d", "f", 4096).close()
        fill(node, 1)
    with Node.open(directory, connect) as node:
        (counted,) = seals(node)
        assert 4 * BATCH <= counted <= 4 * BATCH + 200  # pages; the rest is blocks and records


def test_a_little_is_not_worth_a_writing(directory: Path, cmk: str, connect: KmsConnector) -> None:
    files = CountingFiles()
    with Node.init(directory, cmk, connect, files=files) as node:
        node.create_store("d", "f", 4096).close()
        before = files.replaced
        fill(node, 3)
        assert seals(node) == [0]
    assert files.replaced == before


def test_much_is_written_down_meanwhile(
    directory: Path, cmk: str, connect: KmsConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "SAVE_SEALS", SESSION)
    files = CountingFiles()
    with Node.init(directory, cmk, connect, files=files) as node:
        node.create_store("d", "f", 4096).close()
        before = files.replaced
        fill(node, 4)
        assert seals(node)[0] >= SESSION
        assert 1 <= files.replaced - before <= 4


def test_at_the_limit_an_open_store_goes_on_under_a_new_key(
    directory: Path, cmk: str, connect: KmsConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "SEALS_MAX", 2 * SESSION)
    with Node.init(directory, cmk, connect) as node:
        store = node.create_store("d", "f", 4096)
        for number in range(16):
            store.commit({page: bytes([number]) * 4096 for page in range(BATCH)})
        generations = [key.generation for key in node.list_databases()[0].data_keys]
        assert generations == [1, 2]
        under = {each.generation: each.entries for each in store.key_references()}
        assert under[2] >= BATCH
        assert 2 * SESSION <= seals(node)[0] < 3 * SESSION
        assert store.read(7) == bytes([15]) * 4096
        store.close()


def test_without_space_the_change_is_tried_again(
    directory: Path, cmk: str, connect: KmsConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No commit fails for it; nothing that was counted is lost."""
    monkeypatch.setattr(metering, "SEALS_MAX", SESSION // 2)
    files = CountingFiles()
    with Node.init(directory, cmk, connect, files=files) as node:
        node.create_store("d", "f", 4096).close()
        files.full = True
        fill(node, 2)
        assert seals(node) == [0]
        files.full = False
        fill(node, 2)
        assert len(seals(node)) > 1
        assert seals(node)[0] >= 2 * SESSION


def test_the_limit_is_what_the_bound_says() -> None:
    """2^32 seals in sessions of 2^20, each of 2^32 AES blocks of a key of its own at most."""
    full_sessions = metering.SEALS_MAX // (1 << 20)
    blocks = (1 << 20) * 65536 // 16
    assert full_sessions * blocks**2 / 2**129 <= 2**-52
    assert metering.SAVE_SEALS <= metering.SEALS_MAX >> 10
