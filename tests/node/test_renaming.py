"""Files that are renamed, replaced and dropped while somebody has them, in a node that has more to do than that."""

from io import BytesIO

import pytest

from keystore.errors import (
    InputError,
    NameTakenError,
    NameUnknownError,
    StoreClosedError,
    StoreLockedError,
    WrongKeyError,
)
from keystore.kms.protocol import KmsConnector
from keystore.node.directory import Node

PAGE = 4096


def fill(node: Node, *names: str) -> None:
    for name in names:
        with node.new_store("db", name, PAGE) as store:
            store.commit({0: name.encode().ljust(PAGE)})


def content(node: Node, name: str) -> bytes:
    with node.using_store("db", name) as store:
        return store.read(0).rstrip()


def replace(node: Node, name: str, text: bytes) -> None:
    with node.replacement() as replacement:
        with replacement.filling("db", name, PAGE, 7) as store:
            store.commit({0: text.ljust(PAGE)})
        replacement.put_in_place()


def test_a_name_that_is_taken_is_kept_unless_it_is_to_be_replaced(node: Node) -> None:
    fill(node, "a", "b")
    store_id = node.databases["db"].stores["a"].store_id
    with pytest.raises(NameTakenError):
        node.rename_file("db", "a", "b")
    for old, new, error in (("none", "a", NameUnknownError), ("a", "../a", InputError)):
        with pytest.raises(error):
            node.rename_file("db", old, new, replace=True)
    node.rename_file("db", "a", "a")
    assert (content(node, "a"), content(node, "b")) == (b"a", b"b")
    node.rename_file("db", "a", "b", replace=True)
    assert list(node.databases["db"].stores) == ["b"]
    assert node.databases["db"].stores["b"].store_id == store_id
    assert content(node, "b") == b"a"
    assert node.verify().ok


def test_what_is_open_for_writing_is_renamed_and_not_replaced(node: Node) -> None:
    fill(node, "a", "b")
    with node.open_store("db", "a") as owned:
        with pytest.raises(StoreLockedError):
            node.rename_file("db", "b", "a", replace=True)
        with pytest.raises(StoreLockedError):
            replace(node, "a", b"new")
        node.rename_file("db", "a", "c")
        owned.commit({0: b"changed".ljust(PAGE)})
    assert content(node, "c") == b"changed"
    assert content(node, "b") == b"b"


def test_a_store_that_was_replaced_is_its_readers_and_nobody_elses(node: Node, connect: KmsConnector) -> None:
    fill(node, "a")
    node.keep_stores_open(4)
    with node.using_store("db", "a") as former:
        replace(node, "a", b"new")
        assert former.read(0).rstrip() == b"a"
        with node.open_store("db", "a") as owned:
            assert owned.read(0).rstrip() == b"new"
        with pytest.raises(StoreLockedError):
            node.shred("db")
        assert node.verify().ok
        left = former
    with pytest.raises(StoreClosedError):
        left.read(0)
    with node.using_store("db", "a"):
        replace(node, "a", b"newer")
        node.close()  # with a reader of what is no more
    with Node.open(node.directory, connect) as again:
        assert content(again, "a") == b"newer"
        assert again.verify().ok


def test_a_data_key_that_is_destroyed_is_taken_from_readers_of_former_stores(node: Node) -> None:
    with node.new_store("db", "a", PAGE) as store:
        store.commit({number: bytes([number]) * PAGE for number in range(3)})
    with node.using_store("db", "a") as former:
        former.read(0)
        node.new_data_key("db")
        replace(node, "a", b"new")
        node.key_life.destroy("db", 1)
        with pytest.raises(WrongKeyError):
            former.read(1)
    assert content(node, "a") == b"new"


def test_a_drop_and_a_restore_refuse_what_is_in_use(node: Node) -> None:
    node.import_file("db", "a", BytesIO(b"one"), page_size=PAGE)
    with node.using_store("db", "a"):
        with pytest.raises(StoreLockedError):
            node.drop_file("db", "a")
        with node.replacement() as replacement:
            with replacement.filling("db", "a", PAGE, 7):
                pass
            with pytest.raises(StoreLockedError):
                replacement.put_in_force()
    assert node.master_info.generation == 1
    assert content(node, "a").startswith(b"one")
