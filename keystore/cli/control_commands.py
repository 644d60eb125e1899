"""Commands that serve the control plane."""

import os
import socket
from pathlib import Path

import rich_click as click

from keystore.cli import exits
from keystore.cli.connecting import connector, with_kms
from keystore.cli.control_opening import with_database
from keystore.cli.serving_commands import READY_FILE


@click.group()
def control() -> None:
    """Serve the control plane of clusters."""


@control.command("serve")
@with_database
@click.option(
    "--name",
    metavar="NAME",
    help="Name of this process, which no other one on the database has.  [default: the machine's]",
)
@READY_FILE
@click.option(
    "--dead-after",
    "dead_after_s",
    type=click.FloatRange(min=2),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="Without a sign of life for that long another process counts as dead, and its work is taken over.",
)
@click.option("--movable-clock", is_flag=True, hidden=True, help="Decide on a clock that tests move in the database.")
@with_kms
def serve_control(
    database: str,
    name: str | None,
    ready_file: Path | None,
    dead_after_s: float,
    movable_clock: bool,
    kms_endpoint: str | None,
) -> None:
    """Do what is due on the clusters of a control database, until SIGTERM or Ctrl-C.

    On PostgreSQL any number of processes may serve one database, and take over from each other. Killed at any moment, a
    process goes on with its operations when it starts again. While the database is away it waits. At the end it lets
    the step end that is under way.
    """
    from keystore.control.serving import Parts, serve

    parts = Parts(name or socket.gethostname(), connector(kms_endpoint), ready_file, dead_after_s, movable_clock)
    if not serve(database, parts):
        # CRASH: threads may still wait for a database that is away; what they would do is done after the next start.
        os._exit(exits.OK)
