"""Key URIs, the names of keys on the command line.

aws://REGION/KEY-ID
azure://VAULT/NAME/VERSION
gcp://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N
"""

import re
from dataclasses import dataclass

from kms_emulator.cli.exits import USAGE, CommandError

_AWS = re.compile(r"aws://(?P<region>[^/]+)/(?P<key_id>.+)")
_AZURE = re.compile(r"azure://(?P<vault>[^/]+)/(?P<name>[^/]+)(/(?P<version>[^/]+))?")
_AZURE_KID = re.compile(r"https://(?P<vault>[^./]+)\.vault\.azure\.net/keys/(?P<name>[^/]+)(/(?P<version>[^/]+))?")
_GCP = re.compile(
    r"gcp://(?P<key>projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+)"
    r"(/cryptoKeyVersions/(?P<version>[0-9]+))?"
)


@dataclass(frozen=True, slots=True)
class AwsUri:
    """A key of AWS KMS; `key_id` may be an id or an ARN."""

    region: str
    key_id: str

    def __str__(self) -> str:
        return f"aws://{self.region}/{self.key_id}"


@dataclass(frozen=True, slots=True)
class AzureUri:
    """A version of a key in a vault; an empty version is the latest."""

    vault: str
    name: str
    version: str = ""

    def __str__(self) -> str:
        return "/".join(("azure:/", self.vault, self.name, *([self.version] if self.version else [])))


@dataclass(frozen=True, slots=True)
class GcpUri:
    """A version of a Google key; version 0 is the primary one."""

    key: str
    version: int = 0

    @property
    def version_name(self) -> str:
        """Return the version's resource name."""
        return f"{self.key}/cryptoKeyVersions/{self.version}"

    def __str__(self) -> str:
        return f"gcp://{self.version_name if self.version else self.key}"


KeyUri = AwsUri | AzureUri | GcpUri


def parse(text: str) -> KeyUri:
    """Return the parsed URI.

    Raises:
        CommandError: it is none of the three forms.
    """
    if parts := _AWS.fullmatch(text):
        return AwsUri(parts["region"], parts["key_id"])
    if parts := _AZURE.fullmatch(text) or _AZURE_KID.fullmatch(text):
        return AzureUri(parts["vault"], parts["name"], parts["version"] or "")
    if parts := _GCP.fullmatch(text):
        return GcpUri(parts["key"], int(parts["version"] or 0))
    raise CommandError(
        f"{text!r} is not a key URI. Its form is aws://REGION/KEY-ID, azure://VAULT/NAME/VERSION or "
        "gcp://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N; "
        "kms-emulator key list prints those that exist.",
        USAGE,
    )
