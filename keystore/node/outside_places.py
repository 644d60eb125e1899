"""Where an outside anchor is kept: objects with write-once names, in a directory or in an object store.

    PLACE/<node id>/<number, 20 digits>     one statement

A place is an absolute path, or a URL of an object store (`s3://`, `gs://`, `az://`), which needs the package `obstore`
and takes its credentials and endpoint from the environment, as that documents.

Invariants:
1. A name is written once: `put` never replaces an object, whoever else writes at the same time.
2. An object is there whole or not at all.

Leaves to others: what the objects say.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from keystore.durable import sync_directory
from keystore.errors import InputError, OutsideAnchorDamagedError, OutsideAnchorUnreachableError
from keystore.format.outside import STATEMENT_BYTES_MAX
from keystore.keys.files import Files
from keystore.node.places import require_outside

TIMEOUT_S = 10.0
"""LIMIT: seconds that an object store may take over one request; a checkpoint waits for it."""
SCHEMES = ("s3", "gs", "az")
"""Kinds of object stores that put if absent; obstore knows others, such as one in memory, or HTTP that overwrites."""
NUMBERS_MAX = 1 << 63
"""LIMIT: numbers of statements; no node lives to write so many, so a higher one was put there by somebody else."""
RETRIES_MAX = 2
"""LIMIT: further tries of one request to an object store."""


class Place(Protocol):
    """A place of numbered objects for each node. Errors are of type `OutsideAnchorUnreachableError`."""

    def numbers(self, node_id: bytes) -> list[int]:
        """Return the numbers of a node's objects, ascending."""
        ...

    def put(self, node_id: bytes, number: int, data: bytes) -> bool:
        """Write an object, durably; return False, and change nothing, where there is one of that number."""
        ...

    def get(self, node_id: bytes, number: int) -> bytes:
        """Return an object."""
        ...

    def remove(self, node_id: bytes, number: int) -> None:
        """Remove an object."""
        ...


def open_place(text: str) -> Place:
    """Return the place that `text` names; nothing is asked of it yet.

    Raises:
        InputError: it names none, or `obstore` is missing.
    """
    if "://" not in text or text.startswith("file://"):
        return DirectoryPlace(text.removeprefix("file://"))
    return ObjectPlace.of_url(text)


