"""Databases, data keys and generations."""

import pytest

from keystore.errors import DatabaseShreddedError, InputError, NameTakenError, NameUnknownError
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


def test_only_a_decrypt_only_key_can_be_destroyed_and_its_number_never_comes_again() -> None:
    database = generate_database("one", 1).with_new_generation(2).with_new_generation(3)
    with pytest.raises(InputError, match="current"):
        database.without_key(3, 9)
    with pytest.raises(NameUnknownError, match="no data key generation 4"):
        database.without_key(4, 9)
    rest = database.without_key(2, 9)
    with pytest.raises(InputError, match="destroyed already"):
        rest.without_key(2, 9)
    assert [key.generation for key in rest.data_keys] == [1, 3]
    assert [(key.generation, key.created_ns, key.destroyed_ns) for key in rest.destroyed] == [(2, 2, 9)]
    with pytest.raises(KeyError):
        DatabaseKeys(lambda: rest).by_generation(2)


def test_a_shredded_database_has_no_key_until_it_begins_anew() -> None:
    database = generate_database("one", 1).with_store(StoreRecord(generate_id(), "f", 4096, 2)).with_new_generation(2)
    gone = database.shred(9, b"f" * 32, 4)
    assert (gone.data_keys, dict(gone.stores), [key.generation for key in gone.destroyed]) == ((), {}, [1, 2])
    with pytest.raises(DatabaseShreddedError):
        DatabaseKeys(lambda: gone).current()
    anew = gone.with_new_generation(10)
    assert DatabaseKeys(lambda: anew).current()[0] == 3
    assert (anew.shredded, anew.database_id) == (None, database.database_id)


def test_seals_are_added_up() -> None:
    database = generate_database("one", 1).with_new_generation(2)
    counted = database.with_seals(1, 5).with_seals(2, 7).with_seals(2, 1).with_seals(3, 1)
    assert [key.seals for key in counted.data_keys] == [5, 8]


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
    assert keystore.signing.wiped
    assert keystore.snapshot_secret.wiped
    assert all(data_key.key.wiped for data_key in database.data_keys)
