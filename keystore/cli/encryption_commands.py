"""Commands on the keys of a project at providers: set, shown, changed, tried again, removed.

Secrets come from a file or from a terminal; no command line has one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import rich_click as click

from keystore.cli import exits
from keystore.cli.api_client import ApiClient, part, project_path, with_api
from keystore.cli.arguments import PATH, STANDARD_STREAM
from keystore.cli.confirming import YES, confirm
from keystore.cli.encryption_output import BLOCKS, emit_all, emit_block, emit_checks
from keystore.cli.output import Output, with_output
from keystore.cli.project_argument import PROJECT, ProjectGroup
from keystore.cli.project_cluster_watching import follow
from keystore.errors import InputError

SECRET_BYTES_MAX = 1 << 16
"""LIMIT: bytes of a file with a secret; a service account's key has about 2400."""

PROVIDER = click.argument("provider", metavar="PROVIDER", type=click.Choice(list(BLOCKS), case_sensitive=False))
SECRET_FILE = click.option(
    "--secret-file",
    type=PATH,
    metavar="FILE",
    help="The secret; - reads standard input. Without it a terminal is asked, where it is needed.",
)
WAIT = click.option(
    "--wait", is_flag=True, help="Show how clusters move to another key, node by node, until it is done."
)


@click.group(cls=ProjectGroup)
def encryption() -> None:
    """Keys of a project at AWS, Azure and Google (gcp), under which its clusters' keys are.

    Each is checked before it is taken, and every 15 minutes. What is left out of a change stays as it is.
    """


@encryption.command("show")
@PROJECT
@with_api
@with_output
@click.pass_context
def show(context: click.Context, out: Output, project: str, api: ApiClient) -> None:
    """Check the keys of a project now, and show them; ends with 3 if one is invalid, with 4 if one cannot be asked.

    This stops nothing, and starts what was stopped for a key that is valid again.
    """
    found = api.call("GET", f"{project_path(api, project)}/encryptionAtRest")
    emit_all(out, found)
    context.exit(_exit_code([found[block] for block in BLOCKS.values()]))


@encryption.command("set-aws")
@PROJECT
@click.option("--key", "customerMasterKeyID", metavar="KEY", help="Id or ARN of the key.")
@click.option("--region", metavar="REGION", help="Where the key is, such as US_EAST_1.")
@click.option("--access-key-id", "accessKeyID", metavar="ID", help="Who calls; comes with its secret access key.")
@SECRET_FILE
@WAIT
@with_api
@with_output
@click.pass_context
def set_aws(
    context: click.Context,
    /,
    out: Output,
    project: str,
    secret_file: Path | None,
    wait: bool,
    api: ApiClient,
    **given: str | None,
) -> None:
    """Set the key at AWS, or change it or its credentials."""
    secret = _secret(secret_file, "Secret access key", asks=given["accessKeyID"] is not None)
    context.exit(_set(out, api, project, "aws", {**given, "secretAccessKey": secret}, wait=wait))


@encryption.command("set-azure")
@PROJECT
@click.option("--key", "keyIdentifier", metavar="URL", help="The key version: https://VAULT.vault.azure.net/keys/….")
@click.option("--vault", "keyVaultName", metavar="NAME", help="The vault of the key.")
@click.option("--environment", "azureEnvironment", metavar="CLOUD", help="AZURE, AZURE_CHINA or AZURE_US_GOVERNMENT.")
@click.option("--subscription-id", "subscriptionID", metavar="ID", help="The subscription of the vault.")
@click.option("--resource-group", "resourceGroupName", metavar="NAME", help="The resource group of the vault.")
@click.option("--tenant-id", "tenantID", metavar="ID", help="The tenant of the application.")
@click.option("--client-id", "clientID", metavar="ID", help="The application that calls; comes with its secret.")
@SECRET_FILE
@WAIT
@with_api
@with_output
@click.pass_context
def set_azure(
    context: click.Context,
    /,
    out: Output,
    project: str,
    secret_file: Path | None,
    wait: bool,
    api: ApiClient,
    **given: str | None,
) -> None:
    """Set the key at Azure, or change it, its vault or its credentials."""
    secret = _secret(secret_file, "Secret of the application", asks=given["clientID"] is not None)
    context.exit(_set(out, api, project, "azure", {**given, "secret": secret}, wait=wait))


@encryption.command("set-gcp")
@PROJECT
@click.option("--key", "keyVersionResourceID", metavar="NAME", help="The key version: projects/…/cryptoKeyVersions/N.")
@click.option("--service-account-file", type=PATH, metavar="FILE", help="The service account's key (JSON); - reads it.")
@WAIT
@with_api
@with_output
@click.pass_context
def set_gcp(
    context: click.Context,
    /,
    out: Output,
    project: str,
    service_account_file: Path | None,
    wait: bool,
    api: ApiClient,
    **given: str | None,
) -> None:
    """Set the key at Google, or change it or its credentials."""
    secret = _secret(service_account_file, "", asks=False)
    context.exit(_set(out, api, project, "gcp", {**given, "serviceAccountKey": secret}, wait=wait))