class DirectoryPlace:
    """A directory: on another disk, a network share, wherever who attacks the node cannot write."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_absolute():
            raise InputError(
                f"{str(path)!r} is no absolute path and no URL. Nothing was changed; name the place whole."
            )
        require_outside(self.path, "outside anchor", directory=self.path)

    def __str__(self) -> str:
        return str(self.path)

    def numbers(self, node_id: bytes) -> list[int]:
        with self._errors():
            if not self.path.is_dir():  # a share that is not mounted; it is never made anew
                raise FileNotFoundError(2, "there is no such directory")
            node = self._node(node_id)
            names = [entry.name for entry in node.iterdir()] if node.is_dir() else []
        return sorted(int(name) for name in names if _is_number(name))

    def put(self, node_id: bytes, number: int, data: bytes) -> bool:
        node, files = self._node(node_id), Files()
        with self._errors():
            if not node.is_dir():
                files.make_directory(node)
                sync_directory(self.path)
            # CRASH: leaves a file with a name that nobody reads.
            temporary = node / f".{secrets.token_hex(8)}.new"
            fd = files.create(temporary)
            try:
                files.write(fd, 0, data)
                files.sync(fd)
                os.link(temporary, node / _name(number))
            except FileExistsError:
                return False
            finally:
                files.close(fd)
                files.remove(temporary)
            sync_directory(node)
            return True

    def get(self, node_id: bytes, number: int) -> bytes:
        with self._errors():
            return Files().read(self._node(node_id) / _name(number), STATEMENT_BYTES_MAX)

    def remove(self, node_id: bytes, number: int) -> None:
        with self._errors():
            Files().remove(self._node(node_id) / _name(number))

    def _node(self, node_id: bytes) -> Path:
        return self.path / node_id.hex()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutsideAnchorUnreachableError(_unreachable(self, error.strerror or str(error))) from error


class ObjectPlace:
    """A bucket of an object store, or a part of one; any store that `obstore` knows and that can put if absent."""

    def __init__(self, store: Any, name: str) -> None:
        self._store, self._name, self._obstore = store, name, _obstore()

    @classmethod
    def of_url(cls, url: str) -> "ObjectPlace":
        """Return the place at `url`.

        Raises:
            InputError: the URL cannot be used, or `obstore` is missing.
        """
        if url.partition("://")[0] not in SCHEMES:
            raise InputError(
                f"{url!r} is no place for an outside anchor. Nothing was changed; name an absolute path, or a URL that "
                f"begins with {', '.join(f'{scheme}://' for scheme in SCHEMES)}."
            )
        _obstore()
        timeout = timedelta(seconds=TIMEOUT_S)
        # obstore reads this one from the environment only where no other option of the client is given.
        allow_http = os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true"
        try:
            store = import_module("obstore.store").from_url(
                url,
                client_options={"timeout": timeout, "connect_timeout": timeout, "allow_http": allow_http},
                retry_config={"max_retries": RETRIES_MAX, "retry_timeout": timeout},
            )
        except Exception as error:
            raise InputError(
                f"{url!r} is no place for an outside anchor: {_cause(error)}. Nothing was changed."
            ) from None
        return cls(store, url.rstrip("/"))

    def __str__(self) -> str:
        return self._name

    def numbers(self, node_id: bytes) -> list[int]:
        names: list[str] = []
        with self._errors():
            for batch in self._obstore.list(self._store, prefix=node_id.hex()):
                names += [meta["path"].rpartition("/")[2] for meta in batch]
        return sorted(int(name) for name in names if _is_number(name))

    def put(self, node_id: bytes, number: int, data: bytes) -> bool:
        exists = import_module("obstore.exceptions").AlreadyExistsError
        with self._errors():
            try:
                self._obstore.put(self._store, _path(node_id, number), data, mode="create")
            except exists:
                return False
        return True

    def get(self, node_id: bytes, number: int) -> bytes:
        with self._errors():
            return bytes(self._obstore.get(self._store, _path(node_id, number)).bytes())

    def remove(self, node_id: bytes, number: int) -> None:
        with self._errors():
            self._obstore.delete(self._store, _path(node_id, number))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # obstore has errors of its own, and passes on those of its parts
            raise OutsideAnchorUnreachableError(_unreachable(self, _cause(error))) from error


def newest(place: Place, node_id: bytes) -> int:
    """Return the number of a node's last statement, 0 where it has none.

    Raises:
        OutsideAnchorDamagedError: there is an object with a number that no node writes.
    """
    number = max(place.numbers(node_id), default=0)  # SPEC A-10
    if number >= NUMBERS_MAX:
        raise OutsideAnchorDamagedError(
            f"the outside anchor {place} is damaged: no node writes a statement {number}. Nothing was changed; remove "
            "that object, and find out who could put it there."
        )
    return number


def prune(place: Place, node_id: bytes, number: int) -> None:
    """Remove an old statement, where the place lets us: write-once places may keep everything."""
    with suppress(OutsideAnchorUnreachableError):
        place.remove(node_id, number)


def _obstore() -> Any:
    try:
        return import_module("obstore")
    except ImportError:
        raise InputError(
            "an object store needs the package obstore. Nothing was changed; pip install 'cmk-keystore[object-store]'."
        ) from None


def _cause(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _unreachable(place: Place, cause: str) -> str:
    return (
        f"the outside anchor {place} cannot be reached: {cause}. Nothing inside the node was changed; bring the place "
        "back and try again, or go on without it with `keystore --ignore-outside-anchor`."
    )


def _path(node_id: bytes, number: int) -> str:
    return f"{node_id.hex()}/{_name(number)}"


def _name(number: int) -> str:
    return f"{number:020d}"


def _is_number(name: str) -> bool:
    return len(name) == 20 and name.isascii() and name.isdigit()
