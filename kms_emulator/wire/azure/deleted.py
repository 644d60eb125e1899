"""Azure operations that delete keys, and on deleted ones. A deleted key keeps its name until it is purged."""

from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb

from kms_emulator.model import lifecycle
from kms_emulator.model.keys import Key, KeyState
from kms_emulator.wire.azure import names
from kms_emulator.wire.azure.bundles import (
    attributes_of,
    bundle,
    deleted_bundle,
    deletion_times,
    tags_of,
)
from kms_emulator.wire.azure.errors import forbidden
from kms_emulator.wire.azure.keys import page_length
from kms_emulator.wire.azure.lookup import check_vault, find_deleted, find_live
from kms_emulator.wire.call import Call
from kms_emulator.wire.paging import page
from kms_emulator.wire.times import DAY_NS


def delete_key(call: Call, request: pb.DeleteKeyRequest) -> pb.DeletedKeyBundle:
    """Delete a key with all its versions; it can be recovered for as long as the vault says."""
    key = find_live(call, request.vault, request.name)
    window_ns = call.core.vaults.get(names.vault_of(key)).retention_days * DAY_NS
    call.core.guard.check(key)
    changed = call.registry.put(lifecycle.schedule_deletion(key, window_ns, call.now_ns))
    return deleted_bundle(call, changed)


def get_deleted_key(call: Call, request: pb.GetDeletedKeyRequest) -> pb.DeletedKeyBundle:
    """Return a deleted key."""
    return deleted_bundle(call, find_deleted(call, request.vault, request.name))


def list_deleted_keys(call: Call, request: pb.ListDeletedKeysRequest) -> pb.ListDeletedKeysResponse:
    """List a vault's deleted keys."""
    vault = check_vault(request.vault)
    keys = [key for key in call.registry.keys(names.REALM, f"{vault}/") if key.state is KeyState.DELETION_SCHEDULED]
    found, token = page(keys, lambda key: key.name, request.skip_token, page_length(request.max_results))
    return pb.ListDeletedKeysResponse(value=[_item(call, key) for key in found], next_skip_token=token)


def recover_deleted_key(call: Call, request: pb.RecoverDeletedKeyRequest) -> pb.KeyBundle:
    """Bring a deleted key back with all its versions as they were."""
    key = find_deleted(call, request.vault, request.name)
    changed = call.registry.put(lifecycle.cancel_deletion(key, KeyState.ENABLED, call.now_ns))
    return bundle(call, changed, changed.versions[-1])


def purge_deleted_key(call: Call, request: pb.PurgeDeletedKeyRequest) -> pb.PurgeDeletedKeyResponse:
    """Destroy a deleted key now; nothing brings it back, and its name is free."""
    key = find_deleted(call, request.vault, request.name)
    if call.core.vaults.get(names.vault_of(key)).purge_protection:
        raise forbidden('Operation "purge" is not allowed because purge protection is enabled for this vault.')
    call.core.guard.check(key)
    call.registry.remove(key)
    return pb.PurgeDeletedKeyResponse()


def _item(call: Call, key: Key) -> pb.DeletedKeyItem:
    version = key.versions[-1]
    deleted, purge = deletion_times(key)
    return pb.DeletedKeyItem(
        kid=names.base_kid(key),
        attributes=attributes_of(call, key, version),
        tags=tags_of(version),
        recovery_id=names.recovery_id(key),
        deleted_date=deleted,
        scheduled_purge_date=purge,
    )
