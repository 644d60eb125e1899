"""The command `keystore`. Commands load what they need when they run, so that `--help` and errors come at once."""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from threading import Timer, main_thread
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

import rich_click as click

from keystore.cli import exits
from keystore.cli.alert_commands import alert, event
from keystore.cli.arguments import PATH, PLACE
from keystore.cli.backup_commands import backup
from keystore.cli.bench_command import bench
from keystore.cli.cluster_commands import cluster
from keystore.cli.control_commands import control
from keystore.cli.convert_command import convert
from keystore.cli.data_key_commands import data_key, reseal, shred
from keystore.cli.demo_command import demo
from keystore.cli.encryption_commands import encryption
from keystore.cli.keys_commands import keys
from keystore.cli.log_commands import log
from keystore.cli.machine_commands import doctor, inspect
from keystore.cli.node_commands import change_cmk, export_, import_, init, ls, rewrap_volume, rm, rotate_master
from keystore.cli.node_key_commands import node_key
from keystore.cli.opening import OUTSIDE_ANCHOR
from keystore.cli.output import print_error
from keystore.cli.outside_commands import outside_anchor
from keystore.cli.project_cluster_commands import project_cluster
from keystore.cli.project_commands import project
from keystore.cli.serving_commands import host_group, node_group, router_group
from keystore.cli.snapshot_commands import snapshot
from keystore.cli.sqlite_commands import sqlite
from keystore.cli.upkeep_commands import compact, repair, stats, verify
from keystore.errors import ApiError, KeystoreError

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# gRPC writes lines of its own to standard error, with addresses and source files, where our errors say what to do.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class StoryGroup(click.RichGroup):
    """Lists the commands in the order in which one meets them, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=StoryGroup, context_settings=CONTEXT, epilog=exits.epilog())
@click.version_option(package_name="cmk-keystore", prog_name="keystore")
@click.option(
    "--outside-anchor",
    type=PLACE,
    metavar="PLACE",
    envvar=OUTSIDE_ANCHOR,
    help="Where the outside anchor must be: a node without one is refused.  [default: where the node says]",
)
@click.option("--ignore-outside-anchor", is_flag=True, help="Do not ask the outside anchor; for when it is lost.")
@click.option(
    "--credentials-file",
    type=PATH,
    metavar="FILE",
    envvar="KEYSTORE_CREDENTIALS_FILE",
    help="Credentials for the clouds' KMSes by name (TOML).  [default: what each cloud's SDK finds]",
)
@click.option(
    "--credentials",
    metavar="NAME[,NAME]",
    envvar="KEYSTORE_CREDENTIALS",
    help="The sections of that file to use, one for each cloud at most.",
)
@click.option(
    "--source-address",
    metavar="ADDRESS",
    envvar="KEYSTORE_SOURCE_ADDRESS",
    help="The address of this machine that connections to Azure come from.  [default: any]",
)
def cli(**_: object) -> None:
    """Encryption at rest under keys that the customer manages.

    A node is a directory with a keystore file, databases and encrypted files. Its master key is wrapped by a customer
    master key (CMK), which stays in a KMS and is named by a URI:

    aws://REGION/KEY, azure://VAULT/KEY/VERSION, gcp://projects/…, local:///PATH (a key file) or
    local+passphrase:///NAME.
    """


for command in (
    *(demo, init, import_, export_, ls, rm, verify, repair, compact, stats),
    *(rotate_master, change_cmk, convert, rewrap_volume, outside_anchor, data_key, reseal, shred),
    *(snapshot, log, node_key, keys, node_group, router_group, host_group, cluster, control, project, alert, event),
    *(backup, sqlite, inspect, doctor, bench),
):
    cli.add_command(command)
project.add_command(encryption)
project.add_command(project_cluster)


SIGNAL_AGAIN_S: Final = 0.01
"""So long that the destructor has ended, most likely; if not, the signal comes once more."""


class TerminatedError(BaseException):
    """SIGTERM arrived; everything unwinds as after Ctrl-C."""


AGAIN: Final = {KeyboardInterrupt: signal.SIGINT, TerminatedError: signal.SIGTERM}


def main() -> NoReturn:
    """Run the command line of this process."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.unraisablehook = _signal_again
    if sys.stdout is None:
        # The next file that is opened would become standard output, and a store would be printed into.
        sys.exit("error: standard output is closed. Nothing was done.")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command line; return its exit code. No error of this package shows a traceback."""
    as_json = "--json" in arguments
    try:
        result = cli.main(list(arguments), prog_name="keystore", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else exits.OK
    except click.ClickException as error:
        return _report_usage(error, as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        print_error("Interrupted", "interrupted; nothing is half done", exits.INTERRUPTED, as_json=as_json)
        return exits.INTERRUPTED
    except TerminatedError:
        print_error("Terminated", "ended by SIGTERM; nothing is half done", exits.TERMINATED, as_json=as_json)
        return exits.TERMINATED
    except KeystoreError as error:
        code = exits.code_of(error)
        told = {"error_code": error.code, "field": error.field} if isinstance(error, ApiError) else {}
        print_error(type(error).__name__, str(error), code, as_json=as_json, **told)
        return code
    except OSError as error:
        return _report_output(error)
    except SystemExit as error:
        if error.code == 1:  # click's way out where the reader of a pipe is gone
            return _report_output(BrokenPipeError())
        return exits.USAGE if error.code else exits.OK  # a group without a command showed its help
    except MemoryError:
        message = "not enough memory. What was durable before still is; give this process more, and try again."
        print_error("MemoryError", message, exits.ERROR, as_json=as_json)
        return exits.ERROR


def _report_output(error: OSError) -> int:
    """Tell that what was to be printed could not be; every other error of the system has a type of its own."""
    with contextlib.suppress(OSError, ValueError):
        # What is still buffered would fail again at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return exits.NO_READER
    with contextlib.suppress(OSError):
        place, verb = (error.filename, "used") if error.filename else ("standard output", "written")
        message = f"{place} cannot be {verb}: {error.strerror}"
        print_error("OutputError", message, exits.ERROR, as_json=False)
    return exits.ERROR


def _report_usage(error: click.ClickException, *, as_json: bool) -> int:
    if as_json:
        print_error("UsageError", error.format_message(), exits.USAGE, as_json=True)
    else:
        error.show()
    return exits.USAGE


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise TerminatedError


def _signal_again(swallowed: "UnraisableHookArgs") -> None:
    """Send a signal again that arrived inside a destructor, where Python swallows what its handler raises."""
    number = AGAIN.get(swallowed.exc_type)
    if number is None:
        sys.__unraisablehook__(swallowed)
        return
    timer = Timer(SIGNAL_AGAIN_S, signal.pthread_kill, (main_thread().ident, number))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main()
