"""What a deployment is to be: its tier, its place, who manages its keys, its backups; and which of it may be. Pure.

Whether the project has a configuration for the provider, and who asks, is for `keystore.projects.deployments`.

Invariants:
1. Customer keys are on a dedicated tier only, and never with legacy backups: whatever the order of the changes.
2. A refusal changes nothing and names the field of the API.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, get_args

from keystore.projects.codes import Code

Cloud = Literal["AWS", "AZURE", "GCP"]
KeyProvider = Literal["NONE", "AWS", "AZURE", "GCP"]
BackupType = Literal["NONE", "CLOUD", "LEGACY"]

CLOUDS: Final = get_args(Cloud)
KEY_PROVIDERS: Final = get_args(KeyProvider)
BACKUP_TYPES: Final = ("CLOUD", "LEGACY")

SHARED_TIERS: Final = ("M0", "M2", "M5", "SERVERLESS")
"""Many customers share their machines, so they take no keys of one customer."""
DEDICATED_TIERS: Final = ("M10", "M20", "M30", "M40", "M50", "M60", "M80", "M140", "M200", "M300", "M400", "M700")
TIERS: Final = (*SHARED_TIERS, *DEDICATED_TIERS)

DISK_GB_MIN, DISK_GB_MAX = 10, 4096
"""LIMIT: gigabytes of a member's disk; those that Atlas offers."""
MEMBERS_MAX = 50
"""LIMIT: members of a deployment, as of a cluster."""
FIRST_VERSION: Final = "7.0.0"
"""The version of a deployment for which none was asked."""

_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})")
_REGION = re.compile(r"[A-Z0-9_]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?")

FIELDS: Final[Mapping[str, str]] = {
    "cloud": "providerName",
    "region": "regionName",
    "tier": "instanceSize",
    "disk_gb": "diskSizeGB",
    "version": "mongoDBVersion",
    "size": "nodeCount",
    "provider": "encryptionAtRestProvider",
    "backup_enabled": "backupEnabled",
    "backup_type": "backupType",
    "pit_enabled": "pitEnabled",
}
"""What the API calls each part of a shape."""


@dataclass(frozen=True)
class Shape:
    """What a deployment is to be.

    Attributes:
        provider: whose KMS has the customer's key; NONE while customer keys are off. It need not be that of `cloud`.
        size: how many members.
        backup_type: NONE exactly while backups are off.
    """

    cloud: str
    region: str
    tier: str
    disk_gb: int = DISK_GB_MIN
    version: str = FIRST_VERSION
    size: int = 3
    provider: str = "NONE"
    backup_enabled: bool = False
    backup_type: str = "NONE"
    pit_enabled: bool = False

    @property
    def has_customer_keys(self) -> bool:
        return self.provider != "NONE"


def changed(shape: Shape, change: Mapping[str, Any]) -> Shape:
    """Return the shape after a change, whose keys are attributes of it.

    Backups that are turned on are cloud backups unless the change says otherwise; turned off, they have no type.
    """
    values = {name: value for name, value in change.items() if name in FIELDS}
    after = replace(shape, **values)
    if not after.backup_enabled:
        return replace(after, backup_type="NONE", pit_enabled=bool(values.get("pit_enabled", False)))
    return replace(after, backup_type="CLOUD") if after.backup_type == "NONE" else after


def difference(before: Shape, after: Shape) -> dict[str, tuple[Any, Any]]:
    """Return what two shapes differ in: the API's name of each part, its value before and after."""
    former, latter = asdict(before), asdict(after)
    return {FIELDS[name]: (former[name], latter[name]) for name in former if former[name] != latter[name]}


def require_name(name: str) -> None:
    """Refuse what cannot be the name of a deployment.

    Raises:
        ApiError: it has other characters than letters, digits and inner hyphens, or more than 64.
    """
    if not _NAME.fullmatch(name):
        raise Code.INVALID_ATTRIBUTE.error("name", "it has 1 to 64 letters, digits and inner hyphens", field="name")


def require_sound(shape: Shape) -> None:
    """Refuse a shape that no deployment can have.

    Raises:
        ApiError: what is wrong.
    """
    if shape.provider not in KEY_PROVIDERS:
        raise Code.INVALID_ENCRYPTION_AT_REST_PROVIDER.error(shape.provider, field=FIELDS["provider"])
    _require(shape.cloud in CLOUDS, "cloud", _one_of(CLOUDS))
    _require(shape.tier in TIERS, "tier", _one_of(TIERS))
    _require(_REGION.fullmatch(shape.region), "region", "it has 1 to 64 of A-Z, 0-9 and _")
    _require(_VERSION.fullmatch(shape.version), "version", "it has three numbers, such as 7.0.4")
    _require(DISK_GB_MIN <= shape.disk_gb <= DISK_GB_MAX, "disk_gb", f"it is {DISK_GB_MIN} to {DISK_GB_MAX}")
    _require(1 <= shape.size <= MEMBERS_MAX, "size", f"it is 1 to {MEMBERS_MAX}")
    if shape.has_customer_keys and shape.tier in SHARED_TIERS:
        raise Code.CANNOT_USE_ENCRYPTION_AT_REST_TENANT.error(field=FIELDS["tier"])
    if shape.backup_enabled:
        _require(shape.backup_type in BACKUP_TYPES, "backup_type", _one_of(BACKUP_TYPES))
    if shape.has_customer_keys and shape.backup_type == "LEGACY":
        raise Code.CANNOT_USE_ENCRYPTION_AT_REST_BACKUP_TYPE.error(field=FIELDS["backup_type"])
    _require(not shape.pit_enabled or shape.backup_type == "CLOUD", "pit_enabled", "it needs cloud backups")


def require_change(before: Shape, after: Shape) -> None:
    """Refuse a change that leads from one sound shape to another by a way that there is not.

    Raises:
        ApiError: what is wrong.
    """
    require_sound(after)
    for name in ("cloud", "region"):
        _require(getattr(before, name) == getattr(after, name), name, "that of a cluster cannot be changed")
    if before.has_customer_keys and after.has_customer_keys and before.provider != after.provider:
        raise Code.CANNOT_CHANGE_ENCRYPTION_AT_REST_PROVIDER.error(field=FIELDS["provider"])
    is_older = version_key(after.version) < version_key(before.version)
    _require(not is_older, "version", f"it is older than the present {before.version}")
    if (before.backup_type, after.backup_type) == ("CLOUD", "LEGACY"):
        raise Code.CANNOT_SWITCH_CPS_BACKUP_TO_CONTINUOUS.error(field=FIELDS["backup_type"])


def version_key(version: str) -> tuple[int, ...]:
    """Return what versions are ordered by."""
    return tuple(int(part) for part in version.split("."))


def _require(holds: object, name: str, wanted: str) -> None:
    if not holds:
        raise Code.INVALID_ATTRIBUTE.error(FIELDS[name], wanted, field=FIELDS[name])


def _one_of(known: Sequence[str]) -> str:
    return f"it is one of {', '.join(known)}"
