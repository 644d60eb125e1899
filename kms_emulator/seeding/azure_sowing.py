"""Makes of Azure's part of a seed file keys of vaults."""

import hashlib

from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb

from kms_emulator.model import lifecycle
from kms_emulator.model.keys import VersionState
from kms_emulator.model.registry import Registry
from kms_emulator.seeding.azure_entries import AzureKeyEntry
from kms_emulator.wire.azure import names
from kms_emulator.wire.azure.bundles import stored_attributes
from kms_emulator.wire.azure.keys import hardware_of


def plant(registry: Registry, entries: tuple[AzureKeyEntry, ...], now_ns: int) -> None:
    """Put keys into a registry. Their uids come of their names: what was encrypted in one run opens in the next."""
    for entry in entries:
        _plant_key(registry, entry, now_ns)


def _plant_key(registry: Registry, entry: AzureKeyEntry, now_ns: int) -> None:
    name, hardware = names.key_name(entry.vault, entry.name), hardware_of(entry.kty)
    key = registry.create(
        names.REALM,
        name,
        entry.kind,
        now_ns,
        uid=hashlib.sha256(f"seeded key {name}".encode()).digest()[:16],
        attributes={names.GIVEN_NAME: entry.name} | ({names.HARDWARE: hardware} if hardware else {}),
    )
    attributes = stored_attributes({}, pb.KeyAttributes(), [], entry.tags, now_ns, kind=entry.kind)
    for number, version in enumerate(entry.versions, 1):
        material = version.material or registry.new_material(entry.kind)
        changed = lifecycle.add_version(key, version.id, now_ns, primary=True, attributes=attributes)
        key = registry.put(changed, {number: material})
        if not version.enabled:
            key = registry.put(lifecycle.switch_version(key, number, VersionState.DISABLED, now_ns))
