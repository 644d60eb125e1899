"""What a seed file says under `gcp`, checked field by field: service accounts, key rings and keys of Google's shape.

What Cloud KMS would refuse is refused in its words. The ring of a key need not be listed.
"""

from collections.abc import Container
from dataclasses import dataclass

from keystore_api.google_iam.v1 import iam_pb2
from keystore_api.google_kms.v1 import resources_pb2

from kms_emulator.model.material import Material
from kms_emulator.seeding.materials import MATERIALS_MAX, read_material
from kms_emulator.seeding.reader import Place, Unique, matching
from kms_emulator.wire.call import CloudError
from kms_emulator.wire.gcp import names, resources
from kms_emulator.wire.gcp.accounts import EMAIL_PATTERN, credential_of
from kms_emulator.wire.gcp.algorithms import Recipe
from kms_emulator.wire.gcp.policies import check_policy
from kms_emulator.wire.gcp.roles import ROLES

LABELS_MAX = 64
"""LIMIT: labels of a key (Cloud KMS reference)."""

ROTATION_DAYS_MAX = 36_500
DESTROY_DAYS_MAX = 120
FIELDS = {"service_accounts": False, "key_rings": False, "keys": False}
_ACCOUNT = {"email": True, "roles": False, "public_key": False}
_RING = {"name": True, "bindings": False}
_BINDING = {"role": True, "members": True}
_VERSION = {"material": False, "enabled": False}
_KEY = {
    "name": True,
    "purpose": False,
    "algorithm": False,
    "protection_level": False,
    "labels": False,
    "rotation_days": False,
    "destroy_days": False,
    "bindings": False,
    "versions": False,
    "primary": False,
}
_PURPOSES = resources_pb2.CryptoKey.CryptoKeyPurpose
_ALGORITHMS = resources_pb2.CryptoKeyVersion.CryptoKeyVersionAlgorithm
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class AccountEntry:
    """A service account; `public_key` is PEM, or nothing."""

    email: str
    roles: tuple[str, ...]
    public_key: str


@dataclass(frozen=True, slots=True)
class RingEntry:
    """A key ring with its policy."""

    name: str
    policy: iam_pb2.Policy | None


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """A version; without `material` fresh material is made."""

    material: Material | None
    enabled: bool


@dataclass(frozen=True, slots=True)
class GcpKeyEntry:
    """A key. `primary` is the number of its primary version, or 0 where its purpose has none."""

    name: str
    settings: resources_pb2.CryptoKey
    recipe: Recipe
    rotation_days: int
    policy: iam_pb2.Policy | None
    versions: tuple[VersionEntry, ...]
    primary: int

    @property
    def ring(self) -> str:
        return self.name.partition("/cryptoKeys/")[0]


def read_account(place: Place, unique: Unique) -> AccountEntry:
    """Return a service account."""
    fields = place.fields(_ACCOUNT)
    email = unique.check("service account", matching(fields["email"], EMAIL_PATTERN), fields["email"])
    roles = tuple(_role(item) for item in fields["roles"].items()) if "roles" in fields else ()
    public_key = fields["public_key"].text() if "public_key" in fields else ""
    if public_key:
        try:
            key_id = credential_of(email, public_key, 0).id
        except ValueError:
            raise fields["public_key"].refuse("must be an RSA public key in PEM") from None
        unique.check("public key", key_id, fields["public_key"])
    return AccountEntry(email, roles, public_key)


def read_ring(place: Place, unique: Unique) -> RingEntry:
    """Return a key ring."""
    fields = place.fields(_RING)
    name = unique.check("key ring", matching(fields["name"], names.RING_PATTERN), fields["name"])
    return RingEntry(name, _policy(fields))


