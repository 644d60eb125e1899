"""`kms-emulator application` and `kms-emulator vault`: who may use Azure's vaults, and what holds for them."""

import rich_click as click
from google.protobuf.timestamp_pb2 import Timestamp
from keystore_api.admin.v1 import admin_pb2 as pb
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.admin.forms import A_TIME, to_form
from kms_emulator.cli.endpoint import TIMEOUT_S, connected, endpoint_option
from kms_emulator.cli.exits import USAGE, CommandError
from kms_emulator.cli.output import json_option, print_json, print_table, reports_errors

_HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=_HELP)
def application() -> None:
    """Make, list and remove applications of Azure's tenants: who asks vaults, with a secret."""


@application.command("put", context_settings=_HELP)
@click.argument("client_id", default="")
@click.option("--vault", default="", help="The vault that permissions and roles are for. [default: local-vault]")
@click.option("--permission", "permissions", multiple=True, help="As access policies name them: get, wrapKey, …, all.")
@click.option("--role", "roles", multiple=True, help='Such as "Key Vault Crypto User"; in place of those it has.')
@click.option("--revoke", is_flag=True, help="It may do nothing in that vault.")
@click.option("--secret", default="", help="One more secret; an application without one gets a fresh one.")
@click.option("--secret-expires", metavar="TIME", help="When that secret ends, such as 2030-01-01T00:00:00Z.")
@click.option("--tenant", default="", help="The vaults' own tenant if not given.")
@endpoint_option
@json_option
@reports_errors
def put_application(
    client_id: str,
    vault: str,
    permissions: tuple[str, ...],
    roles: tuple[str, ...],
    revoke: bool,
    secret: str,
    secret_expires: str | None,
    tenant: str,
    endpoint: str,
    as_json: bool,
) -> None:
    """Create an application, or change the one that has CLIENT_ID.

    Permissions and roles that are given take the place of those it has in that vault. A secret that is made here is
    printed once.
    """
    request = pb.PutApplicationRequest(
        client_id=client_id, tenant=tenant, vault=vault, permissions=permissions, roles=roles, revoke=revoke
    )
    request.secret = secret
    if secret_expires is not None:
        request.secret_expires_at.CopyFrom(_time(secret_expires))
    with connected(endpoint) as channel:
        made = AdminStub(channel).PutApplication(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(to_form(made))
        return
    click.echo(f"AZURE_TENANT_ID={made.tenant}\nAZURE_CLIENT_ID={made.client_id}")
    if made.secret:
        click.echo(f"AZURE_CLIENT_SECRET={made.secret}")


@application.command("list", context_settings=_HELP)
@endpoint_option
@json_option
@reports_errors
def list_applications(endpoint: str, as_json: bool) -> None:
    """Print all applications."""
    with connected(endpoint) as channel:
        found = AdminStub(channel).ListApplications(pb.ListApplicationsRequest(), timeout=TIMEOUT_S)
    if as_json:
        print_json(to_form(found))
        return
    print_table(["CLIENT ID", "TENANT"], [[item.client_id, item.tenant] for item in found.applications])


@application.command("remove", context_settings=_HELP)
@click.argument("client_id")
@click.option("--tenant", default="", help="The vaults' own tenant if not given.")
@endpoint_option
@json_option
@reports_errors
def remove_application(client_id: str, tenant: str, endpoint: str, as_json: bool) -> None:
    """Remove an application; its secrets and tokens are refused from now on."""
    request = pb.RemoveApplicationRequest(client_id=client_id, tenant=tenant)
    with connected(endpoint) as channel:
        AdminStub(channel).RemoveApplication(request, timeout=TIMEOUT_S)
    print_json({"removed": client_id}) if as_json else click.echo(f"Application {client_id} was removed.")


@click.group(context_settings=_HELP)
def vault() -> None:
    """Say what holds for Azure's vaults, and list those that were described."""


@vault.command("put", context_settings=_HELP)
@click.argument("name")
@click.option("--retention-days", type=click.IntRange(7, 90), help="How long deleted keys can be recovered.")
@click.option("--purge-protection", is_flag=True, help="Deleted keys cannot be purged; cannot be taken back.")
@click.option("--network", "networks", multiple=True, help="Answer callers from there only, such as 10.0.0.0/8.")
@click.option("--anywhere", is_flag=True, help="Answer callers from everywhere.")
@click.option("--by-roles/--by-policies", default=None, help="Let roles decide about keys, or access policies.")
@click.option("--subscription", default="", help="For the management call that reads it.")
@click.option("--resource-group", default="", help="For the management call that reads it.")
@endpoint_option
@json_option
@reports_errors
def put_vault(
    name: str,
    retention_days: int | None,
    purge_protection: bool,
    networks: tuple[str, ...],
    anywhere: bool,
    by_roles: bool | None,
    subscription: str,
    resource_group: str,
    endpoint: str,
    as_json: bool,
) -> None:
    """Describe the vault NAME. What is not given stays as it is."""
    if networks and anywhere:
        raise CommandError("--network and --anywhere exclude each other", USAGE)
    request = pb.PutVaultRequest(
        name=name,
        retention_days=retention_days or 0,
        networks=networks,
        subscription=subscription,
        resource_group=resource_group,
    )
    if purge_protection:
        request.purge_protection = True
    if networks or anywhere:
        request.restricted = not anywhere
    if by_roles is not None:
        request.by_roles = by_roles
    with connected(endpoint) as channel:
        made = AdminStub(channel).PutVault(request, timeout=TIMEOUT_S)
    print_json(to_form(made)) if as_json else _print_vaults([made])


@vault.command("list", context_settings=_HELP)
@endpoint_option
@json_option
@reports_errors
def list_vaults(endpoint: str, as_json: bool) -> None:
    """Print the vaults that were described; any other has the defaults."""
    with connected(endpoint) as channel:
        found = AdminStub(channel).ListVaults(pb.ListVaultsRequest(), timeout=TIMEOUT_S)
    print_json(to_form(found)) if as_json else _print_vaults(list(found.vaults))


def _print_vaults(vaults: list[pb.Vault]) -> None:
    rows = [
        [
            item.name,
            str(item.retention_days),
            "yes" if item.purge_protection else "no",
            " ".join(item.networks) or ("nobody" if item.restricted else "everybody"),
            "roles" if item.by_roles else "policies",
        ]
        for item in vaults
    ]
    print_table(["VAULT", "DAYS", "PURGE PROTECTION", "ANSWERS", "GOES BY"], rows)


def _time(text: str) -> Timestamp:
    time = Timestamp()
    try:
        time.FromJsonString(text)
    except ValueError:
        raise CommandError(f"{text!r} is not {A_TIME}", USAGE) from None
    return time
