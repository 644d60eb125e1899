"""All keys of one emulator: finds them, changes them through `lifecycle`, and does the cryptography their states allow.

Leaves to others: what a cloud calls things (`wire`), what time it is (every method is told), who may call.

Invariants:
1. The store has a change before memory has it: what a caller was told survives a killed process.
2. A destroyed version has no material, here or in the store.
3. `elapse` runs before a caller looks at a key, so nobody sees a state whose time is over.
4. A family has one primary. What the primary's versions become, its replicas' become in the same change of the store.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from kms_emulator.model import envelope, lifecycle
from kms_emulator.model.entropy import RepeatedEntropy
from kms_emulator.model.envelope import NONCE_BYTES
from kms_emulator.model.errors import CiphertextError, KeyMissingError, NameTakenError
from kms_emulator.model.grants import Grants
from kms_emulator.model.keypairs import PAIRS
from kms_emulator.model.keys import (
    NO_MATERIAL,
    Alias,
    Folder,
    Key,
    KeyKind,
    KeyState,
    KeyUsage,
    Role,
    Schedule,
    Version,
)
from kms_emulator.model.material import Material, RsaPadding
from kms_emulator.model.store import KeyChange, Store, StoredState

ROTATIONS_PER_ELAPSE_MAX = 1000
"""LIMIT: versions that one move of the clock may add to one key; a daily rotation over almost three years."""

SERVICE_REALM = "service"
"""Keys of the emulator itself, which no cloud shows and nobody counts."""

Entropy = Callable[[int], bytes]


class Registry:
    """Keys, aliases and folders of all realms."""

    def __init__(self, store: Store, state: StoredState, entropy: Entropy = secrets.token_bytes) -> None:
        """Begin with `state`, which the caller loaded from `store`."""
        self._store, self._entropy = store, entropy
        self._keys: dict[bytes, Key] = {key.uid: key for key in state.keys}
        self._names = {(key.realm, key.name): key.uid for key in state.keys}
        self._lineages: dict[bytes, set[bytes]] = {}
        for key in state.keys:
            self._lineages.setdefault(key.lineage, set()).add(key.uid)
        self._materials = dict(state.materials)
        self._aliases = {(alias.realm, alias.name): alias for alias in state.aliases}
        self._folders = {(folder.realm, folder.name): folder for folder in state.folders}
        self.grants = Grants(store, state.grants)
        self._next_due_ns = self._find_next_due()

    def __len__(self) -> int:
        return sum(key.realm != SERVICE_REALM for key in self._keys.values())

    # -- finding

    def key(self, realm: str, name: str) -> Key:
        """Return the key of that name; KeyMissingError if there is none."""
        uid = self._names.get((realm, name))
        if uid is None:
            raise KeyMissingError(f"no key {name}")
        return self._keys[uid]

    def keys(self, realm: str, prefix: str = "") -> list[Key]:
        """Return the keys of a realm whose names begin with `prefix`, by name."""
        found = [key for key in self._keys.values() if key.realm == realm and key.name.startswith(prefix)]
        return sorted(found, key=lambda key: key.name)

    def named_in(self, realm: str, ciphertext: bytes, prefix: str = "") -> tuple[Key, Version]:
        """Return the key and version that a ciphertext names; of a family, the one whose name begins with `prefix`.

        Raises:
            CiphertextError: it is not one of ours, was made by another realm, or names a version that never was.
            KeyMissingError: its key is gone, or belongs to another place.
        """
        named = envelope.read_names(ciphertext)
        family = [self._keys[uid] for uid in self._lineages.get(named.uid, ())]
        if any(key.realm != realm for key in family):
            raise CiphertextError("the ciphertext was made by another cloud")
        key = next((key for key in family if key.name.startswith(prefix)), None)
        if key is None:
            raise KeyMissingError("the ciphertext names a key that does not exist")
        version = key.version(named.number)
        if version is None:
            raise CiphertextError("the ciphertext names a version that never was")
        return key, version

    def family(self, key: Key) -> list[Key]:
        """Return all keys of a key's family, the primary first, then by name; the key alone if it has none."""
        found = [self._keys[uid] for uid in self._lineages.get(key.lineage, ())]
        return sorted(found, key=lambda member: (member.role is not Role.PRIMARY, member.name))

    def replicas(self, key: Key) -> list[Key]:
        """Return the replicas of a key's family, by name."""
        return [member for member in self.family(key) if member.role is Role.REPLICA]

    def alias(self, realm: str, name: str) -> Alias | None:
        """Return the alias of that name, or None."""
        return self._aliases.get((realm, name))

    def aliases(self, realm: str, prefix: str = "") -> list[Alias]:
        """Return the aliases of a realm whose names begin with `prefix`, by name."""
        found = [item for item in self._aliases.values() if item.realm == realm and item.name.startswith(prefix)]
        return sorted(found, key=lambda item: item.name)

    def by_uid(self, uid: bytes) -> Key:
        """Return the key of that uid; KeyMissingError if there is none."""
        if uid not in self._keys:
            raise KeyMissingError("the key does not exist")
        return self._keys[uid]

    def folder(self, realm: str, name: str) -> Folder | None:
        """Return the folder of that name, or None."""
        return self._folders.get((realm, name))

    def folders(self, realm: str, prefix: str = "") -> list[Folder]:
        """Return the folders of a realm whose names begin with `prefix`, by name."""
        found = [item for item in self._folders.values() if item.realm == realm and item.name.startswith(prefix)]
        return sorted(found, key=lambda item: item.name)

    # -- changing

    def new_uid(self) -> bytes:
        """Return 16 fresh random bytes for a key whose name contains its uid."""
        return self._entropy(16)

    def new_bytes(self, length: int) -> bytes:
        """Return fresh random bytes for a caller who asked the service for some."""
        return self._entropy(length)

    def new_aes(self) -> Material:
        """Return fresh AES-256 material."""
        return self.new_material(KeyKind.AES_256)

    def new_material(self, kind: KeyKind) -> Material:
        """Return fresh material. RSA takes tens of milliseconds to seconds: keep it off an event loop."""
        if isinstance(self._entropy, RepeatedEntropy) and kind in PAIRS:
            from kms_emulator.model import repeated  # only here: it sieves primes when it is loaded

            return Material(kind, repeated.generate(kind, self._entropy))
        return Material.generate(kind, self._entropy)

    def create(
        self,
        realm: str,
        name: str,
        kind: KeyKind,
        now_ns: int,
        *,
        uid: bytes | None = None,
        schedule: Schedule | None = None,
        attributes: Mapping[str, str] | None = None,
        usage: KeyUsage = KeyUsage.ENCRYPT,
    ) -> Key:
        """Return a new key without a version, not yet stored: `add_version` or `put` does that.

        Raises:
            NameTakenError: also by a key whose deletion is scheduled.
        """
        if (realm, name) in self._names:
            raise NameTakenError(f"a key {name} exists")
        key = Key(uid or self.new_uid(), realm, name, kind, now_ns, now_ns)
        return replace(key, schedule=schedule, attributes=attributes or {}, usage=usage)

    def add_version(
        self,
        key: Key,
        material: Material,
        now_ns: int,
        *,
        primary: bool = True,
        attributes: Mapping[str, str] | None = None,
        expires_ns: int | None = None,
    ) -> Key:
        """Append a version with `material` and store it; replicas of a primary get it too."""
        if material.kind is not key.kind:
            raise ValueError(f"a key of kind {key.kind.value} cannot hold {material.kind.value} material")
        version_id = self._entropy(16).hex()
        changed = lifecycle.add_version(
            key, version_id, now_ns, primary=primary, attributes=attributes, expires_ns=expires_ns
        )
        return self.put(changed, {len(changed.versions): material})

    def put(self, key: Key, new: Mapping[int, Material] | None = None) -> Key:
        """Store a key that `lifecycle` made, with the materials of its new versions; return it.

        Replicas of a primary follow, with the same materials unless these are imported, in the same change.
        """
        changes: list[KeyChange] = [(key, new or {})]
        if key.role is Role.PRIMARY:
            changes += self._followed(key, new or {})
        self.put_all(changes)
        return key

    def put_all(self, changes: Sequence[KeyChange], removed: Sequence[Key] = ()) -> None:
        """Store several keys with the materials of their new versions, and remove others for good, all or nothing."""
        self._store.put_keys(changes, [key.uid for key in removed])
        for key, new in changes:
            self._keep(key, new)
        for key in removed:
            self._forget(key)

    def remove(self, key: Key) -> None:
        """Remove a key, its materials, its aliases and its grants, for good."""
        self.put_all((), [key])

    def _followed(self, primary: Key, new: Mapping[int, Material]) -> list[KeyChange]:
        """Return the replicas that change with their primary."""
        found: list[KeyChange] = []
        for replica in self.replicas(primary):
            changed = lifecycle.follow(replica, primary, primary.updated_ns)
            if changed is not replica:
                found.append((changed, {} if primary.imported else new))
        return found

    def _keep(self, key: Key, new: Mapping[int, Material]) -> None:
        self._keys[key.uid] = key
        self._names[(key.realm, key.name)] = key.uid
        self._lineages.setdefault(key.lineage, set()).add(key.uid)
        self._materials.update({(key.uid, number): material for number, material in new.items()})
        for version in key.versions:
            if version.state in NO_MATERIAL:
                self._materials.pop((key.uid, version.number), None)
        self._materials.pop((key.uid, len(key.versions) + 1), None)  # at most the last version is ever forgotten
        due = lifecycle.next_due_ns(key)
        if due is not None and (self._next_due_ns is None or due < self._next_due_ns):
            self._next_due_ns = due

    def _forget(self, key: Key) -> None:
        del self._keys[key.uid]
        del self._names[(key.realm, key.name)]
        self._lineages[key.lineage].discard(key.uid)
        if not self._lineages[key.lineage]:
            del self._lineages[key.lineage]
        for version in key.versions:
            self._materials.pop((key.uid, version.number), None)
        self._aliases = {place: alias for place, alias in self._aliases.items() if alias.target != key.uid}
        self.grants.forget_key(key.uid)

    def put_alias(self, realm: str, name: str, target: Key, now_ns: int) -> Alias:
        """Create an alias, or point it at another key."""
        old = self._aliases.get((realm, name))
        alias = Alias(realm, name, target.uid, old.created_ns if old else now_ns, now_ns)
        self._store.put_alias(alias)
        self._aliases[(realm, name)] = alias
        return alias

    def remove_alias(self, realm: str, name: str) -> None:
        """Remove an alias that exists."""
        self._store.remove_alias(realm, name)
        del self._aliases[(realm, name)]

    def create_folder(self, realm: str, name: str, now_ns: int) -> Folder:
        """Create a folder; NameTakenError if it exists."""
        if (realm, name) in self._folders:
            raise NameTakenError(f"a folder {name} exists")
        return self.put_folder(Folder(realm, name, now_ns))

    def put_folder(self, folder: Folder) -> Folder:
        """Store a folder, new or changed; return it."""
        self._store.put_folder(folder)
        self._folders[(folder.realm, folder.name)] = folder
        return folder

    def merge(self, state: StoredState) -> None:
        """Add the keys, aliases and folders whose uids and names are free; what is there stays as it is."""
        for key in state.keys:
            if key.uid not in self._keys and (key.realm, key.name) not in self._names:
                numbers = (version.number for version in key.versions)
                self.put_all(
                    [(key, {n: state.materials[key.uid, n] for n in numbers if (key.uid, n) in state.materials})]
                )
        for alias in state.aliases:
            if (alias.realm, alias.name) not in self._aliases and alias.target in self._keys:
                self._store.put_alias(alias)
                self._aliases[(alias.realm, alias.name)] = alias
        for folder in state.folders:
            if (folder.realm, folder.name) not in self._folders:
                self._store.put_folder(folder)
                self._folders[(folder.realm, folder.name)] = folder

    def clear(self) -> None:
        """Remove everything."""
        self._store.clear()
        self._keys, self._names, self._lineages, self._materials, self._next_due_ns = {}, {}, {}, {}, None
        self._aliases, self._folders = {}, {}
        self.grants.clear()

    # -- time

    def elapse(self, now_ns: int) -> None:
        """Do what was due: deletions, destructions, expiries, rotations."""
        # More than one round only where a deletion lets another begin; each of them removes a key.
        for _ in range(len(self._keys) + 1):
            if self._next_due_ns is None or self._next_due_ns > now_ns:
                return
            for uid in list(self._keys):
                due = lifecycle.next_due_ns(self._keys[uid])
                if due is not None and due <= now_ns:
                    self._elapse_key(self._keys[uid], now_ns)
            self._next_due_ns = self._find_next_due()

    def _elapse_key(self, key: Key, now_ns: int) -> None:
        rotated, new = key, {}
        for schedule in self._due_rotations(key, now_ns):
            then_ns = schedule.next_ns - schedule.period_ns
            rotated = lifecycle.set_schedule(rotated, schedule, then_ns)
            attributes = lifecycle.rotated_attributes(rotated)
            version_id = self._entropy(16).hex()
            rotated = lifecycle.add_version(rotated, version_id, then_ns, primary=True, attributes=attributes)
            new[len(rotated.versions)] = self.new_material(key.kind)
        changed = lifecycle.elapse(rotated, now_ns)
        if changed is None:
            self.put_all(self._begun_windows(key), [key])
        elif changed is not key:
            self.put(changed, new)

    def _begun_windows(self, gone: Key) -> list[KeyChange]:
        """Return the primary that waited for the last of its replicas to be gone."""
        if gone.role is not Role.REPLICA or gone.delete_at_ns is None or len(self.replicas(gone)) > 1:
            return []
        waiting = [member for member in self.family(gone) if member.state is KeyState.REPLICAS_REMAIN]
        return [(lifecycle.begin_window(primary, gone.delete_at_ns), {}) for primary in waiting]

    def _due_rotations(self, key: Key, now_ns: int) -> Iterator[Schedule]:
        """Yield the schedule after each rotation that is due; the last one skips what is beyond the limit."""
        schedule = key.schedule
        if schedule is None or not lifecycle.rotates(key):
            return
        period_ns = schedule.period_ns
        due = (now_ns - schedule.next_ns) // period_ns + 1
        for done in range(max(due - ROTATIONS_PER_ELAPSE_MAX, 0), due):
            yield Schedule(period_ns, schedule.next_ns + (done + 1) * period_ns)

    def _find_next_due(self) -> int | None:
        dues = (lifecycle.next_due_ns(key) for key in self._keys.values())
        return min((due for due in dues if due is not None), default=None)

    # -- cryptography

    def usable(self, key: Key, number: int) -> Material:
        """Return the material of a version that may be used for cryptography now.

        Raises:
            VersionMissingError: the key has no such version.
            KeyStateError, VersionStateError: it is disabled, about to be destroyed, destroyed, or misses its material.
        """
        lifecycle.check_usable(key, number)
        return self._materials[(key.uid, number)]

    def seal(self, key: Key, number: int, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt under a usable version of a symmetric key; see `envelope`."""
        material = self.usable(key, number)
        return material.seal(envelope.Named(key.lineage, number), plaintext, context, self._entropy(NONCE_BYTES))

    def open(self, key: Key, number: int, ciphertext: bytes, context: bytes) -> bytes:
        """Decrypt what `seal` made under this key and version, if that is usable."""
        return self.usable(key, number).open(ciphertext, context)

    def rsa_encrypt(self, key: Key, number: int, plaintext: bytes, pad: RsaPadding) -> bytes:
        """Encrypt under a usable version of an RSA key."""
        return self.usable(key, number).rsa_encrypt(plaintext, pad)

    def rsa_decrypt(self, key: Key, number: int, ciphertext: bytes, pad: RsaPadding) -> bytes:
        """Decrypt with a usable version of an RSA key."""
        return self.usable(key, number).rsa_decrypt(ciphertext, pad)

    def rsa_public(self, key: Key, number: int) -> tuple[int, int]:
        """Return modulus and exponent of a version that still has its material."""
        numbers = self._materials[(key.uid, number)].public_numbers()
        return numbers.n, numbers.e

    def ec_public(self, key: Key, number: int) -> tuple[int, int]:
        """Return the public point of a version of a key on a curve that still has its material."""
        return self._materials[(key.uid, number)].public_point()

    def copies(self, key: Key) -> dict[int, Material]:
        """Return the materials of a key by version, for a replica or a sealed backup of it only."""
        held = ((version.number, self._materials.get((key.uid, version.number))) for version in key.versions)
        return {number: material for number, material in held if material is not None}
