"""Commands that serve the control plane, and found an organisation in it."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.arguments import PATH
from keystore.cli.connecting import connector, root_option, with_kms
from keystore.cli.control_demo import control_demo
from keystore.cli.control_opening import with_database
from keystore.cli.output import Output, print_pairs, with_output
from keystore.cli.serving_commands import READY_FILE, root_arguments

if TYPE_CHECKING:
    from keystore.control.serving import Extend

PLATFORM_KEY = "KEYSTORE_PLATFORM_KEY"
"""Environment variable of --platform-key."""


@click.group()
def control() -> None:
    """Serve the control plane of clusters and projects."""


control.add_command(control_demo)


@control.command("init")
@click.argument("name", metavar="ORGANIZATION")
@with_database
@with_output
def init_control(out: Output, name: str, database: str) -> None:
    """Make an organisation and the API key of its owner, whose private half is shown once and nowhere kept.

    The owner makes projects and more keys over the API (`keystore project create`).
    """
    from keystore.rest.process import found_organization

    organization, key = found_organization(database, name, time.time_ns())
    values = {
        "organization": organization.name,
        "id": organization.id,
        "publicKey": key.public_key,
        "privateKey": str(key.private_key),
    }
    out.emit(values, lambda: print_pairs(list(values.items())))


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
@click.option(
    "--platform-key",
    metavar="URI",
    envvar=PLATFORM_KEY,
    help=f"Serve projects too: the key under which their secrets are in the database. Default: {PLATFORM_KEY}.",
)
@click.option(
    "--data-dir",
    type=PATH,
    metavar="DIR",
    help="Where clusters of projects and their snapshots are on this machine.  [default: keystore-data, here]",
)
@click.option("--listen", metavar="HOST:PORT", help="Serve the API there: HTTPS, or HTTP on this machine.")
@click.option("--tls-certificate", type=PATH, metavar="FILE", help="Certificate chain of the API (PEM).")
@click.option("--tls-key", type=PATH, metavar="FILE", help="Private key of that certificate (PEM).")
@click.option(
    "--smtp", metavar="HOST:PORT", help="The server to which mail goes; without one it is left to other processes."
)
@click.option("--mail-from", metavar="ADDRESS", help="In whose name mail goes.")
@click.option(
    "--look-every",
    "look_every_s",
    type=click.FloatRange(min=0.005),
    default=0.5,
    hidden=True,
    help="Seconds between two looks at what is due: fewer where somebody waits for each, as tests and the demo do.",
)
@click.option("--movable-clock", is_flag=True, hidden=True, help="Decide on a clock that tests move in the database.")
@with_kms
@with_output
def serve_control(
    out: Output,
    database: str,
    name: str | None,
    ready_file: Path | None,
    dead_after_s: float,
    look_every_s: float,
    movable_clock: bool,
    kms_endpoint: str | None,
    **projects: Any,
) -> None:
    """Do what is due on the clusters of a control database, until SIGTERM or Ctrl-C.

    With --platform-key it also does the work of projects, and with --listen it serves their API (`control init` makes
    the first key).

    On PostgreSQL any number of processes may serve one database, and take over from each other. Killed at any moment, a
    process goes on with its operations when it starts again. While the database is away it waits. At the end it lets
    the step end that is under way.

    When it is ready it prints one line, with --json what the ready file holds; then nothing while all is well.
    """
    from keystore.control.serving import Parts, serve
    from keystore.rest.process import require_no_organization

    extend = _extend(kms_endpoint, **projects)
    named = name or socket.gethostname()
    parts = Parts(
        named, connector(kms_endpoint), ready_file, dead_after_s, movable_clock, look_every_s, extend, _teller(out)
    )
    if extend is None:
        parts = replace(parts, require=require_no_organization)
    if not serve(database, parts):
        # CRASH: threads may still wait for a database that is away; what they would do is done after the next start.
        os._exit(exits.OK)


def _teller(out: Output) -> Callable[[Mapping[str, object]], None]:
    """Return what says that the process serves."""

    def tell(values: Mapping[str, object]) -> None:
        where = f" at {values['url']}" if "url" in values else ""
        files = f", files of clusters in {values['data_dir']}" if "data_dir" in values else ""
        mail = "" if values.get("sends_mail", True) else ", sends no mail (--smtp)"
        click.echo(
            json.dumps({"ok": True, **values})
            if out.as_json
            else f"keystore control {values['name']} serves{where}: state in {values['database']}{files}{mail}; "
            f"Ctrl-C or SIGTERM to {values['pid']} ends it, and no cluster"
        )
        sys.stdout.flush()

    return tell


def _extend(
    kms_endpoint: str | None,
    platform_key: str | None,
    data_dir: Path | None,
    listen: str | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    smtp: str | None,
    mail_from: str | None,
) -> Extend | None:
    if platform_key is None:
        if listen or smtp:
            raise click.UsageError("--listen and --smtp are for projects, which need --platform-key.")
        return None
    if (tls_certificate is None) != (tls_key is None):
        raise click.UsageError("--tls-certificate and --tls-key go together.")
    if (smtp is None) != (mail_from is None):
        raise click.UsageError("--smtp and --mail-from go together.")
    from keystore.projects.smtp import mailer_of
    from keystore.rest.process import Options, Projects

    tls = None if tls_certificate is None or tls_key is None else (tls_certificate, tls_key)
    mailer = None if smtp is None or mail_from is None else mailer_of(smtp, mail_from)
    options = Options(
        platform_key,
        connector(kms_endpoint),
        (data_dir or Path("keystore-data")).absolute(),
        root_arguments("source_address"),  # nodes have addresses of their own
        kms_endpoint,
        root_option("source_address"),
        listen,
        tls,
        mailer,
    )
    return lambda database, clock: Projects(database, clock, options)
