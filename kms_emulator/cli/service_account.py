"""`kms-emulator service-account`: service accounts of the emulated Google projects, whom policies hold."""

import json

import rich_click as click
from keystore_api.admin.v1 import admin_pb2 as pb
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.admin.forms import to_form
from kms_emulator.cli.endpoint import TIMEOUT_S, connected, default_http_port, endpoint_option
from kms_emulator.cli.output import json_option, print_json, print_table, reports_errors

PROJECT_DEFAULT = "emulated"
UNIVERSE_DEFAULT = "googleapis.com"
RSA_BITS = 2048
_HELP = {"help_option_names": ["-h", "--help"]}


@click.group("service-account", context_settings=_HELP)
def service_account() -> None:
    """Make, list and remove service accounts of the emulated Google projects."""


@service_account.command("put", context_settings=_HELP)
@click.argument("name")
@click.option("--project", default=PROJECT_DEFAULT, show_default=True, help="Unless NAME is a whole email.")
@click.option("--role", "roles", multiple=True, help="Held on everything, such as roles/cloudkms.admin; repeatable.")
@click.option("--token-uri", help="Where tokens are given. [default: /token on the port after --endpoint's]")
@click.option(
    "--universe-domain",
    default=UNIVERSE_DEFAULT,
    show_default=True,
    help="localhost:PORT, with the port of gRPC over TLS, leads clients here that name no endpoint.",
)
@endpoint_option
@reports_errors
def put_account(
    name: str, project: str, roles: tuple[str, ...], token_uri: str | None, universe_domain: str, endpoint: str
) -> None:
    """Create a service account, or replace its roles, and print a new key of it.

    What is printed is the file that GOOGLE_APPLICATION_CREDENTIALS names. The private key is made here, shown once, and
    kept nowhere. Roles for one key ring or key are bound by SetIamPolicy.
    """
    host, _, port = endpoint.rpartition(":")
    private, public = key_pair()
    email = name if "@" in name else f"{name}@{project}.iam.gserviceaccount.com"
    request = pb.PutServiceAccountRequest(email=email, roles=roles, public_key=public)
    with connected(endpoint) as channel:
        made = AdminStub(channel).PutServiceAccount(request, timeout=TIMEOUT_S)
    uri = token_uri or f"http://{host}:{default_http_port(int(port))}/token"
    click.echo(json.dumps(key_file(made, private, uri, universe_domain), indent=2))


def key_file(
    account: pb.ServiceAccount, private: str, token_uri: str, universe: str = UNIVERSE_DEFAULT
) -> dict[str, str]:
    """Return the JSON of a service account's key, as Google writes it."""
    project = account.email.partition("@")[2].partition(".")[0]
    return {
        "type": "service_account",
        "project_id": project,
        "private_key_id": account.key_id,
        "private_key": private,
        "client_email": account.email,
        "client_id": "0",
        "auth_uri": token_uri.removesuffix("/token") + "/auth",
        "token_uri": token_uri,
        "universe_domain": universe,
    }


@service_account.command("list", context_settings=_HELP)
@endpoint_option
@json_option
@reports_errors
def list_accounts(endpoint: str, as_json: bool) -> None:
    """Print all service accounts."""
    with connected(endpoint) as channel:
        found = AdminStub(channel).ListServiceAccounts(pb.ListServiceAccountsRequest(), timeout=TIMEOUT_S)
    if as_json:
        print_json(to_form(found))
        return
    rows = [[item.email, " ".join(item.roles), " ".join(item.key_ids)] for item in found.service_accounts]
    print_table(["SERVICE ACCOUNT", "ROLES", "KEYS"], rows)


@service_account.command("remove", context_settings=_HELP)
@click.argument("email")
@endpoint_option
@json_option
@reports_errors
def remove_account(email: str, endpoint: str, as_json: bool) -> None:
    """Remove a service account; its keys and tokens are refused from now on."""
    with connected(endpoint) as channel:
        AdminStub(channel).RemoveServiceAccount(pb.RemoveServiceAccountRequest(email=email), timeout=TIMEOUT_S)
    print_json({"removed": email}) if as_json else click.echo(f"Service account {email} was removed.")


def key_pair() -> tuple[str, str]:
    """Return a fresh private key and its public half, in PEM."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = rsa.generate_private_key(65537, RSA_BITS)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