@encryption.command("rotate")
@PROJECT
@PROVIDER
@click.argument("key", metavar="KEY")
@click.option("--region", metavar="REGION", help="Where the new key is, at AWS.  [default: as the former one]")
@WAIT
@with_api
@with_output
@click.pass_context
def rotate(
    context: click.Context,
    out: Output,
    project: str,
    provider: str,
    key: str,
    region: str | None,
    wait: bool,
    api: ApiClient,
) -> None:
    """Give a project another KEY at PROVIDER; every node gets a new master key under it, one after the other.

    Neither key may be disabled or deleted until the last node is done; then snapshots may still need the former one
    (`keystore backup usage`).
    """
    body = {KEYS[provider]: key} | ({} if region is None else {"region": region})
    where = project_path(api, project)
    found = api.call("POST", f"{where}/encryptionAtRest/{provider.upper()}/rotateKey", body)
    context.exit(_followed(out, api, where, provider, found, wait=wait))


@encryption.command("try-again")
@PROJECT
@PROVIDER
@with_api
@with_output
@click.pass_context
def try_again(context: click.Context, out: Output, project: str, provider: str, api: ApiClient) -> None:
    """Check the key at PROVIDER now, and start what was stopped if it is valid; otherwise ends with 3 or 4."""
    found = api.call("POST", f"{project_path(api, project)}/encryptionAtRest/{provider.upper()}/tryAgain")
    emit_block(out, found, provider)
    context.exit(_exit_code([found[BLOCKS[provider]]]))


@encryption.command("checks")
@PROJECT
@PROVIDER
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many at most.")
@with_api
@with_output
def checks(out: Output, project: str, provider: str, limit: int, api: ApiClient) -> None:
    """List what the last checks of the key at PROVIDER found, the latest first; this asks nobody."""
    where = f"{project_path(api, project)}/encryptionAtRest/{provider.upper()}/checks"
    emit_checks(out, api.call("GET", where, itemsPerPage=limit))


@encryption.command("disable")
@PROJECT
@PROVIDER
@YES
@with_api
@with_output
def disable(out: Output, project: str, provider: str, yes: bool, api: ApiClient) -> None:
    """Remove the key at PROVIDER and its credentials from a project; refused while a cluster uses it."""
    where = f"{project_path(api, project)}/encryptionAtRest"
    confirm(f"the key at {provider} and its credentials are removed from {project}", yes=yes)
    found = api.call("PATCH", where, {BLOCKS[provider]: {"enabled": False}})
    emit_block(out, found, provider)


KEYS = {"aws": "customerMasterKeyID", "azure": "keyIdentifier", "gcp": "keyVersionResourceID"}
"""Which field names the key."""


def _set(out: Output, api: ApiClient, project: str, provider: str, given: dict[str, str | None], *, wait: bool) -> int:
    block = {name: value for name, value in given.items() if value is not None}
    if not block:
        raise click.UsageError("nothing was given that is to be set")
    where = project_path(api, project)
    found = api.call("PATCH", f"{where}/encryptionAtRest", {BLOCKS[provider]: {"enabled": True, **block}})
    return _followed(out, api, where, provider, found, wait=wait)


def _followed(out: Output, api: ApiClient, where: str, provider: str, found: dict[str, Any], *, wait: bool) -> int:
    """Watch every cluster that moves to another key if that is wanted, tell how it ended, and return the exit code."""
    codes = [exits.OK]
    for name in (found[BLOCKS[provider]].get("movingClusters") or []) if wait else []:
        cluster = f"{where}/clusters/{part(name)}"
        codes.append(follow(out, api, cluster, api.call("GET", cluster), name)[1])
    if len(codes) > 1:
        found = api.call("GET", f"{where}/encryptionAtRest")
    emit_block(out, found, provider)
    return max(codes)


def _secret(file: Path | None, label: str, *, asks: bool) -> str | None:
    """Return a secret from a file, or from a terminal if that is to be asked; None for what stays."""
    if file is None:
        if not asks:
            return None
        if not sys.stdin.isatty():
            raise InputError("there is no terminal to ask for the secret at. Nothing was sent; use --secret-file.")
        return str(click.prompt(label, hide_input=True, err=True))
    try:
        if file == STANDARD_STREAM:
            content = sys.stdin.buffer.read(SECRET_BYTES_MAX + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(SECRET_BYTES_MAX + 1)
        text = content.decode()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}. Nothing was sent.") from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is no text, which a secret is. Nothing was sent.") from None
    if len(content) > SECRET_BYTES_MAX:
        raise InputError(f"{file} has more than {SECRET_BYTES_MAX} bytes, which no secret has. Nothing was sent.")
    return text.removesuffix("\n").removesuffix("\r")


def _exit_code(blocks: list[dict[str, Any]]) -> int:
    states = {block.get("state") for block in blocks}
    return exits.KEY_INVALID if "INVALID" in states else exits.UNREACHABLE if "UNREACHABLE" in states else exits.OK
