"""What a seed file says, checked field by field: AWS's users, roles and keys, and the parts of the other clouds."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from kms_emulator.model.keys import KeyKind, KeyUsage
from kms_emulator.model.material import Material
from kms_emulator.model.policy import PolicyError, PolicyKind, parse_policy
from kms_emulator.seeding import azure_entries, gcp_entries
from kms_emulator.seeding.errors import SeedError
from kms_emulator.seeding.materials import MATERIALS_MAX, read_material
from kms_emulator.seeding.reader import COMPLAINTS_MAX, ComplaintError, Place, Unique, matching, parse
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.keys import DESCRIPTION_CHARACTERS_MAX
from kms_emulator.wire.aws.principals import ACCESS_KEY_ID_PATTERN, NAME_PATTERN, SECRET_CHARACTERS_MAX
from kms_emulator.wire.aws.specs import SPECS, SYMMETRIC, USAGE_NAMES, USAGES

VERSION = 1
UUID_PATTERN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ROTATION_DAYS_MIN, ROTATION_DAYS_MAX = 90, 2560
SESSION_S_MIN, SESSION_S_MAX = 3600, 43_200
_TOP = {"version": False, "users": False, "roles": False, "keys": False, "azure": False, "gcp": False}
_USER = {"name": True, "access_key_id": False, "secret_access_key": False, "policy": False}
_ROLE = {"name": True, "trust": True, "policy": False, "session_max_s": False}
_KEY = {
    "id": True,
    "region": False,
    "spec": False,
    "usage": False,
    "description": False,
    "aliases": False,
    "tags": False,
    "policy": False,
    "enabled": False,
    "rotation_days": False,
    "material": False,
}

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class UserEntry:
    """A user, with one access key or none."""

    name: str
    access_key_id: str
    secret: str = field(repr=False)
    policy: str


@dataclass(frozen=True, slots=True)
class RoleEntry:
    """A role."""

    name: str
    trust: str
    policy: str
    session_max_s: int


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key; without `materials` fresh material is made. The last material is the current one."""

    id: str
    region: str
    kind: KeyKind
    usage: KeyUsage
    description: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
    policy: str
    enabled: bool
    rotation_days: int
    materials: tuple[Material, ...]


@dataclass(frozen=True, slots=True)
class Entries:
    """A whole file."""

    users: tuple[UserEntry, ...] = ()
    roles: tuple[RoleEntry, ...] = ()
    keys: tuple[KeyEntry, ...] = ()
    azure_keys: tuple[azure_entries.AzureKeyEntry, ...] = ()
    gcp_accounts: tuple[gcp_entries.AccountEntry, ...] = ()
    gcp_rings: tuple[gcp_entries.RingEntry, ...] = ()
    gcp_keys: tuple[gcp_entries.GcpKeyEntry, ...] = ()


def read_entries(text: str, name: str) -> Entries:
    """Return what the text of a file called `name` says.

    Raises:
        SeedError: with every complaint and its line.
    """
    complaints: list[ComplaintError] = []

    def entries_of(top: dict[str, Place], name: str, read: Callable[[Place], Entry]) -> tuple[Entry, ...]:
        found: list[Entry] = []
        for place in top[name].items() if name in top else ():
            try:
                found.append(read(place))
            except ComplaintError as error:
                complaints.append(error)
        return tuple(found)

    entries = Entries()
    try:
        top = parse(text, is_json=name.endswith(".json")).fields(_TOP)
        if "version" in top:
            top["version"].number(VERSION, VERSION)
        unique = Unique()
        azure = top["azure"].fields(azure_entries.FIELDS) if "azure" in top else {}
        gcp = top["gcp"].fields(gcp_entries.FIELDS) if "gcp" in top else {}
        entries = Entries(
            entries_of(top, "users", lambda place: _user(place, unique)),
            entries_of(top, "roles", lambda place: _role(place, unique)),
            entries_of(top, "keys", lambda place: _key(place, unique)),
            entries_of(azure, "keys", lambda place: azure_entries.read_key(place, unique)),
            entries_of(gcp, "service_accounts", lambda place: gcp_entries.read_account(place, unique)),
            entries_of(gcp, "key_rings", lambda place: gcp_entries.read_ring(place, unique)),
            entries_of(gcp, "keys", lambda place: gcp_entries.read_key(place, unique)),
        )
    except ComplaintError as error:
        complaints.append(error)
    if complaints:
        lines = [f"  {error}" for error in sorted(complaints, key=lambda error: error.line)[:COMPLAINTS_MAX]]
        raise SeedError("\n".join([f"seed file {name} cannot be used; nothing was changed:", *lines]))
    return entries


