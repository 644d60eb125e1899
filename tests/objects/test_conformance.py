"""What every place of objects does, whatever it is made of.

S3 is moto's server, Azure is azurite (`make test-system`), Google is a server written by its documentation: nothing
here ran at a live service.
"""

import hashlib

import pytest

from keystore.errors import (
    InputError,
    ObjectDamagedError,
    ObjectExistsError,
    ObjectMissingError,
    PlaceMissingError,
)
from keystore.objects.opening import open_place
from keystore.objects.place import Named, Place, require_name, require_prefix


@pytest.fixture
def place(place_url: str) -> Place:
    return open_place(place_url)


def content(length: int, seed: int = 1) -> bytes:
    return hashlib.shake_256(seed.to_bytes(4, "big")).digest(length)


def create(place: Place, name: str, data: bytes, step: int = 1 << 20) -> tuple[int, bytes]:
    with place.create(name) as writer:
        for start in range(0, len(data), step):
            writer.write(memoryview(data)[start : start + step])
        return writer.finish()


def test_its_name_is_what_was_typed(place: Place, place_url: str) -> None:
    assert str(place) == place_url


def test_a_name_is_written_once(place: Place) -> None:
    assert place.put("manifests/one", b"first")
    assert not place.put("manifests/one", b"other")
    assert not place.put("manifests/one", b"firs")
    assert not place.put("manifests/one", b"")
    assert place.get("manifests/one", 5) == b"first"


def test_the_same_bytes_again_are_no_conflict(place: Place) -> None:
    """A write whose answer was lost can be made again."""
    assert place.put("log/node/1", b"segment")
    assert place.put("log/node/1", b"segment")
    assert place.names() == [Named("log/node/1", 7)]


def test_an_empty_object_is_one(place: Place) -> None:
    assert place.put("empty", b"")
    assert (place.length("empty"), place.get("empty", 0)) == (0, b"")
    assert create(place, "created", b"") == (0, hashlib.sha256(b"").digest())
    with place.open("created") as reader:
        assert reader.byte_length == 0
        assert reader.read_ranges([]) == []


def test_names_are_listed_below_a_prefix_in_order(place: Place) -> None:
    for name in ("packs/b", "packs/a", "log/node/2", "log/node/1", "log/other/1", "packs-not/c", "top"):
        assert place.put(name, name.encode())
    assert place.names("packs/") == [Named("packs/a", 7), Named("packs/b", 7)]
    assert [named.name for named in place.names("log/")] == ["log/node/1", "log/node/2", "log/other/1"]
    assert [named.name for named in place.names("log/node/")] == ["log/node/1", "log/node/2"]
    assert place.names("nothing/") == []
    assert [named.name for named in place.names()] == [
        "log/node/1",
        "log/node/2",
        "log/other/1",
        "packs-not/c",
        "packs/a",
        "packs/b",
        "top",
    ]


@pytest.mark.parametrize("length", [1, 5 * (1 << 20), 12 * (1 << 20) + 17])
def test_a_long_object_is_what_was_written(place: Place, length: int) -> None:
    data = content(length)
    assert create(place, "packs/p", data, 3 * (1 << 20) + 1) == (length, hashlib.sha256(data).digest())
    assert place.length("packs/p") == length
    assert place.get("packs/p", length) == data


def test_an_object_appears_when_it_is_finished_and_not_before(place: Place) -> None:
    place.put("other", b"")
    with place.create("packs/p") as writer:
        writer.write(b"x" * 100)
        assert (place.length("packs/p"), place.names()) == (None, [Named("other", 0)])
        writer.finish()
        assert place.length("packs/p") == 100


