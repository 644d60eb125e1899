"""The clouds' own SDKs, which are extras: where one is missing, the error says which extra brings it."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needed(extra: str) -> Iterator[None]:
    """Import an SDK inside of it.

    Raises:
        RuntimeError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise RuntimeError(f"{error.name} is not installed: pip install 'cmk-keystore[emulator,{extra}]'") from error
