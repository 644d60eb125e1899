"""Google operations on versions: create, get, list, switch, destroy, restore."""

from keystore_api.google_kms.v1 import resources_pb2
from keystore_api.google_kms.v1 import service_pb2 as pb

from kms_emulator.model import lifecycle
from kms_emulator.model.errors import VersionStateError
from kms_emulator.model.keys import Key, Version, VersionState
from kms_emulator.wire.call import Call
from kms_emulator.wire.gcp import resources
from kms_emulator.wire.gcp.errors import failed_precondition, invalid, wrong_state
from kms_emulator.wire.gcp.keys import check_list, page_length
from kms_emulator.wire.gcp.lookup import find_key, find_version
from kms_emulator.wire.gcp.usable import fresh_material
from kms_emulator.wire.paging import page

_REQUESTED = {
    resources_pb2.CryptoKeyVersion.ENABLED: VersionState.ENABLED,
    resources_pb2.CryptoKeyVersion.DISABLED: VersionState.DISABLED,
}


async def create_version(call: Call, request: pb.CreateCryptoKeyVersionRequest) -> resources_pb2.CryptoKeyVersion:
    """Add an enabled version; the primary stays what it was."""
    key = find_key(call, request.parent)
    if resources.settings_of(key).import_only:
        raise failed_precondition(f"{key.name} is import_only: its versions are made by ImportCryptoKeyVersion.")
    material = await fresh_material(call, key.kind)
    key = find_key(call, request.parent)  # others may have added versions meanwhile
    made_as = resources.template_attributes(resources.settings_of(key))
    changed = call.registry.add_version(key, material, call.now_ns, primary=False, attributes=made_as)
    return _answer(call, changed, len(changed.versions))


def get_version(call: Call, request: pb.GetCryptoKeyVersionRequest) -> resources_pb2.CryptoKeyVersion:
    """Return a version, in any state."""
    return resources.crypto_key_version(*find_version(call, request.name))


def list_versions(call: Call, request: pb.ListCryptoKeyVersionsRequest) -> pb.ListCryptoKeyVersionsResponse:
    """List a key's versions, destroyed ones too."""
    check_list(request.filter, request.order_by)
    key = find_key(call, request.parent)
    count = page_length(request.page_size)
    found, token = page(key.versions, lambda version: f"{version.number:010}", request.page_token, count)
    return pb.ListCryptoKeyVersionsResponse(
        crypto_key_versions=[resources.crypto_key_version(key, version) for version in found],
        next_page_token=token,
        total_size=len(key.versions),
    )


def update_version(call: Call, request: pb.UpdateCryptoKeyVersionRequest) -> resources_pb2.CryptoKeyVersion:
    """Enable or disable a version."""
    key, version = find_version(call, request.crypto_key_version.name)
    if list(request.update_mask.paths) != ["state"]:
        raise invalid("update_mask must name the field state, and no other.")
    state = _REQUESTED.get(request.crypto_key_version.state)
    if state is None:
        raise invalid("The state of a version can be updated to ENABLED or DISABLED only.")
    changed = lifecycle.switch_version(key, version.number, state, call.now_ns)
    if state is VersionState.DISABLED:
        call.core.guard.check(key, version.number)
    return _answer(call, call.registry.put(changed), version.number)


def destroy_version(call: Call, request: pb.DestroyCryptoKeyVersionRequest) -> resources_pb2.CryptoKeyVersion:
    """Let a version be destroyed when the key's window ends."""
    key, version = find_version(call, request.name)
    window_ns = resources.destroy_window_ns(resources.settings_of(key))
    try:
        changed = lifecycle.schedule_destroy(key, version.number, window_ns, call.now_ns)
    except VersionStateError:
        raise wrong_state(key, version, "enabled or disabled") from None
    call.core.guard.check(key, version.number)
    return _answer(call, call.registry.put(changed), version.number)


def restore_version(call: Call, request: pb.RestoreCryptoKeyVersionRequest) -> resources_pb2.CryptoKeyVersion:
    """Take a scheduled destruction back; the version is disabled afterwards."""
    key, version = find_version(call, request.name)
    try:
        changed = lifecycle.restore_version(key, version.number, call.now_ns)
    except VersionStateError:
        raise wrong_state(key, version, "scheduled for destruction") from None
    return _answer(call, call.registry.put(changed), version.number)


def _answer(call: Call, key: Key, number: int) -> resources_pb2.CryptoKeyVersion:
    version: Version = key.versions[number - 1]
    call.key_version = str(number)
    return resources.crypto_key_version(key, version)
