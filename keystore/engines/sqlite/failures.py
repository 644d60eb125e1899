"""Our errors as apsw's, so that SQLite acts by its own code and the caller sees the reason.

Between SQLite and its caller an error is a number and, by apsw, the exception that a callback raised. It is of the
class that apsw has for the number, says what our error says, and has it as `__cause__`.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import apsw

from keystore.errors import InputError, KeystoreError, StoreDamagedError, StoreFullError, WrongKeyError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_CLASSES: tuple[tuple[type[KeystoreError], type[apsw.Error]], ...] = (
    (StoreFullError, apsw.FullError),
    (InputError, apsw.FullError),  # more pages than a commit takes: SQLite rolls back, as where the disk is full
    (StoreDamagedError, apsw.CorruptError),
    (WrongKeyError, apsw.CorruptError),
)


def as_sqlite(error: KeystoreError) -> apsw.Error:
    """Return what to raise instead, from within a callback of SQLite."""
    kind = next((kind for ours, kind in _CLASSES if isinstance(error, ours)), apsw.IOError)
    return kind(str(error))


def told_to_sqlite(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Have a callback of SQLite raise apsw's errors."""

    @wraps(function)
    def call(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        try:
            return function(*arguments, **named)
        except KeystoreError as error:
            raise as_sqlite(error) from error

    return call


def busy(text: str, code: int) -> apsw.BusyError:
    """Return the refusal of a lock, with SQLite's extended `code`; SQLite then asks the connection's busy handler."""
    error = apsw.BusyError(text)
    vars(error).update(result=apsw.SQLITE_BUSY, extendedresult=code)  # where apsw looks for the code
    return error
