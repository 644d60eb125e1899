"""Opens the control plane of a command: its database and the way to the KMS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli.connecting import connector

if TYPE_CHECKING:  # at run time it would load SQLAlchemy and gRPC at every start
    from keystore.control.plane import Plane

DATABASE = "KEYSTORE_CONTROL_DATABASE"
"""Environment variable of --database."""


def with_database(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --database to a command; it arrives as `database`."""
    return click.option(
        "--database",
        required=True,
        metavar="URL",
        envvar=DATABASE,
        help=f"The control database: sqlite:///PATH, or postgresql://USER@HOST/DATABASE. Default: {DATABASE}.",
    )(function)


@contextmanager
def open_plane(database: str, kms_endpoint: str | None) -> Iterator[Plane]:
    """Open a control database, and what gives orders on it."""
    from keystore.control.database import open_database
    from keystore.control.plane import Plane

    with closing(open_database(database)) as opened:
        yield Plane(opened, connector(kms_endpoint))
