"""A bucket on a bad day: what passes is tried again, what does not is a typed error, and nothing is there by halves."""

import re
from collections.abc import Callable, Iterator

import boto3
import pytest

from keystore.errors import PlaceError, PlaceUnreachableError
from keystore.objects import upload
from keystore.objects.opening import Patience, open_place
from keystore.objects.place import Named, Place
from keystore.objects.upload import PARTS_AT_ONCE
from tests.buckets import S3_CREDENTIALS
from tests.faulty import SECRET, Fault, Plan, faulty

PART_BYTES = 5 << 20
"""The shortest that S3 takes: less to send."""
PATIENCE = Patience(30.0, 3, 120.0)
ALWAYS = 1_000
LONG = bytes(range(256)) * (2 * PART_BYTES // 256) + b"the end"


class Bad:
    """A place, the plan of what goes wrong on the way there, and the store behind it."""

    def __init__(self, url: str, plan: Plan, endpoint: str) -> None:
        self.place, self.plan = open_place(url, patience=PATIENCE), plan
        self._bucket = url.removeprefix("s3://")
        self._client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")

    def there(self) -> dict[str, bytes]:
        found = self._client.list_objects_v2(Bucket=self._bucket).get("Contents", [])
        return {
            each["Key"]: self._client.get_object(Bucket=self._bucket, Key=each["Key"])["Body"].read() for each in found
        }

    def uploads(self) -> int:
        return len(self._client.list_multipart_uploads(Bucket=self._bucket).get("Uploads", []))


@pytest.fixture
def bad(s3_bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bad]:
    monkeypatch.setattr(upload, "PART_BYTES", PART_BYTES)
    with faulty(s3_endpoint) as (address, plan):
        monkeypatch.setenv("AWS_ENDPOINT", address)
        yield Bad(s3_bucket, plan, s3_endpoint)


def create(place: Place, name: str, data: bytes) -> int:
    with place.create(name) as writer:
        writer.write(data)
        return writer.finish()[0]


def read(place: Place, name: str) -> list[bytes]:
    with place.open(name) as reader:
        return reader.read_ranges([(0, 2), (3, 2)])


BEFORE = {"packs/a": b"12345"}
USES: dict[str, tuple[Callable[[Place], object], object, dict[str, bytes]]] = {
    "names": (lambda place: place.names("packs/"), [Named("packs/a", 5)], BEFORE),
    "put": (lambda place: place.put("packs/b", b"67"), True, {**BEFORE, "packs/b": b"67"}),
    "put where it is": (lambda place: place.put("packs/a", b"12"), False, BEFORE),
    "create": (lambda place: create(place, "packs/b", b"67"), 2, {**BEFORE, "packs/b": b"67"}),
    "create long": (lambda place: create(place, "packs/b", LONG), len(LONG), {**BEFORE, "packs/b": LONG}),
    "get": (lambda place: place.get("packs/a", 5), b"12345", BEFORE),
    "open": (lambda place: read(place, "packs/a"), [b"12", b"45"], BEFORE),
    "length": (lambda place: place.length("packs/a"), 5, BEFORE),
    "remove": (lambda place: place.remove("packs/a"), None, {}),
}


@pytest.mark.parametrize("fault", ["503", "reset", "cut", "lost"])
@pytest.mark.parametrize("use", USES)
def test_what_goes_wrong_once_passes(bad: Bad, use: str, fault: Fault) -> None:
    do, expected, after = USES[use]
    bad.place.put("packs/a", b"12345")
    bad.plan.let(fault, 1)
    assert do(bad.place) == expected
    begun_twice = fault in ("cut", "lost") and use == "create long"  # an upload of no part, whose number nobody knows
    assert (bad.plan.faults, bad.there(), bad.uploads()) == (1, after, int(begun_twice))


@pytest.mark.parametrize("fault", ["503", "reset"])
@pytest.mark.parametrize("use", USES)
def test_what_goes_wrong_always_is_unreachable(bad: Bad, use: str, fault: Fault) -> None:
    do, _, _ = USES[use]
    bad.place.put("packs/a", b"12345")
    bad.plan.let(fault, ALWAYS)
    with pytest.raises(PlaceUnreachableError, match=r"s3://bucket-.*try again") as caught:
        do(bad.place)
    require_no_secret(caught.value)
    assert bad.there() == BEFORE
    assert 2 <= bad.plan.faults <= 8  # it was tried again, and not for ever


@pytest.mark.parametrize("use", USES)
def test_a_refusal_is_none(bad: Bad, use: str) -> None:
    do, _, _ = USES[use]
    bad.place.put("packs/a", b"12345")
    bad.plan.let("403", ALWAYS)
    with pytest.raises(PlaceError, match=r"403 Forbidden.*look at the credentials") as caught:
        do(bad.place)
    require_no_secret(caught.value)
    assert not isinstance(caught.value, PlaceUnreachableError)
    assert (bad.there(), bad.plan.faults) == (BEFORE, 1)


def require_no_secret(error: Exception) -> None:
    text = f"{error!s} {error!r}"
    assert not any(secret in text for secret in (SECRET, "127.0.0.1", "<Error>"))
    assert not re.search(rf"\b{S3_CREDENTIALS['AWS_SECRET_ACCESS_KEY']}\b", text)
    assert error.__cause__ is None


@pytest.mark.parametrize(
    ("fault", "unreachable"), [("429", True), ("500", True), ("503", True), ("501", False), ("403", False)]
)
def test_an_answer_tells_whether_to_try_again(bad: Bad, fault: Fault, unreachable: bool) -> None:
    bad.plan.let(fault, ALWAYS)
    with pytest.raises(PlaceError, match=f"it answered {fault} ") as caught:
        bad.place.put("packs/a", b"12345")
    assert isinstance(caught.value, PlaceUnreachableError) == unreachable


def test_two_writers_that_hinder_each_other_try_again(bad: Bad) -> None:
    """S3 answers 409 to one of two conditional writes at the same moment; the name may be free afterwards."""
    bad.plan.let("409", 1)
    assert bad.place.put("packs/a", b"12345")
    assert bad.there() == BEFORE
    bad.plan.let("409", ALWAYS, lambda method, path: method == "PUT")
    with pytest.raises(PlaceUnreachableError, match="always in the way"):
        bad.place.put("packs/b", b"67")
    assert (bad.there(), bad.plan.faults) == (BEFORE, 3)


def test_a_store_that_is_silent_is_asked_again(bad: Bad) -> None:
    bad.place.put("packs/a", b"12345")
    hasty = open_place(str(bad.place), patience=Patience(2.0, 5, 120.0))
    bad.plan.let("hang", 1)
    assert hasty.get("packs/a", 5) == b"12345"
    bad.plan.let("hang", 1)
    assert hasty.put("packs/a", b"12345")
    assert (bad.plan.faults, bad.there()) == (1, BEFORE)


@pytest.mark.parametrize("fault", ["503", "lost"])
@pytest.mark.parametrize("step", ["uploads=", "partNumber=2", "uploadId="])
def test_a_long_object_that_fails_in_any_step_is_given_up(bad: Bad, step: str, fault: Fault) -> None:
    """But for a store that did the last step and whose answer is lost, each time: then it is there."""

    def concerns(method: str, path: str) -> bool:
        return step in path and method == ("PUT" if step.startswith("part") else "POST")

    bad.plan.let(fault, ALWAYS, concerns)
    if step == "uploadId=" and fault == "lost":
        assert create(bad.place, "packs/a", LONG) == len(LONG)
        assert bad.there() == {"packs/a": LONG}
    else:
        with pytest.raises(PlaceError):
            create(bad.place, "packs/a", LONG)
        assert bad.there() == {}
    assert bad.plan.faults
    assert (bad.uploads() > 0) == (step == "uploads=" and fault == "lost")
    bad.plan.let("503", 0)
    assert create(bad.place, "packs/b", LONG) == len(LONG)


def test_a_failure_reaches_the_writer_while_it_writes(bad: Bad) -> None:
    """Parts are not swallowed after the store said no."""
    bad.plan.let("403", ALWAYS)
    with bad.place.create("packs/a") as writer, pytest.raises(PlaceError, match="403"):
        writer.write(bytes(20 * PART_BYTES))


def test_parts_are_sent_while_others_are_written(bad: Bad) -> None:
    parts = PARTS_AT_ONCE + 4
    with bad.place.create("packs/a") as writer:
        writer.write(bytes(parts * PART_BYTES))
        assert [request for request in bad.plan.requests if "partNumber" in request]
        writer.finish()
    assert sum("partNumber" in request for request in bad.plan.requests) == parts
    assert bad.place.length("packs/a") == parts * PART_BYTES
