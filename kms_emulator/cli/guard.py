"""`kms-emulator guard`: keeps keys that somebody uses from being disabled, deleted or destroyed."""

import rich_click as click
from keystore_api.admin.v1 import admin_pb2 as pb
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.admin.forms import to_form
from kms_emulator.cli.endpoint import TIMEOUT_S, connected, endpoint_option
from kms_emulator.cli.output import json_option, print_json, print_table, reports_errors
from kms_emulator.cli.uris import cloud_name

_HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=_HELP)
def guard() -> None:
    """Refuse to disable, delete or destroy keys that somebody uses. No cloud does; it is off until turned on."""


@guard.command("on", context_settings=_HELP)
@endpoint_option
@json_option
@reports_errors
def turn_on(endpoint: str, as_json: bool) -> None:
    """Turn the guard on."""
    _switch(endpoint, on=True, as_json=as_json)


@guard.command("off", context_settings=_HELP)
@endpoint_option
@json_option
@reports_errors
def turn_off(endpoint: str, as_json: bool) -> None:
    """Turn the guard off; what is known of uses stays."""
    _switch(endpoint, on=False, as_json=as_json)


@guard.command("add", context_settings=_HELP)
@click.argument("key")
@click.argument("user")
@endpoint_option
@json_option
@reports_errors
def add(key: str, user: str, endpoint: str, as_json: bool) -> None:
    """Note that USER depends on KEY: a URI, an ARN, an alias, https://…/keys/NAME or projects/…/cryptoKeys/KEY.

    With a version, where the cloud names one, what is used is that version. USER is any text, such as a node's name.
    """
    with connected(endpoint) as channel:
        made = AdminStub(channel).AddKeyUse(pb.KeyUse(key=cloud_name(key), user=user), timeout=TIMEOUT_S)
    print_json(to_form(made)) if as_json else click.echo(f"{user} uses {key} (number {made.number}).")


@guard.command("remove", context_settings=_HELP)
@click.argument("user")
@endpoint_option
@json_option
@reports_errors
def remove(user: str, endpoint: str, as_json: bool) -> None:
    """Forget all that USER uses."""
    with connected(endpoint) as channel:
        found = AdminStub(channel).RemoveKeyUses(pb.RemoveKeyUsesRequest(user=user), timeout=TIMEOUT_S)
    print_json(to_form(found)) if as_json else click.echo(f"{user} uses no key any more ({found.removed} removed).")


@guard.command("list", context_settings=_HELP)
@endpoint_option
@json_option
@reports_errors
def list_uses(endpoint: str, as_json: bool) -> None:
    """Print whether the guard is on, and who uses what."""
    with connected(endpoint) as channel:
        found = AdminStub(channel).GetGuard(pb.GetGuardRequest(), timeout=TIMEOUT_S)
    if as_json:
        print_json(to_form(found))
        return
    click.echo(f"The guard is {'on' if found.on else 'off'}.")
    if found.uses:
        print_table(["KEY", "USED BY"], [[use.key, use.user] for use in found.uses])


def _switch(endpoint: str, *, on: bool, as_json: bool) -> None:
    with connected(endpoint) as channel:
        found = AdminStub(channel).SetGuard(pb.SetGuardRequest(on=on), timeout=TIMEOUT_S)
    print_json(to_form(found)) if as_json else click.echo(f"The guard is {'on' if found.on else 'off'}.")
