"""The hand-over between who writes a long object and who sends it."""

from collections.abc import Iterator

import pytest

from keystore.errors import ObjectDamagedError, PlaceUnreachableError
from keystore.objects.upload import PART_BYTES, Upload


class Slow:
    """Takes part after part; sees how far ahead the writer is each time."""

    what = "packs/p in a place"

    def __init__(self, fails_after: int | None = None) -> None:
        self.ahead: list[int] = []
        self.parts: list[bytes] = []
        self.written = 0
        self.given_up = False
        self.asked: list[str] = []
        self._fails_after = fails_after
        self.lost = 0

    def put(self, data: bytes) -> None:
        self.asked.append("put")
        self.parts = [data]

    def send(self, parts: Iterator[bytes]) -> None:
        self.asked.append("send")
        try:
            for part in parts:
                self.parts.append(part)
                self.ahead.append(self.written - len(self.parts))
                if len(self.parts) == self._fails_after:
                    raise PlaceUnreachableError("the place is away. Nothing was changed; try again.")
        except BaseException:
            self.given_up = True
            raise

    def require_free(self) -> None:
        self.asked.append("free")

    def length(self) -> int | None:
        self.asked.append("length")
        return sum(map(len, self.parts)) - self.lost


def write(slow: Slow, parts: int) -> None:
    with Upload(slow) as upload:
        for _ in range(parts):
            slow.written += 1
            upload.write(bytes(PART_BYTES))
        upload.finish()


def test_the_writer_is_never_far_ahead() -> None:
    slow = Slow()
    write(slow, 40)
    assert [len(part) for part in slow.parts] == [PART_BYTES] * 40
    assert max(slow.ahead) <= 3  # one that waits, one that is full, and one that is begun
    assert not slow.given_up


@pytest.mark.parametrize(
    ("length", "asked"),
    [
        (0, ["put"]),
        (PART_BYTES, ["put"]),
        (PART_BYTES + 1, ["send", "free", "length"]),
        (2 * PART_BYTES, ["send", "free", "length"]),
    ],
)
def test_only_what_is_longer_than_a_part_comes_in_parts(length: int, asked: list[str]) -> None:
    slow, data = Slow(), bytes(range(256)) * (length // 256) + bytes(length % 256)
    with Upload(slow) as upload:
        for start in range(0, length, 3_000_001):
            upload.write(data[start : start + 3_000_001])
        assert upload.finish()[0] == length
    assert (slow.asked, b"".join(slow.parts)) == (asked, data)
    assert all(slow.parts) == bool(length)


def test_what_is_not_finished_is_given_up() -> None:
    slow = Slow()
    with Upload(slow) as upload:
        upload.write(bytes(3 * PART_BYTES))
    assert slow.given_up


@pytest.mark.parametrize("fails_after", [1, 2, 5])
def test_an_error_of_the_sender_reaches_the_writer(fails_after: int) -> None:
    slow = Slow(fails_after)
    with pytest.raises(PlaceUnreachableError):
        write(slow, 6)
    assert len(slow.parts) == fails_after


def test_an_object_that_is_shorter_than_what_was_sent_is_damaged() -> None:
    slow = Slow()
    slow.lost = 1
    with pytest.raises(ObjectDamagedError, match=f"packs/p in a place has {2 * PART_BYTES - 1} bytes"):
        write(slow, 2)


def test_an_object_that_is_there_after_all_is_no_error() -> None:
    """The answer to the last request alone was lost."""
    slow = Slow(fails_after=2)
    write(slow, 2)
    assert slow.asked == ["send", "free", "length"]
