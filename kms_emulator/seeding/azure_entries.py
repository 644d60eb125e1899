"""Azure's part of a seed file, checked field by field: keys of vaults, with version ids and material that stay."""

import hashlib
from dataclasses import dataclass

from kms_emulator.model.keys import KeyKind
from kms_emulator.model.material import Material
from kms_emulator.seeding.materials import MATERIALS_MAX, read_material
from kms_emulator.seeding.reader import Place, Unique, matching
from kms_emulator.wire.azure import names
from kms_emulator.wire.azure.hosts import VAULT_DEFAULT
from kms_emulator.wire.azure.keys import kind_of
from kms_emulator.wire.call import CloudError

FIELDS = {"keys": False}
_KEY = {"vault": False, "name": True, "kty": False, "size": False, "crv": False, "tags": False, "versions": False}
_VERSION = {"id": False, "material": False, "enabled": False}
SIZE_MAX = 4096


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """A version; without material fresh one is made."""

    id: str
    material: Material | None
    enabled: bool


@dataclass(frozen=True, slots=True)
class AzureKeyEntry:
    """A key of a vault; the last version is the current one."""

    vault: str
    name: str
    kty: str
    kind: KeyKind
    tags: dict[str, str]
    versions: tuple[VersionEntry, ...]


def read_key(place: Place, unique: Unique) -> AzureKeyEntry:
    """Return a key."""
    fields = place.fields(_KEY)
    vault = matching(fields["vault"], names.VAULT_PATTERN) if "vault" in fields else VAULT_DEFAULT
    name = matching(fields["name"], names.NAME_PATTERN)
    unique.check("key", names.key_name(vault, name), fields["name"])
    kty, crv = (fields[field].text() if field in fields else "" for field in ("kty", "crv"))
    try:
        kind = kind_of(vault, kty, fields["size"].number(1, SIZE_MAX) if "size" in fields else 0, crv)
    except CloudError as error:
        raise place.refuse(error.message) from None
    tags = {tag: value.text() for tag, value in fields["tags"].entries()} if "tags" in fields else {}
    return AzureKeyEntry(vault, name, kty, kind, tags, _versions(fields, names.key_name(vault, name), kind))


def _versions(fields: dict[str, Place], key: str, kind: KeyKind) -> tuple[VersionEntry, ...]:
    items = fields["versions"].items() if "versions" in fields else []
    if "versions" in fields and not 1 <= len(items) <= MATERIALS_MAX:
        raise fields["versions"].refuse(f"must be 1 to {MATERIALS_MAX}")
    found, unique = [], Unique()
    for number, item in enumerate(items, 1):
        inner = item.fields(_VERSION)
        version_id = _id(key, number)
        if "id" in inner:
            version_id = unique.check("version", matching(inner["id"], names.VERSION_PATTERN), inner["id"])
        material = read_material(inner["material"], kind) if "material" in inner else None
        found.append(VersionEntry(version_id, material, inner["enabled"].flag() if "enabled" in inner else True))
    return tuple(found) or (VersionEntry(_id(key, 1), None, True),)


def _id(key: str, number: int) -> str:
    """Return the id of a version that has none in the file: the same in every start."""
    return hashlib.sha256(f"seeded version {key}/{number}".encode()).hexdigest()[:32]
