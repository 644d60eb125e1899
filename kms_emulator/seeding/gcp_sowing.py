"""Makes of Google's part of a seed file key rings, keys and service accounts."""

import hashlib
from dataclasses import replace

from kms_emulator.model import lifecycle
from kms_emulator.model.identities import Credential, Identity
from kms_emulator.model.keys import Folder, Schedule, VersionState
from kms_emulator.model.registry import Entropy, Registry
from kms_emulator.seeding.entries import Entries
from kms_emulator.seeding.gcp_entries import AccountEntry, GcpKeyEntry
from kms_emulator.wire.gcp import accounts, names, resources
from kms_emulator.wire.gcp.algorithms import PURPOSE_USAGES
from kms_emulator.wire.gcp.policies import policy_attribute
from kms_emulator.wire.times import DAY_NS

ETAG_BYTES = 8


def plant(registry: Registry, entries: Entries, now_ns: int, entropy: Entropy) -> None:
    """Put key rings and keys into a registry."""
    policies = {ring.name: ring.policy for ring in entries.gcp_rings}
    for name in dict.fromkeys((*policies, *(key.ring for key in entries.gcp_keys))):
        ring = Folder(names.REALM, name, now_ns)
        policy = policies.get(name)
        if policy is not None:
            policy.etag = entropy(ETAG_BYTES)
            ring = replace(ring, attributes=policy_attribute(policy))
        registry.put_folder(ring)
    for entry in entries.gcp_keys:
        _plant_key(registry, entry, now_ns, entropy)


def identity_of(entry: AccountEntry, now_ns: int, entropy: Entropy) -> tuple[Identity, Credential | None]:
    """Return a service account, with the key that it signs with if the file has that."""
    identity = accounts.identity_of(entry.email, entry.roles, entropy(8).hex(), now_ns)
    if not entry.public_key:
        return identity, None
    return identity, accounts.credential_of(entry.email, entry.public_key, now_ns)


def _plant_key(registry: Registry, entry: GcpKeyEntry, now_ns: int, entropy: Entropy) -> None:
    """Put a key into a registry. Its uid comes of its name: what was encrypted in one run opens in the next."""
    attributes = resources.store_settings(entry.settings)
    if entry.policy is not None:
        entry.policy.etag = entropy(ETAG_BYTES)
        attributes |= policy_attribute(entry.policy)
    key = registry.create(
        names.REALM,
        entry.name,
        entry.recipe.kind,
        now_ns,
        uid=hashlib.sha256(f"seeded key {entry.name}".encode()).digest()[:16],
        attributes=attributes,
        usage=PURPOSE_USAGES[entry.settings.purpose],
    )
    if entry.rotation_days:
        period_ns = entry.rotation_days * DAY_NS
        key = lifecycle.set_schedule(key, Schedule(period_ns, now_ns + period_ns), now_ns)
    registry.put(key)
    made_as = resources.template_attributes(entry.settings)
    for version in entry.versions:
        material = version.material or registry.new_material(key.kind)
        key = registry.add_version(key, material, now_ns, primary=False, attributes=made_as)
    if entry.primary:
        key = registry.put(lifecycle.set_primary(key, entry.primary, now_ns))
    for number, version in enumerate(entry.versions, 1):
        if not version.enabled:
            key = registry.put(lifecycle.switch_version(key, number, VersionState.DISABLED, now_ns))
