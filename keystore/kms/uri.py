"""Key URIs: how a customer master key is named.

    aws://REGION/KEY                      KEY is a key id, an alias (`alias/NAME`) or an ARN
    azure://VAULT/KEY/VERSION             or https://VAULT.vault.azure.net/keys/KEY/VERSION
    gcp://projects/P/locations/L/keyRings/R/cryptoKeys/K[/cryptoKeyVersions/N]
    local:///PATH                         a key file
    local+passphrase:///NAME              a passphrase; NAME only tells which one, no file is read

The text is kept exactly as given: snapshots record it, and people compare it with what their cloud shows.
"""

import re
from dataclasses import dataclass
from typing import Literal

from keystore.errors import KeyUriError

Provider = Literal["aws", "azure", "gcp", "local"]

URI_CHARACTERS_MAX = 2048
"""LIMIT: characters; an AWS key id may have that many, and nothing else comes near."""

_AZURE_DOMAINS = (
    "vault.azure.net",
    "vault.azure.cn",
    "vault.usgovcloudapi.net",
    "managedhsm.azure.net",
)
_AWS = re.compile(r"aws://(?P<region>[a-z0-9-]{1,64})/(?P<key>[A-Za-z0-9:/_-]+)")
_AWS_ARN = re.compile(r"arn:[a-z-]+:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]+")
_AZURE_KEY = r"(?P<key>[0-9A-Za-z-]{1,127})/(?P<version>[0-9A-Za-z]{1,64})"
_AZURE_SHORT = re.compile(rf"azure://(?P<vault>[0-9A-Za-z-]{{3,24}})/{_AZURE_KEY}")
_AZURE_LONG = re.compile(rf"https://(?P<vault>[0-9A-Za-z-]{{3,24}})\.(?P<domain>[a-z.]+)/keys/{_AZURE_KEY}")
_GCP_PART = r"[A-Za-z0-9_.:-]{1,63}"
_GCP = re.compile(
    rf"gcp://(?P<key>projects/{_GCP_PART}/locations/{_GCP_PART}/keyRings/{_GCP_PART}/cryptoKeys/{_GCP_PART})"
    r"(/cryptoKeyVersions/(?P<version>[0-9]{1,18}))?"
)
_LOCAL = re.compile(r"local(?P<passphrase>\+passphrase)?://(?P<path>/[^\x00]+)")


@dataclass(frozen=True)
class KeyUri:
    """A parsed key URI.

    Attributes:
        text: exactly what was given.
        place: region (AWS), vault host name (Azure), nothing (GCP, local).
        key: key id, alias or ARN (AWS), key name (Azure), crypto key resource name (GCP), absolute path (local).
        version: key version (Azure, and GCP when given), else empty.
        passphrase: whether a passphrase stands in for a key file (local).
    """

    provider: Provider
    text: str
    place: str = ""
    key: str = ""
    version: str = ""
    passphrase: bool = False

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> KeyUri:
    """Parse a key URI.

    Raises:
        KeyUriError: it has none of the known forms; the message shows the right one.
    """
    if len(text) > URI_CHARACTERS_MAX or not text.isprintable():
        raise KeyUriError(
            f"a key URI has at most {URI_CHARACTERS_MAX} printable characters; this one has {len(text)} or "
            "contains others. Nothing was changed; check what was pasted."
        )
    scheme = text.partition("://")[0]
    if scheme == "aws":
        return _parse_aws(text)
    if scheme in ("azure", "https"):
        return _parse_azure(text)
    if scheme == "gcp":
        return _parse_gcp(text)
    if scheme in ("local", "local+passphrase"):
        return _parse_local(text)
    if text.startswith("arn:"):
        raise _refuse(text, "aws://REGION/ARN for a key of AWS that is named by its ARN")
    raise _refuse(text, "aws://, azure://, https://, gcp://, local:// or local+passphrase:// at its start")


def _parse_aws(text: str) -> KeyUri:
    match = _AWS.fullmatch(text)
    if match is None:
        raise _refuse(text, "aws://REGION/KEY, where KEY is a key id, alias/NAME or an ARN")
    region, key = match["region"], match["key"]
    if key.startswith("arn:"):
        arn = _AWS_ARN.fullmatch(key)
        if arn is None:
            raise _refuse(text, "an ARN like arn:aws:kms:REGION:111122223333:key/ID")
        if arn["region"] != region:
            raise _refuse(text, f"the region of the ARN, aws://{arn['region']}/arn:…")
    return KeyUri("aws", text, place=region, key=key)


def _parse_azure(text: str) -> KeyUri:
    match = _AZURE_SHORT.fullmatch(text)
    if match is not None:
        host = f"{match['vault']}.vault.azure.net".lower()
        return KeyUri("azure", text, place=host, key=match["key"], version=match["version"])
    match = _AZURE_LONG.fullmatch(text)
    if match is None or match["domain"] not in _AZURE_DOMAINS:
        raise _refuse(text, "azure://VAULT/KEY/VERSION or https://VAULT.vault.azure.net/keys/KEY/VERSION")
    host = f"{match['vault']}.{match['domain']}".lower()
    return KeyUri("azure", text, place=host, key=match["key"], version=match["version"])


def _parse_gcp(text: str) -> KeyUri:
    match = _GCP.fullmatch(text)
    if match is None:
        raise _refuse(
            text, "gcp://projects/P/locations/L/keyRings/R/cryptoKeys/K, with or without /cryptoKeyVersions/N"
        )
    return KeyUri("gcp", text, key=match["key"], version=match["version"] or "")


def _parse_local(text: str) -> KeyUri:
    match = _LOCAL.fullmatch(text)
    if match is None:
        raise _refuse(text, "local:///ABSOLUTE/PATH or local+passphrase:///NAME, with three slashes")
    return KeyUri("local", text, key=match["path"], passphrase=match["passphrase"] is not None)


def _refuse(text: str, expected: str) -> KeyUriError:
    shown = text if len(text) <= 120 else text[:117] + "..."
    return KeyUriError(f"{shown!r} is not a key URI: expected {expected}. Nothing was changed.")
