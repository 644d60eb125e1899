"""What a deployment is to be: its tier, its place, who manages its keys, its backups; and which of it may be. Pure.

Whether the project has a configuration for the provider, and who asks, is for `keystore.projects.deployments`.

Invariants:
1. Customer keys are on a dedicated tier only, and never with legacy backups: whatever the order of the changes.
2. A refusal changes nothing and names the field of the API.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, get_args

from keystore.errors import ApiError

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
        raise ApiError(
            400,
            "CLUSTER_NAME_INVALID",
            f"{name[:80]!r} cannot be the name of a cluster: it has 1 to 64 letters, digits and inner hyphens. Nothing "
            "was changed.",
            (name[:80],),
            "name",
        )


def require_sound(shape: Shape) -> None:
    """Refuse a shape that no deployment can have.

    Raises:
        ApiError: what is wrong.
    """
    _require_one_of("cloud", shape.cloud, CLOUDS)
    _require_one_of("tier", shape.tier, TIERS)
    if shape.provider not in KEY_PROVIDERS:
        raise ApiError(
            400,
            "INVALID_ENCRYPTION_AT_REST_PROVIDER",
            f"{shape.provider!r} manages no keys here: encryptionAtRestProvider is one of {', '.join(KEY_PROVIDERS)}. "
            "Nothing was changed.",
            (shape.provider,),
            FIELDS["provider"],
        )
    _require(_REGION.fullmatch(shape.region), "region", shape.region, "1 to 64 of A-Z, 0-9 and _")
    _require(_VERSION.fullmatch(shape.version), "version", shape.version, "three numbers, such as 7.0.4")
    _require(
        DISK_GB_MIN <= shape.disk_gb <= DISK_GB_MAX, "disk_gb", shape.disk_gb, f"{DISK_GB_MIN} to {DISK_GB_MAX} GB"
    )
    _require(1 <= shape.size <= MEMBERS_MAX, "size", shape.size, f"1 to {MEMBERS_MAX} members")
    _require_keys_allowed(shape)
    _require_backups(shape)


def require_change(before: Shape, after: Shape) -> None:
    """Refuse a change that leads from one sound shape to another by a way that there is not.

    Raises:
        ApiError: what is wrong.
    """
    require_sound(after)
    for name in ("cloud", "region"):
        if getattr(before, name) != getattr(after, name):
            raise ApiError(
                400,
                "CANNOT_CHANGE_CLUSTER_PLACE",
                f"{FIELDS[name]} of a cluster stays {getattr(before, name)}. Nothing was changed; make a new cluster.",
                (str(getattr(after, name)),),
                FIELDS[name],
            )
    if before.has_customer_keys and after.has_customer_keys and before.provider != after.provider:
        raise ApiError(
            409,
            "CANNOT_CHANGE_ENCRYPTION_AT_REST_PROVIDER",
            f"the cluster's keys are at {before.provider}. Nothing was changed; set encryptionAtRestProvider to NONE, "
            f"and to {after.provider} when that is done.",
            (before.provider, after.provider),
            FIELDS["provider"],
        )
    if version_key(after.version) < version_key(before.version):
        raise ApiError(
            400,
            "CANNOT_DOWNGRADE_VERSION",
            f"version {after.version} is older than {before.version}. Nothing was changed.",
            (after.version,),
            FIELDS["version"],
        )
    if (before.backup_type, after.backup_type) == ("CLOUD", "LEGACY"):
        raise ApiError(
            400,
            "CANNOT_SWITCH_CPS_BACKUP_TO_CONTINUOUS",
            "a cluster with cloud backups cannot go back to legacy backups. Nothing was changed.",
            (),
            FIELDS["backup_type"],
        )


def version_key(version: str) -> tuple[int, ...]:
    """Return what versions are ordered by."""
    return tuple(int(part) for part in version.split("."))


def _require_keys_allowed(shape: Shape) -> None:
    if shape.has_customer_keys and shape.tier in SHARED_TIERS:
        raise ApiError(
            400,
            "CANNOT_USE_ENCRYPTION_AT_REST_TENANT",
            f"a cluster of tier {shape.tier} cannot be encrypted with customer keys, for it shares its machines. "
            "Nothing was changed; it takes M10 or larger.",
            (shape.tier,),
            FIELDS["tier"],
        )


def _require_backups(shape: Shape) -> None:
    if shape.backup_enabled:
        _require_one_of("backup_type", shape.backup_type, BACKUP_TYPES)
    if shape.has_customer_keys and shape.backup_type == "LEGACY":
        raise ApiError(
            400,
            "CANNOT_USE_ENCRYPTION_AT_REST_BACKUP_TYPE",
            "a cluster with customer keys has cloud backups or none, not legacy ones. Nothing was changed.",
            (shape.backup_type,),
            FIELDS["backup_type"],
        )
    if shape.pit_enabled and shape.backup_type != "CLOUD":
        raise ApiError(
            400,
            "PIT_REQUIRES_CLOUD_BACKUP",
            "pitEnabled needs cloud backups. Nothing was changed; set backupEnabled, too.",
            (),
            FIELDS["pit_enabled"],
        )


def _require_one_of(name: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise ApiError(
            400,
            "INVALID_ENUM_VALUE",
            f"{FIELDS[name]} is one of {', '.join(known)}, not {value[:80]!r}. Nothing was changed.",
            (value[:80],),
            FIELDS[name],
        )


def _require(holds: object, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise ApiError(
            400,
            "INVALID_ATTRIBUTE",
            f"{FIELDS[name]} is {wanted}, not {str(value)[:80]!r}. Nothing was changed.",
            (FIELDS[name],),
            FIELDS[name],
        )
