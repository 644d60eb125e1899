"""`kms-emulator clock|calls|reset`: the emulator's own controls."""

from typing import Any

import rich_click as click
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from keystore_api.admin.v1 import admin_pb2 as pb
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.admin.forms import A_TIME, known_length_s
from kms_emulator.cli.clouds.row import time_text
from kms_emulator.cli.endpoint import TIMEOUT_S, connected, endpoint_option
from kms_emulator.cli.exits import USAGE, CommandError
from kms_emulator.cli.output import json_option, print_json, print_table, reports_errors
from kms_emulator.cli.uris import cloud_name
from kms_emulator.wire.times import SECOND_NS, duration

_HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=_HELP)
def clock() -> None:
    """Show and move the emulator's clock."""


@clock.command("get", context_settings=_HELP)
@endpoint_option
@json_option
@reports_errors
def get_clock(endpoint: str, as_json: bool) -> None:
    """Print the emulator's time."""
    with connected(endpoint) as channel:
        _print_clock(AdminStub(channel).GetClock(pb.GetClockRequest(), timeout=TIMEOUT_S), as_json=as_json)


@clock.command("advance", context_settings=_HELP)
@click.argument("length")
@endpoint_option
@json_option
@reports_errors
def advance_clock(length: str, endpoint: str, as_json: bool) -> None:
    """Move time forward by LENGTH: a number with s, m, h or d, such as 30d."""
    request = pb.AdvanceClockRequest(by=duration(_length_ns(length)))
    with connected(endpoint) as channel:
        _print_clock(AdminStub(channel).AdvanceClock(request, timeout=TIMEOUT_S), as_json=as_json)


@clock.command("set", context_settings=_HELP)
@click.argument("time", required=False)
@click.option("--frozen", is_flag=True, help="Let time stand still.")
@endpoint_option
@json_option
@reports_errors
def set_clock(time: str | None, frozen: bool, endpoint: str, as_json: bool) -> None:
    """Set the time to TIME, such as 2030-01-01T00:00:00Z, or back to the host's if it is not given."""
    request = pb.SetClockRequest(now=_time(time) if time else None, frozen=frozen)
    with connected(endpoint) as channel:
        _print_clock(AdminStub(channel).SetClock(request, timeout=TIMEOUT_S), as_json=as_json)


@click.command(context_settings=_HELP)
@click.option("--provider", default="", help="Only calls of aws, azure or gcp.")
@click.option("--operation", default="", help="Only calls of that name, such as Decrypt.")
@click.option("--key", default="", help="Only calls about the key of that URI, or keys with that in their name.")
@click.option("--outcome", default="", help="Only calls that ended so: OK or an error code.")
@click.option("--caller", default="", help="Only calls of that access key, or with that in the caller's ARN.")
@click.option("--after", "after_number", type=int, default=0, help="Only calls with a higher number.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="Calls at most.")
@endpoint_option
@json_option
@reports_errors
def calls(endpoint: str, as_json: bool, **wanted: Any) -> None:
    """Print who asked for what: names, outcomes and lengths, never contents."""
    wanted["key"] = cloud_name(wanted["key"], with_version=False)
    with connected(endpoint) as channel:
        reply = AdminStub(channel).ListCalls(pb.ListCallsRequest(**wanted), timeout=TIMEOUT_S)
    if as_json:
        print_json({"calls": [_call(call) for call in reply.calls], "total": reply.total, "dropped": reply.dropped})
        return
    rows = [
        [str(call.number), call.provider, call.operation, call.outcome, str(call.plaintext_bytes), call.key]
        for call in reply.calls
    ]
    print_table(["NO", "PROVIDER", "OPERATION", "OUTCOME", "PLAINTEXT BYTES", "KEY"], rows)


@click.command(context_settings=_HELP)
@click.option("--yes", is_flag=True, help="Do not ask.")
@endpoint_option
@json_option
@reports_errors
def reset(yes: bool, endpoint: str, as_json: bool) -> None:
    """Go back to the seed: remove every other key and user, all calls and faults, and set the clock to the host's."""
    if not yes:
        click.confirm(f"Remove every key of the emulator at {endpoint} that is not of its seed?", abort=True, err=True)
    with connected(endpoint) as channel:
        AdminStub(channel).Reset(pb.ResetRequest(), timeout=TIMEOUT_S)
    print_json({"reset": True}) if as_json else click.echo("The emulator is as it began.")


def _print_clock(found: pb.Clock, *, as_json: bool) -> None:
    now = time_text(found.now)
    if as_json:
        print_json({"now": now, "frozen": found.frozen, "offset_s": found.offset.seconds})
    else:
        click.echo(f"{now}{'  (frozen)' if found.frozen else ''}")


def _length_ns(text: str) -> int:
    try:
        return known_length_s(text) * SECOND_NS
    except ValueError as error:
        raise CommandError(str(error), USAGE) from None


def _time(text: str) -> Timestamp:
    time = Timestamp()
    try:
        time.FromJsonString(text)
    except ValueError:
        raise CommandError(f"{text!r} is not {A_TIME}", USAGE) from None
    return time


def _call(call: pb.Call) -> dict[str, Any]:
    described = MessageToDict(call, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    numbers = {name: int(described[name]) for name in ("number", "plaintext_bytes", "ciphertext_bytes", "fault")}
    return described | numbers
