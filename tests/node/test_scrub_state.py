"""The file in which a check of a node keeps how far it came: what is put in its place is refused, never believed."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystore.crypto.secret import SecretKey
from keystore.errors import InputError, NodeClosedError, NodeIOError
from keystore.node.directory import Node
from keystore.node.scrub_state import ScrubState

STORE, NOW = bytes(16), 1_000


@pytest.fixture
def key() -> Iterator[SecretKey]:
    with SecretKey.generate() as made:
        yield made


@pytest.fixture
def position(tmp_path: Path, key: SecretKey) -> Path:
    """A file that says that one store is done."""
    ScrubState.load(tmp_path / "position", key, NOW).finish(STORE, [7])
    return tmp_path / "position"


def test_it_comes_back_with_the_time_of_its_beginning(position: Path, key: SecretKey) -> None:
    found = ScrubState.load(position, key, 2 * NOW)
    assert (found.begun_ns, found.of(STORE).done, found.of(STORE).damaged) == (NOW, True, [7])
    found.finish(bytes([1] * 16), [])
    assert ScrubState.load(position, key, 3 * NOW).begun_ns == NOW
    assert sorted(path.name for path in position.parent.iterdir()) == ["position"]


def test_every_flip_and_every_cut_is_refused_and_left_as_it_is(position: Path, key: SecretKey) -> None:
    genuine = position.read_bytes()
    changed = [genuine[:at] + bytes([genuine[at] ^ 1]) + genuine[at + 1 :] for at in range(len(genuine))]
    for content in [*changed, *(genuine[:length] for length in range(len(genuine))), genuine + b"\0", b"{}"]:
        position.write_bytes(content)
        with pytest.raises(InputError, match="nothing was read"):
            ScrubState.load(position, key, NOW)
        assert position.read_bytes() == content


def test_that_of_another_node_is_refused(position: Path) -> None:
    with SecretKey.generate() as other, pytest.raises(InputError, match="of another node"):
        ScrubState.load(position, other, NOW)


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null", "directory", "pipe", "dangling"])
def test_what_is_no_file_is_refused_without_reading_it(tmp_path: Path, key: SecretKey, place: str) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(InputError, match="is no position of a check"):
        ScrubState.load(tmp_path / place, key, NOW)


def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(node: Node, tmp_path: Path) -> None:
    with pytest.raises(NodeIOError, match="name another path"):
        node.verify(resume=tmp_path / "missing" / "position")
    with pytest.raises(InputError, match="inside the node"):
        node.verify(resume=node.directory / "position")
    assert not (node.directory / "position").exists()


def test_one_that_cannot_be_written_any_more_is_no_damage_of_a_store(node: Node, tmp_path: Path) -> None:
    def remove(done: int, total: int) -> None:
        shutil.rmtree(tmp_path / "place", ignore_errors=True)

    (tmp_path / "place").mkdir()
    with node.create_store("db", "f") as store:
        store.commit({0: bytes(store.page_size)})
    with pytest.raises(NodeIOError, match="name another path"):
        node.verify(resume=tmp_path / "place" / "position", progress=remove)


class Terminated(BaseException):
    """As SIGTERM raises."""


@pytest.mark.parametrize("cause", [KeyboardInterrupt, Terminated])
def test_one_that_is_cut_off_goes_on_where_it_was(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: type[BaseException]
) -> None:
    """Far below the pages after which it is written down anyway."""
    with node.create_store("db", "f") as store:
        store.commit(dict.fromkeys(range(40), b"." * store.page_size))
        monkeypatch.setattr("keystore.pages.verify.READ_BYTES", 8 * store.page_size)
    position = tmp_path / "position"

    def cut(done: int, total: int) -> None:
        if 2 * done >= total:
            raise cause

    with pytest.raises(cause):
        node.verify(resume=position, progress=cut)
    check = node.verify(resume=position)
    assert [store.pages for store in check.stores] == [24]
    assert check.begun_ns is not None
    assert not position.exists()


def test_files_beside_it_stay(position: Path, key: SecretKey) -> None:
    beside = position.with_name(position.name + ".new")
    beside.write_text("mine")
    ScrubState.load(position, key, NOW).finish(STORE, [])
    assert beside.read_text() == "mine"


def test_a_node_that_closes_meanwhile_is_told(position: Path, key: SecretKey) -> None:
    state = ScrubState.load(position, key, NOW)
    key.wipe()
    with pytest.raises(NodeClosedError, match="closed while"):
        state.finish(STORE, [])
