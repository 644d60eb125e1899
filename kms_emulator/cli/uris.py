"""The names of keys on the command line: key URIs, and what the clouds themselves call keys.

aws://REGION/KEY-ID, where an alias may stand too; an ARN; alias/NAME or a key id, in a region that is given apart
azure://VAULT/NAME/VERSION; a key identifier, https://HOST/keys/NAME/VERSION, of any host that is a vault
gcp://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N, with or without gcp://
"""

import re
from dataclasses import dataclass

from kms_emulator.cli.exits import USAGE, CommandError
from kms_emulator.wire.aws.names import ACCOUNT_ID
from kms_emulator.wire.azure.hosts import Host

_AWS = re.compile(r"aws://(?P<region>[^/]+)/(?P<key_id>.+)")
_AZURE = re.compile(r"azure://(?P<vault>[^/]+)/(?P<name>[^/]+)(/(?P<version>[^/]+))?")
_AWS_ARN = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[^:/]+):[0-9]{12}:(key|alias)/.+")
_AWS_NAME = re.compile(r"alias/.+|mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AZURE_KID = re.compile(r"https://(?P<host>[^/]+)/(deleted)?keys/(?P<name>[^/]+)(/(?P<version>[^/]+))?")
_GCP = re.compile(
    r"(gcp://|//cloudkms\.googleapis\.com/)?(?P<key>projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+)"
    r"(/cryptoKeyVersions/(?P<version>[0-9]+))?"
)


@dataclass(frozen=True, slots=True)
class AwsUri:
    """A key of AWS KMS; `key_id` may be an id, an alias, or an ARN of either."""

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


def parse(text: str, region: str = "us-east-1") -> KeyUri:
    """Return the parsed name; `region` is for those of AWS that do not say theirs.

    Raises:
        CommandError: it is none of the forms.
    """
    if parts := _AWS.fullmatch(text):
        return AwsUri(parts["region"], parts["key_id"])
    if parts := _AWS_ARN.fullmatch(text):
        return AwsUri(parts["region"], text)
    if _AWS_NAME.fullmatch(text):
        return AwsUri(region, text)
    if parts := _AZURE.fullmatch(text):
        return AzureUri(parts["vault"], parts["name"], parts["version"] or "")
    if parts := _AZURE_KID.fullmatch(text):
        return AzureUri(Host(parts["host"]).vault, parts["name"], parts["version"] or "")
    if parts := _GCP.fullmatch(text):
        return GcpUri(parts["key"], int(parts["version"] or 0))
    raise CommandError(
        f"{text!r} names no key. Its form is aws://REGION/KEY-ID, azure://VAULT/NAME/VERSION or "
        "gcp://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N, or what the cloud itself calls it: "
        "an ARN, alias/NAME, a key identifier, a resource name; kms-emulator key list prints those that exist.",
        USAGE,
    )


def cloud_name(text: str, *, with_version: bool = True) -> str:
    """Return what the cloud calls the key that a URI names; any other text stays as it is.

    `with_version` False leaves out the version of a Google key: its Decrypt names none.
    """
    if not text.startswith(("aws://", "azure://", "gcp://")):
        return text
    uri = parse(text)
    if isinstance(uri, AwsUri):
        if uri.key_id.startswith("arn:"):
            return uri.key_id
        resource = uri.key_id if uri.key_id.startswith("alias/") else f"key/{uri.key_id}"
        return f"arn:aws:kms:{uri.region}:{ACCOUNT_ID}:{resource}"
    if isinstance(uri, AzureUri):
        base = f"https://{uri.vault}.vault.azure.net/keys/{uri.name}"
        return f"{base}/{uri.version}" if uri.version else base
    return uri.version_name if with_version and uri.version else uri.key
