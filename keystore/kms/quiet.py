"""Keeps the requests and answers of our calls out of an SDK's log; calls of others log as before."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_in_call: ContextVar[bool] = ContextVar("keystore_kms_call", default=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Mark what runs inside the block as a call of ours."""
    token = _in_call.set(True)
    try:
        yield
    finally:
        _in_call.reset(token)


def silence(*loggers: str) -> None:
    """Let those loggers drop what comes from a call of ours; may be called again."""
    for name in loggers:
        logging.getLogger(name).addFilter(_not_in_call)  # the same filter is added once only


def silence_packages(*packages: str) -> None:
    """Let every logger of those packages that there is by now do so."""
    silence(*(name for name in list(logging.root.manager.loggerDict) if name.partition(".")[0] in packages))


def _not_in_call(record: logging.LogRecord) -> bool:
    return not _in_call.get()
