"""`kms-emulator user`: users of the emulated AWS account, whom policies hold."""

from pathlib import Path

import rich_click as click
from keystore_api.admin.v1 import admin_pb2 as pb
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.admin.forms import to_form
from kms_emulator.cli.endpoint import TIMEOUT_S, connected, endpoint_option
from kms_emulator.cli.exits import USAGE, CommandError
from kms_emulator.cli.output import json_option, print_json, print_table, reports_errors

_HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=_HELP)
def user() -> None:
    """Make, list and remove users of the emulated AWS account."""


@user.command("put", context_settings=_HELP)
@click.argument("name")
@click.option("--access-key-id", default="", help="16 to 128 letters and digits; a new user gets a fresh one.")
@click.option("--secret-access-key", default="", help="Goes with --access-key-id.")
@click.option(
    "--policy-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What the user may do, as a JSON policy. Without it a user keeps its policy, and a new one may do "
    "nothing; {} takes away what it has.",
)
@endpoint_option
@json_option
@reports_errors
def put_user(
    name: str, access_key_id: str, secret_access_key: str, policy_file: Path | None, endpoint: str, as_json: bool
) -> None:
    """Create a user, or change one: give it another policy, one more access key, or both.

    What is not given stays as it is. A secret that is made here is printed once.
    """
    try:
        policy = policy_file.read_text(encoding="utf-8") if policy_file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"policy file {policy_file} cannot be read: {error}", USAGE) from None
    request = pb.PutUserRequest(
        name=name, access_key_id=access_key_id, secret_access_key=secret_access_key, policy=policy
    )
    with connected(endpoint) as channel:
        made = AdminStub(channel).PutUser(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(to_form(made))
        return
    click.echo(made.arn)
    if made.secret_access_key:
        click.echo(f"AWS_ACCESS_KEY_ID={made.access_key_ids[0]}\nAWS_SECRET_ACCESS_KEY={made.secret_access_key}")


@user.command("list", context_settings=_HELP)
@endpoint_option
@json_option
@reports_errors
def list_users(endpoint: str, as_json: bool) -> None:
    """Print all users."""
    with connected(endpoint) as channel:
        found = AdminStub(channel).ListUsers(pb.ListUsersRequest(), timeout=TIMEOUT_S)
    if as_json:
        print_json(to_form(found))
        return
    print_table(["USER", "ACCESS KEYS"], [[item.arn, " ".join(item.access_key_ids)] for item in found.users])


@user.command("remove", context_settings=_HELP)
@click.argument("name")
@endpoint_option
@json_option
@reports_errors
def remove_user(name: str, endpoint: str, as_json: bool) -> None:
    """Remove a user; its access keys are refused from now on."""
    with connected(endpoint) as channel:
        AdminStub(channel).RemoveUser(pb.RemoveUserRequest(name=name), timeout=TIMEOUT_S)
    print_json({"removed": name}) if as_json else click.echo(f"User {name} was removed.")
