"""`kms-emulator key …`: the life of keys, in the words of each cloud, for all three."""

import secrets
from collections.abc import Callable
from typing import Any

import grpc
import rich_click as click

from kms_emulator.cli.clouds.aws import AwsKeys
from kms_emulator.cli.clouds.azure import AzureKeys
from kms_emulator.cli.clouds.gcp import GcpKeys
from kms_emulator.cli.clouds.row import KeyRow, Keys
from kms_emulator.cli.endpoint import connected, endpoint_option, unlogged
from kms_emulator.cli.exits import USAGE, CommandError
from kms_emulator.cli.output import json_option, print_json, print_table, reports_errors
from kms_emulator.cli.uris import AwsUri, AzureUri, KeyUri, parse

PROVIDERS = ("aws", "azure", "gcp")
_HELP = {"help_option_names": ["-h", "--help"]}

_region_option = click.option("--region", default="us-east-1", show_default=True, help="aws: the region.")
_place_options = (
    _region_option,
    click.option("--vault", default="local-vault", show_default=True, help="azure: the vault."),
    click.option("--project", default="local-project", show_default=True, help="gcp: the project."),
    click.option("--location", default="global", show_default=True, help="gcp: the location."),
    click.option("--key-ring", default="local-ring", show_default=True, help="gcp: the key ring, made if missing."),
)


def _with_place(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_place_options):
        command = option(command)
    return command


@click.group(context_settings=_HELP)
def key() -> None:
    """Create keys and move them through their states.

    URI may be what the cloud itself calls a key, too: an ARN, alias/NAME, a key identifier, a resource name.
    """


@key.command(context_settings=_HELP)
@click.option("--provider", type=click.Choice(PROVIDERS), required=True, help="Which cloud's shape.")
@_with_place
@click.option("--name", default="", help="azure, gcp: the key's name; a random one if not given.")
@click.option("--alias", default="", help="aws: an alias for the key.")
@click.option("--description", default="", help="aws: a description.")
@click.option("--key-size", type=click.Choice(["2048", "3072", "4096"]), default="2048", help="azure: RSA bits.")
@endpoint_option
@json_option
@reports_errors
def create(
    provider: str, name: str, alias: str, description: str, key_size: str, endpoint: str, as_json: bool, **place: str
) -> None:
    """Create a key and print its URI, as clients are configured with it."""
    named = name or f"cmk-{secrets.token_hex(4)}"
    with connected(endpoint) as channel:
        keys = _keys(channel, provider, place)
        if isinstance(keys, AwsKeys):
            row = keys.create(alias, description)
        elif isinstance(keys, AzureKeys):
            row = keys.create(named, int(key_size))
        else:
            row = keys.create(named)
    print_json(row.as_json()) if as_json else click.echo(row.uri)


@key.command("list", context_settings=_HELP)
@click.option("--provider", type=click.Choice(PROVIDERS), help="Which cloud's shape; all if not given.")
@_with_place
@endpoint_option
@json_option
@reports_errors
def list_keys(provider: str | None, endpoint: str, as_json: bool, **place: str) -> None:
    """List the keys of a region, a vault and a key ring: every version that has a URI of its own."""
    with connected(endpoint) as channel:
        channel = unlogged(channel)
        wanted = [provider] if provider else list(PROVIDERS)
        rows = [row for name in wanted for row in _keys(channel, name, place).rows()]
    if as_json:
        print_json({"keys": [row.as_json() for row in rows]})
    else:
        print_table(["STATE", "ENDS", "URI"], [[row.state, row.ends_at or "-", row.uri] for row in rows])


def _uri_command(name: str, text: str) -> Callable[[Callable[[Keys[Any], Any], KeyRow]], click.Command]:
    """Return a decorator that makes a command of a function from (keys, URI) to the key's new row."""

    def decorate(act: Callable[[Keys[Any], Any], KeyRow]) -> click.Command:
        @key.command(name, help=text, context_settings=_HELP)
        @click.argument("uri")
        @click.option("--provider", type=click.Choice(PROVIDERS), help="Must agree with the URI, if given.")
        @_region_option
        @endpoint_option
        @json_option
        @reports_errors
        def command(uri: str, provider: str | None, region: str, endpoint: str, as_json: bool) -> None:
            _act(act, parse(uri, region), provider, endpoint, as_json=as_json)

        return command

    return decorate


@_uri_command("enable", "Enable the key (aws) or the version (azure, gcp) that URI names.")
def _enable(keys: Keys[Any], uri: Any) -> KeyRow:
    return keys.enable(uri)


@_uri_command("disable", "Disable the key (aws) or the version (azure, gcp) that URI names.")
def _disable(keys: Keys[Any], uri: Any) -> KeyRow:
    return keys.disable(uri)


@_uri_command("cancel-deletion", "Take a deletion back: the key is disabled then (aws, gcp) or as it was (azure).")
def _cancel_deletion(keys: Keys[Any], uri: Any) -> KeyRow:
    return keys.cancel_deletion(uri)


@_uri_command("rotate", "Make new material. The URI stays (aws), or the new version has one of its own (azure, gcp).")
def _rotate(keys: Keys[Any], uri: Any) -> KeyRow:
    return keys.rotate(uri)


@key.command("schedule-deletion", context_settings=_HELP)
@click.argument("uri")
@click.option("--days", type=click.IntRange(7, 30), help="aws: length of the window; 30 if not given.")
@click.option("--provider", type=click.Choice(PROVIDERS), help="Must agree with the URI, if given.")
@_region_option
@endpoint_option
@json_option
@reports_errors
def schedule_deletion(
    uri: str, days: int | None, provider: str | None, region: str, endpoint: str, as_json: bool
) -> None:
    """Delete the key (aws, azure) or the version (gcp) that URI names; it can be taken back until the window ends."""
    named = parse(uri, region)
    _act(lambda keys, parsed: keys.schedule_deletion(parsed, days), named, provider, endpoint, as_json=as_json)


def _act(
    act: Callable[[Keys[Any], Any], KeyRow], uri: KeyUri, provider: str | None, endpoint: str, *, as_json: bool
) -> None:
    found = _provider_of(uri)
    if provider not in (None, found):
        raise CommandError(f"{uri} is a key of {found}, not of {provider}", USAGE)
    with connected(endpoint) as channel:
        row = act(_keys(channel, found, _place_of(uri)), uri)
    if as_json:
        print_json(row.as_json())
    else:
        until = f", until {row.ends_at}" if row.ends_at else ""
        click.echo(f"{row.uri}  {row.state}{until}")


def _keys(channel: grpc.Channel, provider: str, place: dict[str, str]) -> AwsKeys | AzureKeys | GcpKeys:
    if provider == "aws":
        return AwsKeys(channel, place["region"])
    if provider == "azure":
        return AzureKeys(channel, place["vault"])
    ring = f"projects/{place['project']}/locations/{place['location']}/keyRings/{place['key_ring']}"
    return GcpKeys(channel, ring)


def _provider_of(uri: KeyUri) -> str:
    if isinstance(uri, AwsUri):
        return "aws"
    return "azure" if isinstance(uri, AzureUri) else "gcp"


def _place_of(uri: KeyUri) -> dict[str, str]:
    """Return where a URI's key is; Google's URIs say it all themselves."""
    if isinstance(uri, AwsUri):
        return {"region": uri.region}
    if isinstance(uri, AzureUri):
        return {"vault": uri.vault}
    return {"project": "", "location": "", "key_ring": ""}
