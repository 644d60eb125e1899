"""`kms-emulator state|metrics`: everything there is, and the counters."""

import rich_click as click
from keystore_api.admin.v1 import admin_pb2 as pb
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.admin.forms import to_form
from kms_emulator.cli.endpoint import TIMEOUT_S, connected, endpoint_option
from kms_emulator.cli.output import json_option, print_json, print_table, reports_errors

_HELP = {"help_option_names": ["-h", "--help"]}


@click.command(context_settings=_HELP)
@endpoint_option
@json_option
@reports_errors
def state(endpoint: str, as_json: bool) -> None:
    """Print all keys, users and faults, without key material and secrets; --json prints every field."""
    with connected(endpoint) as channel:
        found = AdminStub(channel).GetState(pb.GetStateRequest(), timeout=TIMEOUT_S)
    if as_json:
        print_json(to_form(found))
        return
    click.echo(f"{found.clock.now.ToJsonString()}{'  (frozen)' if found.clock.frozen else ''}, {found.calls} calls\n")
    rows = [
        [key.provider, key.name, key.kind, key.state, str(len(key.versions)), " ".join(key.aliases)]
        for key in found.keys
    ]
    print_table(["PROVIDER", "KEY", "KIND", "STATE", "VERSIONS", "ALIASES"], rows)
    click.echo()
    print_table(["USER", "ACCESS KEYS"], [[user.arn, " ".join(user.access_key_ids)] for user in found.users])
    click.echo(f"\n{len(found.faults)} faults")


@click.command(context_settings=_HELP)
@endpoint_option
@json_option
@reports_errors
def metrics(endpoint: str, as_json: bool) -> None:
    """Print the counters in Prometheus' text form."""
    with connected(endpoint) as channel:
        text = AdminStub(channel).GetMetrics(pb.GetMetricsRequest(), timeout=TIMEOUT_S).text
    print_json({"text": text}) if as_json else click.echo(text, nl=False)
