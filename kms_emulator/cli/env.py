"""`kms-emulator env`: the environment variables that point clients at the emulator."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import rich_click as click

from kms_emulator.cli.endpoint import (
    ENDPOINT_DEFAULT,
    ENVIRONMENT_NAME,
    default_http_port,
    default_https_port,
    endpoint_option,
)
from kms_emulator.cli.exits import USAGE, CommandError
from kms_emulator.cli.output import json_option, print_json, reports_errors
from kms_emulator.wire.azure.managed_identity import TOKEN_PATH

_FORMS = {
    "sh": "export {name}={value}",
    "fish": "set -gx {name} {value};",
    "powershell": '$Env:{name} = "{value}"',
    "dotenv": "{name}={value}",
}


@dataclass(frozen=True, slots=True)
class Places:
    """Where each surface is; what is not served is None. `ca` is the path of the certificate that HTTPS is under."""

    grpc: str
    aws: str | None = None
    azure: str | None = None
    ca: str | None = None

    @classmethod
    def of(cls, endpoints: Mapping[str, str | None]) -> "Places":
        """Return the places of a ready file's object."""
        return cls(str(endpoints["grpc"]), endpoints.get("aws"), endpoints.get("azure"), endpoints.get("ca"))


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
        "REQUESTS_CA_BUNDLE": ca,
        "SSL_CERT_FILE": ca,
        "CURL_CA_BUNDLE": ca,
        "NODE_EXTRA_CA_CERTS": ca,
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
@click.option("--aws-url", metavar="URL", help="Where AWS is served. [default: the port after --endpoint's]")
@click.option(
    "--ca",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The certificate that `serve` names, for Azure's variables; a ready file has it. It replaces the system's.",
)
@click.option("--shell", type=click.Choice(list(_FORMS)), default="sh", show_default=True, help="Whose syntax.")
@json_option
@reports_errors
def env(
    endpoint: str, ready_file: Path | None, aws_url: str | None, ca: Path | None, shell: str, as_json: bool
) -> None:
    """Print the variables that point clients at the emulator: eval "$(kms-emulator env)".

    AWS_… is what AWS's SDKs and command line read, with keys that are nobody's. IDENTITY_… is what Azure's SDKs read,
    and …_CERT_FILE, …_CA_BUNDLE is what they trust, nothing besides. KEYSTORE_KMS_ENDPOINT is what keystore
    reads, KMS_EMULATOR_ENDPOINT what this program reads, and KMS_EMULATOR_HOST what tests of Google clients commonly
    read.
    """
    found = variables(_from_ready_file(ready_file) if ready_file else _asked(endpoint, aws_url, ca))
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        click.echo(_FORMS[shell].format(name=name, value=value))


def _asked(endpoint: str, aws_url: str | None, ca: Path | None) -> Places:
    """Return where the surfaces are, if no port was chosen by hand or at random."""
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal():
        raise CommandError(f"endpoint {endpoint!r} is not HOST:PORT, such as {ENDPOINT_DEFAULT}", USAGE)
    plain = default_http_port(int(port))
    aws = aws_url or f"http://{host}:{plain}"
    if ca is None:
        return Places(endpoint, aws)
    return Places(endpoint, aws, f"https://{host}:{default_https_port(plain)}", str(ca.absolute()))


def _from_ready_file(path: Path) -> Places:
    try:
        return Places.of(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise CommandError(f"ready file {path} cannot be read: {error.strerror}. Is the emulator up?", USAGE) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CommandError(f"ready file {path} was not written by kms-emulator serve", USAGE) from None