def _user(place: Place, unique: Unique) -> UserEntry:
    fields = place.fields(_USER)
    if ("access_key_id" in fields) is not ("secret_access_key" in fields):
        raise place.refuse("access_key_id and secret_access_key belong together")
    name = unique.check("user", matching(fields["name"], NAME_PATTERN), fields["name"])
    access_key_id = secret = ""
    if "access_key_id" in fields:
        where = fields["access_key_id"]
        access_key_id = unique.check("access key", matching(where, ACCESS_KEY_ID_PATTERN), where)
        secret = fields["secret_access_key"].text()
        if not 1 <= len(secret) <= SECRET_CHARACTERS_MAX:
            raise fields["secret_access_key"].refuse(f"must have 1 to {SECRET_CHARACTERS_MAX} characters")
    return UserEntry(name, access_key_id, secret, _policy(fields, "policy", PolicyKind.IDENTITY))


def _role(place: Place, unique: Unique) -> RoleEntry:
    fields = place.fields(_ROLE)
    name = unique.check("role", matching(fields["name"], NAME_PATTERN), fields["name"])
    longest = (
        fields["session_max_s"].number(SESSION_S_MIN, SESSION_S_MAX) if "session_max_s" in fields else SESSION_S_MIN
    )
    trust = _policy(fields, "trust", PolicyKind.TRUST)
    return RoleEntry(name, trust, _policy(fields, "policy", PolicyKind.IDENTITY), longest)


def _key(place: Place, unique: Unique) -> KeyEntry:
    fields = place.fields(_KEY)
    region = matching(fields["region"], names.REGION_PATTERN) if "region" in fields else names.DEFAULT_REGION
    kind, usage = _kind(place, fields)
    description = fields["description"].text() if "description" in fields else ""
    if len(description) > DESCRIPTION_CHARACTERS_MAX:
        raise fields["description"].refuse(f"must have at most {DESCRIPTION_CHARACTERS_MAX} characters")
    days = fields.get("rotation_days")
    if days is not None and kind is not KeyKind.AES_256:
        raise days.refuse(f"only keys of spec {SYMMETRIC} rotate by themselves")
    return KeyEntry(
        id=unique.check("key", matching(fields["id"], UUID_PATTERN), fields["id"]),
        region=region,
        kind=kind,
        usage=usage,
        description=description,
        aliases=tuple(_alias(item, region, unique) for item in fields["aliases"].items())
        if "aliases" in fields
        else (),
        tags={name: value.text() for name, value in fields["tags"].entries()} if "tags" in fields else {},
        policy=_policy(fields, "policy", PolicyKind.RESOURCE),
        enabled=fields["enabled"].flag() if "enabled" in fields else True,
        rotation_days=days.number(ROTATION_DAYS_MIN, ROTATION_DAYS_MAX) if days else 0,
        materials=_materials(fields["material"], kind) if "material" in fields else (),
    )


def _kind(place: Place, fields: dict[str, Place]) -> tuple[KeyKind, KeyUsage]:
    spec_name = fields["spec"].text() if "spec" in fields else SYMMETRIC
    spec = SPECS.get(spec_name)
    if spec is None:
        raise fields["spec"].refuse(f"must be one of {', '.join(SPECS)}")
    allowed = [USAGE_NAMES[usage] for usage in spec.algorithms]
    if "usage" not in fields:
        if len(allowed) > 1:
            raise place.refuse(f"usage is missing: for {spec_name} one of {', '.join(allowed)}")
        return spec.kind, next(iter(spec.algorithms))
    if fields["usage"].text() not in allowed:
        raise fields["usage"].refuse(f"must be, for {spec_name}, one of {', '.join(allowed)}")
    return spec.kind, USAGES[fields["usage"].text()]


def _alias(place: Place, region: str, unique: Unique) -> str:
    name = matching(place, names.ALIAS_PATTERN)
    if name.startswith("alias/aws/"):
        raise place.refuse("alias/aws/ is for keys that AWS manages")
    unique.check(f"alias in {region}", name, place)
    return name


def _policy(fields: dict[str, Place], name: str, kind: PolicyKind) -> str:
    if name not in fields:
        return ""
    text = fields[name].document()
    try:
        parse_policy(text, kind)
    except PolicyError as error:
        raise fields[name].refuse(str(error)) from None
    return text


def _materials(place: Place, kind: KeyKind) -> tuple[Material, ...]:
    items = place.items() if isinstance(place.node.value, list) else [place]
    if not 1 <= len(items) <= MATERIALS_MAX or (len(items) > 1 and kind is not KeyKind.AES_256):
        raise place.refuse(f"must be one material, or, for {SYMMETRIC}, a list of up to {MATERIALS_MAX}, oldest first")
    return tuple(read_material(item, kind) for item in items)
