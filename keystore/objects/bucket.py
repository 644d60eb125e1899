"""A place of objects in a bucket of an object store, or in a part of one: S3, Azure Blob, Google Cloud Storage.

What `obstore` does: requests, signatures, and further tries of what may be asked twice. Docs: ADR 0014.

A short object (`upload.PART_BYTES`) and every `put` is one request that the store refuses where the name is taken. A
long object comes in parts, and the stores' clients have no such condition for those: right before the object appears
its name is looked up once more. So of two writers of a long object under one name, within the moment of that look, the
later would win; such names are random (packs), and what is numbered is `put`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import import_module
from typing import Any, TypeVar

from keystore.errors import (
    InputError,
    KeystoreError,
    ObjectDamagedError,
    ObjectExistsError,
    ObjectMissingError,
    PlaceUnreachableError,
)
from keystore.objects import upload
from keystore.objects.place import Named, ObjectReader, ObjectWriter, is_name, require_name, require_prefix
from keystore.objects.refusals import explain, was_cut_off
from keystore.objects.upload import PARTS_AT_ONCE, GivenUpError, Upload

_PUTS_MAX = 3
"""LIMIT: tries of one `put` that another writer of the same name hinders."""
Answer = TypeVar("Answer")


class BucketPlace:
    """A bucket, by a store object of `obstore` that can put if absent."""

    def __init__(self, store: Any, text: str) -> None:
        """`text` is what a person typed."""
        self._store, self._text = store, text
        self._obstore: Any = require_obstore()

    def __str__(self) -> str:
        return self._text

    def names(self, prefix: str = "") -> list[Named]:
        require_prefix(prefix)

        def listed() -> list[Named]:
            batches = self._obstore.list(self._store, prefix=prefix or None)
            return sorted(
                Named(meta["path"], meta["size"]) for batch in batches for meta in batch if is_name(meta["path"])
            )

        return self.ask("list", prefix or "objects", listed)

    def put(self, name: str, data: bytes) -> bool:
        require_name(name)
        for _ in range(_PUTS_MAX):
            try:
                self.ask("write", name, lambda: self._obstore.put(self._store, name, bytes(data), mode="create"))
                return True
            except ObjectExistsError:
                has = self._has(name, data)
                if has is not None:
                    return has
                # Nothing has the name after all: two writers hindered each other (409 of S3), or it was removed.
        raise PlaceUnreachableError(
            f"cannot write {name} in {self}: another writer of that name is always in the way. No object was changed; "
            "try again."
        )

    def create(self, name: str) -> AbstractContextManager[ObjectWriter]:
        require_name(name)
        return Upload(_Requests(self, name))

    def get(self, name: str, bytes_max: int) -> bytes:
        require_name(name)

        def read() -> tuple[int, bytes]:
            result = self._obstore.get(self._store, name)
            size = result.meta["size"]
            return size, bytes(result.bytes()) if size <= bytes_max else b""

        byte_length, data = self.ask("read", name, read)
        if byte_length > bytes_max:
            raise ObjectDamagedError(
                f"{name} in {self} has more than {bytes_max} bytes: no such object has. Nothing was changed."
            )
        if len(data) != byte_length:
            raise self._ends(name, len(data), byte_length)
        return data

    @contextmanager
    def open(self, name: str) -> Iterator[ObjectReader]:
        yield _Reader(self, name, self._length(name))

    def length(self, name: str) -> int | None:
        try:
            return self._length(name)
        except ObjectMissingError:
            return None

    def remove(self, name: str) -> None:
        require_name(name)
        with suppress(ObjectMissingError):
            self.ask("remove", name, lambda: self._obstore.delete(self._store, name))

    def _length(self, name: str) -> int:
        require_name(name)
        return int(self.ask("read", name, lambda: self._obstore.head(self._store, name))["size"])

    def _has(self, name: str, data: bytes) -> bool | None:
        """Tell whether these bytes have the name; None where nothing has it."""
        try:
            return self.get(name, len(data)) == data
        except ObjectMissingError:
            return None
        except ObjectDamagedError:
            return False

    def _exists(self, name: str) -> ObjectExistsError:
        return ObjectExistsError(f"{self} has an object {name} already. It is unchanged; no object is written twice.")

    def _ends(self, name: str, end: int, wanted: int) -> ObjectDamagedError:
        return ObjectDamagedError(f"{name} in {self} ends at {end} of {wanted} bytes. Nothing was changed.")

    def ask(self, action: str, what: str, request: Callable[[], Answer]) -> Answer:
        """Return the answer to a request of obstore; ask once more what obstore itself does not, if it was cut off.

        Raises:
            PlaceError: there was none, or it was no.
        """
        again = True
        while True:
            try:
                return request()
            except (GivenUpError, KeystoreError):
                raise
            except Exception as error:  # obstore has errors of its own, and passes on those of its parts
                if isinstance(error, import_module("obstore.exceptions").AlreadyExistsError):
                    raise self._exists(what) from None
                if not (again and was_cut_off(error)):
                    raise explain(error, self, action, what) from None
                again = False


class _Requests:
    def __init__(self, place: BucketPlace, name: str) -> None:
        self._place, self._name = place, name
        self.what = f"{name} in {place}"

    def put(self, data: bytes) -> None:
        if not self._place.put(self._name, data):
            raise self._place._exists(self._name)

    def send(self, parts: Iterator[bytes]) -> None:
        place, store = self._place, self._place._store
        begun = False

        def taken() -> Iterator[bytes]:
            nonlocal begun
            begun = True
            yield from parts

        def send() -> None:
            if begun:  # the parts that were taken are gone
                raise PlaceUnreachableError(
                    f"cannot write {self._name} in {place}: the connection was cut. No object was changed; try again."
                )
            place._obstore.put(
                store,
                self._name,
                taken(),
                use_multipart=True,
                chunk_size=upload.PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

        place.ask("write", self._name, send)

    def require_free(self) -> None:
        if self._place.length(self._name) is not None:
            raise self._place._exists(self._name)

    def length(self) -> int | None:
        return self._place.length(self._name)


class _Reader:
    def __init__(self, place: BucketPlace, name: str, byte_length: int) -> None:
        self._place, self._name = place, name
        self.byte_length = byte_length

    def read_at(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = self.read_ranges([(offset, len(buffer))])[0]

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        place = self._place
        for offset, length in ranges:
            if offset + length > self.byte_length:
                raise place._ends(self._name, self.byte_length, offset + length)
        asked = [(offset, length) for offset, length in ranges if length]  # obstore knows no empty range
        starts, lengths = [offset for offset, _ in asked], [length for _, length in asked]

        def read() -> list[Any]:
            found: list[Any] = place._obstore.get_ranges(place._store, self._name, starts=starts, lengths=lengths)
            return found

        found = place.ask("read", self._name, read) if asked else []
        for (offset, length), data in zip(asked, found, strict=True):
            if len(data) != length:
                raise place._ends(self._name, offset + len(data), offset + length)
        answers = iter(found)
        return [bytes(next(answers)) if length else b"" for _, length in ranges]


def require_obstore() -> Any:
    """Return the package that speaks to object stores.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module("obstore")
    except ImportError:
        raise InputError(
            "an object store needs the package obstore. Nothing was changed; pip install 'cmk-keystore[object-store]'."
        ) from None
