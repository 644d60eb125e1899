"""How damage of a snapshot is told: by one type of error, which names the snapshot and the part."""

from collections.abc import Iterator
from contextlib import contextmanager

from keystore.crypto.wrap import WrapDamagedError
from keystore.errors import SnapshotDamagedError, WrongKeyError, cause_of
from keystore.format.cursor import NotDecodableError


def damaged(where: str, found: str) -> SnapshotDamagedError:
    return SnapshotDamagedError(f"{where} is damaged: {cause_of(found)}. Nothing was restored; use another snapshot.")


@contextmanager
def damage(where: str) -> Iterator[None]:
    """Turn what a wrong or changed part raises into `SnapshotDamagedError` about `where`."""
    try:
        yield
    except (NotDecodableError, WrapDamagedError, WrongKeyError) as error:
        raise damaged(where, str(error)) from None
