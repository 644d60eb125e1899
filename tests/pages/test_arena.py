"""The arena keeps what it is given, makes room, and holds nothing after a wipe."""

from keystore.pages.arena import Arena

PAGE = 64


def _page(number: int) -> bytes:
    return bytes([number + 1]) * PAGE


def _entry(number: int) -> bytes:
    return number.to_bytes(40, "little")


def test_the_least_recently_used_page_makes_room() -> None:
    arena, buffer = Arena(PAGE, 3 * PAGE), bytearray(PAGE)
    for number in (0, 1, 2):
        arena.put(_entry(number), _page(number))
    assert arena.read_into(_entry(0), memoryview(buffer))
    assert buffer == _page(0)
    arena.put(_entry(3), _page(3))
    assert [arena.read_into(_entry(number), memoryview(buffer)) for number in range(4)] == [True, False, True, True]


def test_a_wipe_leaves_no_byte_of_any_frame_that_was_used() -> None:
    arena = Arena(PAGE, 8 * PAGE)
    for number in range(6):
        arena.put(_entry(number), _page(number))
    assert any(arena._view)
    arena.wipe()
    assert not any(arena._view)
    arena.put(_entry(9), _page(9))
    with arena.view(_entry(9), _page(9)) as view:
        assert view == _page(9)
    assert not any(arena._view), "after the wipe nothing is kept"