@pytest.mark.parametrize("length", [10, 12 * (1 << 20)])
def test_an_object_that_fails_or_is_not_finished_never_appears(place: Place, length: int) -> None:
    place.put("other", b"")

    def fail() -> None:
        with place.create("packs/p") as writer:
            writer.write(bytes(length))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with place.create("packs/p") as writer:
        writer.write(bytes(length))
    assert place.names() == [Named("other", 0)]
    assert create(place, "packs/p", b"then") == (4, hashlib.sha256(b"then").digest())


@pytest.mark.parametrize("length", [10, 12 * (1 << 20)])
def test_of_two_writers_of_a_name_the_first_to_finish_wins(place: Place, length: int) -> None:
    first, second = content(length, 1), content(length, 2)
    with place.create("packs/p") as one, place.create("packs/p") as other:
        one.write(first)
        other.write(second)
        one.finish()
        with pytest.raises(ObjectExistsError, match="unchanged"):
            other.finish()
    assert place.get("packs/p", length) == first
    assert not place.put("packs/p", second)


def test_parts_are_read(place: Place) -> None:
    data = content(3 * (1 << 20))
    place.put("packs/p", data)
    with place.open("packs/p") as reader:
        assert reader.byte_length == len(data)
        buffer = bytearray(1000)
        reader.read_at(12345, memoryview(buffer))
        assert buffer == data[12345:13345]
        ranges = [(0, 16), (16, 0), (100, 4096), (1 << 20, 1 << 20), (len(data) - 1, 1), (5, 3)]
        assert reader.read_ranges(ranges) == [data[start : start + count] for start, count in ranges]


def test_what_lies_beyond_the_end_is_damage(place: Place) -> None:
    place.put("packs/p", b"0123456789")
    with place.open("packs/p") as reader:
        for offset, length in ((0, 11), (9, 2), (10, 1), (100, 1)):
            with pytest.raises(ObjectDamagedError, match="packs/p"):
                reader.read_at(offset, memoryview(bytearray(length)))
            with pytest.raises(ObjectDamagedError, match="packs/p"):
                reader.read_ranges([(0, 1), (offset, length)])
    with pytest.raises(ObjectDamagedError, match="more than 9 bytes"):
        place.get("packs/p", 9)


def test_what_is_not_there_is_missing(place: Place) -> None:
    place.put("packs/p", b"x")
    for name in ("packs/q", "packs/p/below", "manifests/p", "p"):
        assert place.length(name) is None
        with pytest.raises(ObjectMissingError, match=name):
            place.get(name, 10)
        with pytest.raises(ObjectMissingError, match=name), place.open(name):
            pass


def test_what_was_removed_is_gone_and_can_be_removed_again(place: Place) -> None:
    place.put("packs/p", b"x")
    place.put("packs/q", b"y")
    place.remove("packs/p")
    place.remove("packs/p")
    place.remove("never/there")
    assert place.names() == [Named("packs/q", 1)]
    assert place.length("packs/p") is None


@pytest.mark.parametrize("name", ["", "/", "/a", "a/", "a//b", "..", "a/../b", ".hidden", "a/.b", "a b", "ä", "a\n"])
def test_a_name_that_could_mean_something_else_is_refused(place: Place, name: str) -> None:
    for use in (
        lambda: place.put(name, b""),
        lambda: place.create(name),
        lambda: place.get(name, 1),
        lambda: place.length(name),
        lambda: place.remove(name),
        lambda: place.open(name).__enter__(),
        lambda: require_name(name),
    ):
        with pytest.raises(InputError, match="cannot be the name of an object"):
            use()


def test_a_prefix_ends_with_a_slash(place: Place) -> None:
    with pytest.raises(InputError, match="no slash"):
        place.names("packs")
    with pytest.raises(InputError):
        require_prefix("/")


def test_a_place_that_is_not_there_is_missing(place_url: str) -> None:
    elsewhere = "/nowhere/at all" if place_url.startswith("/") else place_url.replace("bucket-", "nowhere-")
    with pytest.raises(PlaceMissingError, match=elsewhere):
        open_place(elsewhere).names("packs/")
