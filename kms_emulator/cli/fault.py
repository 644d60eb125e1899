"""`kms-emulator fault`: outages, throttling and errors on command."""

from typing import Any

import rich_click as click
from keystore_api.admin.v1 import admin_pb2 as pb
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.admin.errors import RefusedError
from kms_emulator.admin.forms import form_of, to_form
from kms_emulator.cli.endpoint import TIMEOUT_S, connected, endpoint_option
from kms_emulator.cli.exits import USAGE, CommandError
from kms_emulator.cli.output import json_option, print_json, print_table, reports_errors
from kms_emulator.cli.uris import cloud_name
from kms_emulator.model.faults import PROVIDERS, FaultKind

_HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=_HELP)
def fault() -> None:
    """Make calls fail on command, and stop that again.

    close and hang are outages without an answer, unavailable is the cloud's 5xx, throttle its "too many requests",
    error any error code, latency a delay, addresses a list of networks that are let in, expired-credentials what its
    name says.
    """


@fault.command("add", context_settings=_HELP)
@click.argument("kind", type=click.Choice([kind.value for kind in FaultKind]))
@click.option("--provider", type=click.Choice(PROVIDERS), help="Only calls to that cloud.")
@click.option("--operation", help="Only calls of that name, such as Decrypt.")
@click.option("--key", help="Only calls about that key: URI, id, ARN, alias or resource name.")
@click.option("--caller", help="Only calls of that user: ARN, name or access key id.")
@click.option("--from", "from_time", metavar="TIME", help="Not before, on the emulator's clock: 2030-01-01T00:00:00Z.")
@click.option("--until", "until_time", metavar="TIME", help="Not from then on, on the emulator's clock.")
@click.option("--first", type=click.IntRange(1), help="Number of the first call that fails. [default: 1]")
@click.option("--every", type=click.IntRange(1), help="From then on every so many calls. [default: 1]")
@click.option("--count", type=click.IntRange(0), help="How many calls fail; 0 means all. [default: 0]")
@click.option("--delay", metavar="LENGTH", help="latency: seconds, or a number with s, m or h.")
@click.option("--code", help="error: the cloud's code, such as KMSInternalException.")
@click.option("--message", help="error: what it says.")
@click.option("--retry-after", "retry_after_s", type=click.IntRange(0), help="throttle: seconds. [default: 1]")
@click.option("--network", "networks", multiple=True, help="addresses: who is let in, such as 10.0.0.0/8; repeatable.")
@endpoint_option
@json_option
@reports_errors
def add_fault(endpoint: str, as_json: bool, **fields: Any) -> None:
    """Let calls meet a fault of that KIND from now on."""
    fields["networks"] = list(fields["networks"])
    given: dict[str, Any] = {name: value for name, value in fields.items() if value}
    if fields["retry_after_s"] == 0:
        given["retry_after_s"] = 0
    if "key" in given:
        given["key"] = cloud_name(given["key"], with_version=False)
    if "delay" in given:
        given["delay"] = _length(given["delay"])
    try:
        request = form_of(pb.Fault, given)
    except RefusedError as error:
        raise CommandError(str(error), USAGE) from None
    with connected(endpoint) as channel:
        made = AdminStub(channel).AddFault(request, timeout=TIMEOUT_S)
    print_json(to_form(made)) if as_json else click.echo(made.number)


@fault.command("list", context_settings=_HELP)
@endpoint_option
@json_option
@reports_errors
def list_faults(endpoint: str, as_json: bool) -> None:
    """Print the faults, oldest first: the calls in their scope, and those that met them."""
    with connected(endpoint) as channel:
        found = AdminStub(channel).ListFaults(pb.ListFaultsRequest(), timeout=TIMEOUT_S)
    if as_json:
        print_json(to_form(found))
        return
    print_table(["NO", "KIND", "PROVIDER", "OPERATION", "KEY", "MET", "CALLS"], [_row(item) for item in found.faults])


@fault.command("remove", context_settings=_HELP)
@click.argument("numbers", metavar="NUMBER...", nargs=-1, type=click.IntRange(1))
@click.option("--all", "every", is_flag=True, help="Remove all.")
@endpoint_option
@json_option
@reports_errors
def remove_faults(numbers: tuple[int, ...], every: bool, endpoint: str, as_json: bool) -> None:
    """Remove faults by their numbers, or --all; calls that hang end."""
    if every is bool(numbers):
        raise CommandError("name the faults to remove, or --all", USAGE)
    removed = 0
    with connected(endpoint) as channel:
        for number in numbers or (0,):
            reply = AdminStub(channel).RemoveFaults(pb.RemoveFaultsRequest(number=number), timeout=TIMEOUT_S)
            removed += reply.removed
    print_json({"removed": removed}) if as_json else click.echo(f"{removed} removed.")


def _row(item: pb.Fault) -> list[str]:
    met = f"{item.met} of {item.count}" if item.count else str(item.met)
    scope = [part or "all" for part in (item.provider, item.operation, item.key)]
    return [str(item.number), item.kind, *scope, met, str(item.seen)]


def _length(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text
