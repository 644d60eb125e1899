"""Stores that a serving node keeps open without a user: how many, and that nobody meets them as in use."""

import threading
from pathlib import Path

import pytest

from keystore.errors import NodeClosedError, StoreClosedError
from keystore.node.directory import Node
from keystore.pages.store import PageStore

PAGE = 4096


def fill(node: Node, *names: str) -> None:
    for name in names:
        with node.new_store("db", name, PAGE) as store:
            store.commit({0: bytes([1]) * PAGE})


def used(node: Node, name: str) -> PageStore:
    with node.using_store("db", name) as store:
        store.read(0)
        return store


def is_open(store: PageStore) -> bool:
    try:
        store.read(0)
    except StoreClosedError:
        return False
    return True


def test_without_it_a_store_closes_with_its_last_user(node: Node) -> None:
    fill(node, "a")
    assert not is_open(used(node, "a"))


def test_the_stores_used_last_stay_open_as_many_as_asked_for(node: Node) -> None:
    fill(node, "a", "b", "c")
    node.keep_stores_open(2)
    first, second = used(node, "a"), used(node, "b")
    assert used(node, "a") is first
    third = used(node, "c")
    assert [is_open(store) for store in (first, second, third)] == [True, False, True]
    node.close()
    assert not is_open(first)
    with pytest.raises(NodeClosedError):
        used(node, "a")


def test_a_new_store_is_not_kept_before_it_is_in_the_catalogue(node: Node) -> None:
    node.keep_stores_open(4)
    with node.new_store("db", "a", PAGE) as made:
        made.commit({0: bytes([1]) * PAGE})
    assert not is_open(made)
    assert used(node, "a").read(0) == bytes([1]) * PAGE


def test_after_a_failure_a_store_is_opened_anew(node: Node) -> None:
    fill(node, "a")
    node.keep_stores_open(4)
    first = used(node, "a")
    with pytest.raises(RuntimeError), node.using_store("db", "a"):
        raise RuntimeError("the user's own")
    assert not is_open(first)
    assert used(node, "a").epoch == first.epoch + 1


def test_a_kept_store_is_dropped_owned_and_opened_by_others(node: Node) -> None:
    fill(node, "a", "b")
    node.keep_stores_open(4)
    kept = used(node, "a")
    with node.open_store("db", "a") as owned:
        assert owned is kept
    node.drop_file("db", "a")
    assert not is_open(kept)
    kept = used(node, "b")
    node.shred("db")
    assert not is_open(kept)


def test_many_threads_use_more_stores_than_are_kept(node: Node, tmp_path: Path) -> None:
    names = [f"store-{number}" for number in range(6)]
    fill(node, *names)
    node.keep_stores_open(2)
    failures: list[BaseException] = []

    def work(start: int) -> None:
        try:
            for number in range(40):
                name = names[(start + number * 5) % len(names)]
                with node.using_store("db", name) as store:
                    store.commit({start + 1: bytes([number]) * PAGE})
                    assert store.read(start + 1) == bytes([number]) * PAGE
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(is_open(used(node, name)) for name in names) == len(names)
    assert node.verify().ok
