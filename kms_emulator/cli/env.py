"""`kms-emulator env`: the environment variables that point clients at the emulator."""

import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path

import rich_click as click
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.cli.endpoint import ENVIRONMENT_NAME, TIMEOUT_S, connected, endpoint_option
from kms_emulator.cli.env_gcp import TRANSPORTS, gcp_variables, universe_domain, write_key_file
from kms_emulator.cli.exits import USAGE, CommandError
from kms_emulator.cli.output import json_option, print_json, reports_errors
from kms_emulator.cli.places import Places, find_places, read_ready_file, wait
from kms_emulator.trust import bundle_of
from kms_emulator.wire.azure.managed_identity import TOKEN_PATH

KEY_FILE = "gcp-{}.json"
"""The service account's key file beside the certificate, for clients of a transport."""

_FORMS = {
    "sh": "export {name}={value}",
    "fish": "set -gx {name} {value};",
    "powershell": '$Env:{name} = "{value}"',
    "dotenv": "{name}={value}",
}


def variables(places: Places) -> dict[str, str]:
    """Return what a client's environment needs."""
    found = {
        ENVIRONMENT_NAME: places.grpc,
        "KEYSTORE_KMS_ENDPOINT": places.grpc,
        "KMS_EMULATOR_HOST": places.grpc,
    }
    if places.aws is not None:
        found |= _aws_variables(places.aws)
    if places.azure is not None and places.ca is not None:
        found |= _azure_variables(places.azure, places.ca, places.aws or places.azure)
    return found


def _azure_variables(vault: str, ca: str, identity: str) -> dict[str, str]:
    """Return what azure-identity, and the HTTP clients below Azure's SDKs, read.

    DefaultAzureCredential asks the identity endpoint. The vault's URL has no variable of its own in the SDKs; these two
    are what examples and applications commonly read.
    """
    return {
        "AZURE_KEYVAULT_URL": vault,
        "VAULT_URL": vault,
        "IDENTITY_ENDPOINT": f"{identity}{TOKEN_PATH}",
        "IDENTITY_HEADER": "test",
        "AZURE_AUTHORITY_HOST": vault,
        **dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"), bundle_of(ca)),
        "NODE_EXTRA_CA_CERTS": ca,
        "KEYSTORE_KMS_CA": ca,
    }


def _aws_variables(url: str) -> dict[str, str]:
    """Return what AWS's SDKs read. The keys are nobody's: with real ones in reach, a slip would reach real AWS."""
    return {
        "AWS_ENDPOINT_URL_KMS": url,
        "AWS_ENDPOINT_URL_STS": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@endpoint_option
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Take the endpoints from what `serve --ready-file` wrote.",
)
@click.option("--aws-url", metavar="URL", help="Where AWS is served. [default: where the server says]")
@click.option(
    "--ca",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The certificate that clients trust, if the server's own path is not one of this machine. Without a "
    "ca-bundle.pem beside it, it replaces the system's for them.",
)
@click.option(
    "--gcp",
    type=click.Choice(TRANSPORTS),
    help="Google's variables too, for clients that speak gRPC or REST; they lead all of Google's clients here.",
)
@click.option(
    "--gcp-key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the key file of a service account that may do everything. [default: beside the certificate]",
)
@click.option("--wait", "wait_s", type=click.FloatRange(0, 3600), help="Wait up to so many seconds for the server.")
@click.option("--shell", type=click.Choice(list(_FORMS)), default="sh", show_default=True, help="Whose syntax.")
@json_option
@reports_errors
def env(
    endpoint: str,
    ready_file: Path | None,
    aws_url: str | None,
    ca: Path | None,
    gcp: str | None,
    gcp_key_file: Path | None,
    wait_s: float | None,
    shell: str,
    as_json: bool,
) -> None:
    """Print the variables that point clients at the emulator: eval "$(kms-emulator env)".

    AWS_… is what AWS's SDKs and command line read, with keys that are nobody's. IDENTITY_… is what Azure's SDKs read,
    and …_CERT_FILE, …_CA_BUNDLE is what they trust: it and what this machine trusts. GOOGLE_… and GRPC_… is what
    Google's read. KEYSTORE_… is what keystore reads, KMS_EMULATOR_ENDPOINT what this program reads, and
    KMS_EMULATOR_HOST what tests of Google clients commonly read.

    Where no server answers yet, the variables are those of one that is started without options.
    """
    if wait_s is not None:
        wait(lambda: endpoint if ready_file is None else _named_in(ready_file), wait_s)
    places = read_ready_file(ready_file) if ready_file is not None else find_places(endpoint)
    places = replace(places, aws=aws_url or places.aws, ca=str(ca.absolute()) if ca is not None else places.ca)
    found = variables(places)
    if gcp is not None:
        found |= _google(places, gcp, gcp_key_file)
    if as_json:
        print_json(found)
        return
    if places.is_guess:
        click.echo(
            f"note: no emulator answers at {endpoint}; these are for one that is started without options", err=True
        )
    for name, value in found.items():
        quoted = shlex.quote(value) if shell in ("sh", "fish") else value
        click.echo(_FORMS[shell].format(name=name, value=quoted))


def _named_in(ready_file: Path) -> str | None:
    """Return the endpoint in a ready file; None if there is none yet."""
    return read_ready_file(ready_file).grpc if ready_file.exists() else None


def _google(places: Places, transport: str, path: Path | None) -> dict[str, str]:
    """Make a service account and its key file; return Google's variables."""
    universe = universe_domain(transport, places.azure, places.gcp_tls)
    if places.ca is None:
        raise CommandError("Google's clients need the certificate that they are to trust: name it with --ca", USAGE)
    key_path = path.absolute() if path is not None else Path(places.ca).with_name(KEY_FILE.format(transport))
    with connected(places.grpc) as channel:
        put = partial(AdminStub(channel).PutServiceAccount, timeout=TIMEOUT_S)
        write_key_file(key_path, universe, f"{places.aws or places.azure}/token", put)
    return gcp_variables(universe, bundle_of(places.ca), key_path)
