"""Makes of a seed file the state that an emulator begins with."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kms_emulator.model import lifecycle
from kms_emulator.model.identities import Credential, Identity, IdentityKind
from kms_emulator.model.keys import Alias, Folder, Key, Schedule
from kms_emulator.model.registry import Entropy, Registry
from kms_emulator.model.store import KeyChange, MemoryStore, StoredState
from kms_emulator.seeding import azure_sowing, gcp_sowing
from kms_emulator.seeding.entries import Entries, KeyEntry, UserEntry, read_entries
from kms_emulator.seeding.errors import SeedError
from kms_emulator.seeding.reader import BYTES_MAX
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.creation import TAG_PREFIX
from kms_emulator.wire.aws.principals import identity_arn, new_id
from kms_emulator.wire.times import DAY_NS


def read_seed(path: Path, now_ns: int, entropy: Entropy) -> StoredState:
    """Return the state of a seed file. Keys without material get fresh one; RSA takes up to seconds.

    Raises:
        SeedError: it cannot be read, or says what cannot be; the message has every line that is wrong.
    """
    try:
        with path.open("rb") as file:
            text = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise SeedError(f"seed file {path} cannot be read: {error.strerror}") from None
    if len(text) > BYTES_MAX:
        raise SeedError(f"seed file {path} is longer than {BYTES_MAX} bytes")
    try:
        return sow(read_entries(text.decode(), str(path)), now_ns, entropy)
    except UnicodeDecodeError as error:
        raise SeedError(f"seed file {path} is not UTF-8 at byte {error.start}") from None


def sow(entries: Entries, now_ns: int, entropy: Entropy) -> StoredState:
    """Return the state that entries describe, as of `now_ns`."""
    harvest = _Harvest()
    registry = Registry(harvest, StoredState(), entropy)
    for entry in entries.keys:
        _plant(registry, entry, now_ns)
    azure_sowing.plant(registry, entries.azure_keys, now_ns)
    gcp_sowing.plant(registry, entries, now_ns, entropy)
    state = harvest.state()
    for account in entries.gcp_accounts:
        identity, credential = gcp_sowing.identity_of(account, now_ns, entropy)
        state.identities.append(identity)
        state.credentials += [credential] if credential is not None else []
    for user in entries.users:
        identity = _identity(IdentityKind.USER, user.name, user.policy, now_ns, entropy)
        state.identities.append(identity)
        if user.access_key_id:
            state.credentials.append(_credential(user, identity, now_ns))
    for role in entries.roles:
        identity = _identity(IdentityKind.ROLE, role.name, role.policy, now_ns, entropy)
        state.identities.append(replace(identity, trust=role.trust, session_max_s=role.session_max_s))
    return state


class _Harvest(MemoryStore):
    """Keeps what a registry stores."""

    def __init__(self) -> None:
        self._state = StoredState()
        self._keys: dict[bytes, Key] = {}

    def put_keys(self, changes: Sequence[KeyChange], removed: Sequence[bytes] = ()) -> None:
        for key, new in changes:
            self._keys[key.uid] = key
            self._state.materials |= {(key.uid, number): material for number, material in new.items()}

    def put_alias(self, alias: Alias) -> None:
        self._state.aliases.append(alias)

    def put_folder(self, folder: Folder) -> None:
        self._state.folders.append(folder)

    def state(self) -> StoredState:
        return replace(self._state, keys=list(self._keys.values()))


def _plant(registry: Registry, entry: KeyEntry, now_ns: int) -> None:
    name = names.key_name(entry.region, entry.id)
    uid = uuid.UUID(entry.id).bytes
    attributes = _attributes(entry)
    key = registry.create(names.REALM, name, entry.kind, now_ns, uid=uid, usage=entry.usage, attributes=attributes)
    for material in entry.materials or (registry.new_material(entry.kind),):
        key = registry.add_version(key, material, now_ns)
    if entry.rotation_days:
        key = registry.put(_rotating(key, entry.rotation_days, now_ns))
    if not entry.enabled:
        key = registry.put(lifecycle.disable(key, now_ns))
    for alias in entry.aliases:
        registry.put_alias(names.REALM, names.key_name(entry.region, alias), key, now_ns)


def _attributes(entry: KeyEntry) -> Mapping[str, str]:
    tags = {TAG_PREFIX + name: value for name, value in entry.tags.items()}
    return {"description": entry.description, **tags, **({"policy": entry.policy} if entry.policy else {})}


def _rotating(key: Key, days: int, now_ns: int) -> Key:
    return lifecycle.set_schedule(key, Schedule(days * DAY_NS, now_ns + days * DAY_NS), now_ns)


def _identity(kind: IdentityKind, name: str, policy: str, now_ns: int, entropy: Entropy) -> Identity:
    account = names.ACCOUNT_ID
    arn = identity_arn(account, kind, name)
    policies = {"seed": policy} if policy else {}
    return Identity(arn, kind, account, new_id(kind, account, entropy), now_ns, policies)


def _credential(user: UserEntry, identity: Identity, now_ns: int) -> Credential:
    arn = identity.name
    return Credential(user.access_key_id, user.secret, arn, arn, identity.account, now_ns, user_id=identity.id)
