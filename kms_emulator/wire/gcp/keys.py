"""Google operations on key rings and keys."""

from keystore_api.google_kms.v1 import resources_pb2
from keystore_api.google_kms.v1 import service_pb2 as pb

from kms_emulator.model import lifecycle
from kms_emulator.model.errors import NameTakenError
from kms_emulator.model.keys import Key
from kms_emulator.wire.call import Call
from kms_emulator.wire.gcp import names, resources
from kms_emulator.wire.gcp.algorithms import PURPOSE_USAGES
from kms_emulator.wire.gcp.errors import already_exists, failed_precondition, invalid, not_emulated, not_found
from kms_emulator.wire.gcp.lookup import check_id, check_location, find_key, find_ring
from kms_emulator.wire.gcp.usable import check_purpose, fresh_material
from kms_emulator.wire.paging import page

PAGE_DEFAULT, PAGE_MAX = 100, 1000
_UPDATABLE = {
    "labels",
    "rotation_period",
    "next_rotation_time",
    "version_template",
    "version_template.algorithm",
    "version_template.protection_level",
    "key_access_justifications_policy",
}


def create_key_ring(call: Call, request: pb.CreateKeyRingRequest) -> resources_pb2.KeyRing:
    """Create a key ring; there is no way to delete one."""
    name = f"{check_location(request.parent)}/keyRings/{check_id(request.key_ring_id)}"
    call.key = name
    try:
        return resources.ring(call.registry.create_folder(names.REALM, name, call.now_ns))
    except NameTakenError:
        raise already_exists("KeyRing", name) from None


def get_key_ring(call: Call, request: pb.GetKeyRingRequest) -> resources_pb2.KeyRing:
    """Return a key ring."""
    return resources.ring(find_ring(call, request.name))


def list_key_rings(call: Call, request: pb.ListKeyRingsRequest) -> pb.ListKeyRingsResponse:
    """List the key rings of a location."""
    check_list(request.filter, request.order_by)
    rings = call.registry.folders(names.REALM, f"{check_location(request.parent)}/keyRings/")
    found, token = page(rings, lambda ring: ring.name, request.page_token, page_length(request.page_size))
    return pb.ListKeyRingsResponse(
        key_rings=[resources.ring(ring) for ring in found], next_page_token=token, total_size=len(rings)
    )


async def create_crypto_key(call: Call, request: pb.CreateCryptoKeyRequest) -> resources_pb2.CryptoKey:
    """Create a key with its first version, which is primary if the key is for symmetric encryption."""
    ring = find_ring(call, request.parent)
    name = f"{ring.name}/cryptoKeys/{check_id(request.crypto_key_id)}"
    call.key = name
    if request.crypto_key.import_only and not request.skip_initial_version_creation:
        raise invalid("A CryptoKey that is import_only must be created with skip_initial_version_creation.")
    settings = resources.complete(request.crypto_key)
    kind = resources.check_template(settings).kind
    schedule = resources.schedule_of(settings, call.now_ns)
    material = None if request.skip_initial_version_creation else await fresh_material(call, kind)
    key = call.registry.create(
        names.REALM,
        name,
        kind,
        call.now_ns,
        schedule=schedule,
        attributes=resources.store_settings(settings),
        usage=PURPOSE_USAGES[settings.purpose],
    )
    if material is None:
        return resources.crypto_key(call.registry.put(key))
    made_as = resources.template_attributes(settings)
    primary = settings.purpose == resources_pb2.CryptoKey.ENCRYPT_DECRYPT
    changed = call.registry.add_version(key, material, call.now_ns, primary=primary, attributes=made_as)
    call.key_version = "1"
    return resources.crypto_key(changed)


def get_crypto_key(call: Call, request: pb.GetCryptoKeyRequest) -> resources_pb2.CryptoKey:
    """Return a key with its primary version."""
    return resources.crypto_key(find_key(call, request.name))


def list_crypto_keys(call: Call, request: pb.ListCryptoKeysRequest) -> pb.ListCryptoKeysResponse:
    """List the keys of a key ring."""
    check_list(request.filter, request.order_by)
    keys = call.registry.keys(names.REALM, f"{find_ring(call, request.parent).name}/cryptoKeys/")
    found, token = page(keys, lambda key: key.name, request.page_token, page_length(request.page_size))
    return pb.ListCryptoKeysResponse(
        crypto_keys=[resources.crypto_key(key) for key in found], next_page_token=token, total_size=len(keys)
    )


def update_crypto_key(call: Call, request: pb.UpdateCryptoKeyRequest) -> resources_pb2.CryptoKey:
    """Change what the mask names of labels, rotation, template and policy."""
    key = find_key(call, request.crypto_key.name)
    paths = list(request.update_mask.paths)
    unknown = sorted(set(paths) - _UPDATABLE)
    if unknown or not paths:
        raise invalid(f"update_mask must name updatable fields only; it names {', '.join(unknown) or 'nothing'}.")
    merged = resources.crypto_key(key)
    request.update_mask.MergeMessage(request.crypto_key, merged, True, True)
    if resources.check_template(merged).kind is not key.kind:
        raise not_emulated("An algorithm that needs key material of another kind than the key has")
    changed = lifecycle.describe(key, {**key.attributes, **resources.store_settings(merged)}, call.now_ns)
    if {"rotation_period", "next_rotation_time"} & set(paths):
        changed = lifecycle.set_schedule(changed, resources.schedule_of(merged, call.now_ns), call.now_ns)
    return resources.crypto_key(call.registry.put(changed))


def update_primary_version(call: Call, request: pb.UpdateCryptoKeyPrimaryVersionRequest) -> resources_pb2.CryptoKey:
    """Make an enabled version the one that encrypts."""
    key = find_key(call, request.name)
    check_purpose(key, resources_pb2.CryptoKey.ENCRYPT_DECRYPT)
    name = f"{key.name}/cryptoKeyVersions/{request.crypto_key_version_id}"
    if not names.VERSION_PATTERN.fullmatch(name):
        raise invalid(f"The key version id '{request.crypto_key_version_id}' is invalid.")
    number = int(request.crypto_key_version_id)
    if key.version(number) is None:
        raise not_found("CryptoKeyVersion", name)
    call.key_version = request.crypto_key_version_id
    return resources.crypto_key(call.registry.put(lifecycle.set_primary(key, number, call.now_ns)))


def primary_of(key: Key) -> int:
    """Return the number of the primary version; FAILED_PRECONDITION if there is none."""
    if key.primary is None:
        raise failed_precondition(f"CryptoKey {key.name} has no primary version.")
    return key.primary


def check_list(wanted: str, order_by: str) -> None:
    """Refuse what a list cannot do, instead of ignoring it."""
    if wanted or order_by:
        raise not_emulated("A filter or an order of a list")


def page_length(requested: int) -> int:
    """Return the page length of a list."""
    if requested < 0:
        raise invalid("page_size must not be negative.")
    return min(requested or PAGE_DEFAULT, PAGE_MAX)