def read_key(place: Place, unique: Unique) -> GcpKeyEntry:
    """Return a key."""
    fields = place.fields(_KEY)
    name = unique.check("key", matching(fields["name"], names.KEY_PATTERN), fields["name"])
    try:
        settings = resources.complete(_settings(fields))
        recipe = resources.check_template(settings)
    except CloudError as error:
        raise place.refuse(error.message) from None
    symmetric = settings.purpose == resources_pb2.CryptoKey.ENCRYPT_DECRYPT
    days = fields.get("rotation_days")
    if days is not None and not symmetric:
        raise days.refuse("only keys of the purpose ENCRYPT_DECRYPT rotate by themselves")
    versions = _versions(fields, recipe)
    return GcpKeyEntry(
        name,
        settings,
        recipe,
        days.number(1, ROTATION_DAYS_MAX) if days is not None else 0,
        _policy(fields),
        versions,
        _primary(fields, versions, symmetric=symmetric),
    )


def _settings(fields: dict[str, Place]) -> resources_pb2.CryptoKey:
    template = resources_pb2.CryptoKeyVersionTemplate(
        algorithm=_enum(fields, "algorithm", _ALGORITHMS.keys()),
        protection_level=_enum(fields, "protection_level", resources_pb2.ProtectionLevel.keys()),
    )
    purpose = _enum(fields, "purpose", _PURPOSES.keys()) or "ENCRYPT_DECRYPT"
    settings = resources_pb2.CryptoKey(purpose=purpose, version_template=template)
    labels = list(fields["labels"].entries()) if "labels" in fields else []
    if len(labels) > LABELS_MAX:
        raise fields["labels"].refuse(f"must be at most {LABELS_MAX} labels")
    settings.labels.update({name: value.text() for name, value in labels})
    if "destroy_days" in fields:
        days = fields["destroy_days"].number(1, DESTROY_DAYS_MAX)
        settings.destroy_scheduled_duration.FromSeconds(days * _DAY_S)
    return settings


def _enum(fields: dict[str, Place], name: str, known: Container[str]) -> str | None:
    """Return the name of an enum's value in a field; None if there is no such field."""
    return _named(fields[name], known) if name in fields else None


def _versions(fields: dict[str, Place], recipe: Recipe) -> tuple[VersionEntry, ...]:
    if "versions" not in fields:
        return (VersionEntry(None, True),)
    items = fields["versions"].items()
    if len(items) > MATERIALS_MAX:
        raise fields["versions"].refuse(f"must be at most {MATERIALS_MAX}")
    found = []
    for item in items:
        inner = item.fields(_VERSION)
        material = read_material(inner["material"], recipe.kind) if "material" in inner else None
        found.append(VersionEntry(material, inner["enabled"].flag() if "enabled" in inner else True))
    return tuple(found)


def _primary(fields: dict[str, Place], versions: tuple[VersionEntry, ...], *, symmetric: bool) -> int:
    """Return the primary version: the last one that is enabled unless another is named."""
    enabled = [number for number, version in enumerate(versions, 1) if version.enabled]
    if "primary" not in fields:
        return enabled[-1] if symmetric and enabled else 0
    place = fields["primary"]
    if not symmetric:
        raise place.refuse("only keys of the purpose ENCRYPT_DECRYPT have a primary version")
    if not versions:
        raise place.refuse("there are no versions")
    number = place.number(1, len(versions))
    if number not in enabled:
        raise place.refuse(f"version {number} is disabled")
    return number


def _policy(fields: dict[str, Place]) -> iam_pb2.Policy | None:
    if "bindings" not in fields:
        return None
    policy = iam_pb2.Policy(version=1)
    for item in fields["bindings"].items():
        inner = item.fields(_BINDING)
        members = [member.text() for member in inner["members"].items()]
        policy.bindings.append(iam_pb2.Binding(role=_role(inner["role"]), members=members))
    try:
        check_policy(policy)
    except CloudError as error:
        raise fields["bindings"].refuse(error.message) from None
    return policy


def _role(place: Place) -> str:
    return _named(place, ROLES)


def _named(place: Place, known: Container[str]) -> str:
    text = place.text()
    if text not in known:
        raise place.refuse(f"there is no {text!r} here")
    return text
