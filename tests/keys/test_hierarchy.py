"""Databases, data keys and generations."""

import pytest

from keystore.errors import InputError, NameTakenError, NameUnknownError
from keystore.keys.hierarchy import DatabaseKeys, Keystore, StoreRecord, generate_database, generate_id


def test_each_database_has_a_key_of_its_own() -> None:
    one, two = generate_database("one", 1), generate_database("two", 1)
    assert one.data_keys[0].key != two.data_keys[0].key
    assert one.database_id != two.database_id
    assert [data_key.generation for data_key in one.data_keys] == [1]


def test_new_generation_is_for_writing_and_the_former_ones_only_open() -> None:
    database = generate_database("one", 1)
    states = [database]
    keys = DatabaseKeys(lambda: states[-1])
    first = keys.current()[1]
    states.append(database.with_new_generation(5).with_new_generation(6))
    generation, key = keys.current()
    assert generation == 3
    assert key != first
    assert keys.by_generation(1) == first
    assert [keys.by_generation(number).wiped for number in (1, 2, 3)] == [False] * 3
    for unknown in (0, 4):
        with pytest.raises(KeyError):
            keys.by_generation(unknown)


def test_changes_leave_the_former_value_as_it_was() -> None:
    keystore = Keystore.generate("n", 1)
    database = generate_database("one", 1)
    changed = keystore.with_database(database.with_store(StoreRecord(generate_id(), "f", 4096, 2)))
    assert dict(keystore.databases) == {}
    assert dict(database.stores) == {}
    assert list(changed.database("one").without_store("f").stores) == []
    assert list(changed.database("one").stores) == ["f"]


def test_names_are_unique() -> None:
    database = generate_database("one", 1).with_store(StoreRecord(generate_id(), "f", 4096, 2))
    with pytest.raises(NameTakenError):
        database.with_store(StoreRecord(generate_id(), "f", 4096, 2))
    with pytest.raises(NameUnknownError):
        database.store("g")
    with pytest.raises(NameUnknownError):
        Keystore.generate("n", 1).database("one")


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "\x00", ".", "..", "x" * 1025, "\ud800"])
def test_names_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        Keystore.generate(name, 1)
    with pytest.raises(InputError):
        generate_database(name, 1)


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", "a\tb"])
def test_file_names_stay_below_their_database(name: str) -> None:
    with pytest.raises(InputError):
        generate_database("one", 1).with_store(StoreRecord(generate_id(), name, 4096, 2))


def test_wipe_leaves_no_key() -> None:
    database = generate_database("one", 1).with_new_generation(2)
    keystore = Keystore.generate("n", 1).with_database(database)
    keystore.wipe()
    assert keystore.anchor_key.wiped
    assert all(data_key.key.wiped for data_key in database.data_keys)
