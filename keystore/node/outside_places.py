"""Where an outside anchor is kept: numbered statements of each node, as objects of a place.

    PLACE/<node id>/<number, 20 digits>     one statement

A place is an absolute path, or the URL of a bucket (`keystore.objects.opening`). Statements are `put`, so of two
writers of a number one is told.

Leaves to others: what the statements say.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keystore.errors import (
    InputError,
    ObjectDamagedError,
    OutsideAnchorDamagedError,
    OutsideAnchorUnreachableError,
    PlaceError,
    cause_of,
)
from keystore.format.outside import STATEMENT_BYTES_MAX
from keystore.node.places import require_outside
from keystore.objects.directory import DirectoryPlace
from keystore.objects.opening import Patience, open_place
from keystore.objects.place import Place

PATIENCE = Patience(10.0, 2, 10.0)
"""LIMIT: for an object store; a checkpoint waits for it."""
NUMBERS_MAX = 1 << 63
"""LIMIT: numbers of statements; no node lives to write so many, so a higher one was put there by somebody else."""


def open_outside(text: str) -> Place:
    """Return the place that `text` names, for an outside anchor; nothing is asked of it yet.

    Raises:
        InputError: it names none, or `obstore` is missing.
    """
    path = text.removeprefix("file://")
    if "://" in path:
        return open_place(text, patience=PATIENCE)
    if not Path(path).is_absolute():
        raise InputError(f"{text!r} is no absolute path and no URL. Nothing was changed; name the place whole.")
    require_outside(Path(path), "outside anchor", directory=Path(path))
    # A share that is not mounted is away; it is never made anew.
    return DirectoryPlace(path, text=text, made=False)


def newest(place: Place, node_id: bytes) -> int:
    """Return the number of a node's last statement, 0 where it has none.

    Raises:
        OutsideAnchorUnreachableError: the place does not tell; nor do the other functions then.
        OutsideAnchorDamagedError: there is an object with a number that no node writes.
    """
    prefix = f"{node_id.hex()}/"
    with _errors(place):
        names = [named.name.removeprefix(prefix) for named in place.names(prefix)]
    number = max((int(name) for name in names if _is_number(name)), default=0)  # SPEC A-10
    if number >= NUMBERS_MAX:
        raise OutsideAnchorDamagedError(
            f"the outside anchor {place} is damaged: no node writes a statement {number}. Nothing was changed; remove "
            "that object, and find out who could put it there."
        )
    return number


def put(place: Place, node_id: bytes, number: int, data: bytes) -> bool:
    """Write a statement, durably; return False, and change nothing, where there is another one of that number."""
    with _errors(place):
        return place.put(_name(node_id, number), data)


def get(place: Place, node_id: bytes, number: int) -> bytes:
    """Return a statement.

    Raises:
        OutsideAnchorDamagedError: what is there is longer than any statement.
    """
    with _errors(place):
        try:
            return place.get(_name(node_id, number), STATEMENT_BYTES_MAX)
        except ObjectDamagedError as error:
            raise OutsideAnchorDamagedError(
                f"the outside anchor {place} is damaged: {cause_of(error)}. Nothing was changed; bring that object "
                "back, or attach the anchor again once you know that the node is the latest."
            ) from None


def prune(place: Place, node_id: bytes, number: int) -> None:
    """Remove an old statement, where the place lets us: write-once places may keep everything."""
    with suppress(PlaceError):
        place.remove(_name(node_id, number))


@contextmanager
def _errors(place: Place) -> Iterator[None]:
    try:
        yield
    except PlaceError as error:
        raise OutsideAnchorUnreachableError(
            f"the outside anchor {place} cannot be reached: {cause_of(error)}. Nothing inside the node was changed; "
            "bring the place back and try again, or go on without it with `keystore --ignore-outside-anchor`."
        ) from error


def _name(node_id: bytes, number: int) -> str:
    return f"{node_id.hex()}/{number:020d}"


def _is_number(name: str) -> bool:
    return len(name) == 20 and name.isascii() and name.isdigit()
