"""Azure operations on live keys: create, get, list, update, rotate."""

from dataclasses import replace
from functools import partial

from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb

from kms_emulator.model import lifecycle
from kms_emulator.model.keys import Key, KeyKind, KeyState, Version, VersionState
from kms_emulator.model.material import Material
from kms_emulator.wire.azure import names
from kms_emulator.wire.azure.bundles import (
    AES_KINDS,
    CURVE_NAMES,
    attributes_after_rotation,
    attributes_of,
    bundle,
    stored_attributes,
    tags_of,
)
from kms_emulator.wire.azure.errors import bad_parameter, disabled, name_deleted
from kms_emulator.wire.azure.lookup import check_vault, find_any, find_live, find_version
from kms_emulator.wire.background import run_beside
from kms_emulator.wire.call import Call
from kms_emulator.wire.paging import page

PAGE_MAX = 25
_KINDS = {0: KeyKind.RSA_2048, 2048: KeyKind.RSA_2048, 3072: KeyKind.RSA_3072, 4096: KeyKind.RSA_4096}
_CURVE_KINDS = {name: kind for kind, name in CURVE_NAMES.items()}


async def create_key(call: Call, request: pb.CreateKeyRequest) -> pb.KeyBundle:
    """Create a key, or a new version of the key that has the name."""
    kind = kind_of(request.vault, request.kty, request.key_size, request.crv)
    attributes = stored_attributes({}, request.attributes, request.key_ops, request.tags, call.now_ns, kind=kind)
    _free_or_live(call, request.vault, request.name)
    material = await run_beside(partial(call.registry.new_material, kind))
    call.tick()
    return store_version(call, request, material, hardware_of(request.kty), attributes)


def store_version(
    call: Call,
    request: pb.CreateKeyRequest | pb.ImportKeyRequest,
    material: Material,
    hardware: str,
    attributes: dict[str, str],
) -> pb.KeyBundle:
    """Add a version with the material to the key that has the name, or to a new one."""
    key = _free_or_live(call, request.vault, request.name)
    if key is None:
        given = {names.GIVEN_NAME: request.name} | ({names.HARDWARE: hardware} if hardware else {})
        name = names.key_name(request.vault, request.name)
        key = call.registry.create(names.REALM, name, material.kind, call.now_ns, attributes=given)
    if key.kind is not material.kind:
        raise bad_parameter(f"Key {request.name} is {key.kind.value}; a version of another kind is not emulated.")
    changed = call.registry.add_version(restarted(key, call.now_ns), material, call.now_ns, attributes=attributes)
    if request.attributes.HasField("enabled") and not request.attributes.enabled:
        number = len(changed.versions)
        changed = call.registry.put(lifecycle.switch_version(changed, number, VersionState.DISABLED, call.now_ns))
    return answer(call, changed, changed.versions[-1])


def kind_of(vault: str, kty: str, key_size: int, crv: str) -> KeyKind:
    """Return the kind of key that a request describes."""
    plain = kty.removesuffix("-HSM")
    if plain in ("", "RSA"):
        if key_size not in _KINDS:
            raise bad_parameter(f"Key size {key_size} is not supported; 2048, 3072 and 4096 are.")
        return _KINDS[key_size]
    if plain == "EC":
        if (crv or "P-256") not in _CURVE_KINDS:
            raise bad_parameter(f"Curve {crv} is not supported; {', '.join(_CURVE_KINDS)} are.")
        return _CURVE_KINDS[crv or "P-256"]
    if plain == "oct" and names.holds_aes(vault):
        if (key_size or 256) not in AES_KINDS:
            raise bad_parameter(f"Key size {key_size} is not supported; 128, 192 and 256 are.")
        return AES_KINDS[key_size or 256]
    raise bad_parameter(f"Key type {kty} is not supported; a vault holds RSA and EC keys, a managed HSM oct-HSM too.")


def hardware_of(kty: str) -> str:
    """Return what a key type ends with that asks for hardware."""
    return "-HSM" if kty.endswith("-HSM") else ""


def get_key(call: Call, request: pb.GetKeyRequest) -> pb.KeyBundle:
    """Return the public half of a version that is enabled."""
    key, version = find_version(call, request.vault, request.name, request.version)
    if version.state is not VersionState.ENABLED:
        raise disabled("get")
    return bundle(call, key, version)


def list_keys(call: Call, request: pb.ListKeysRequest) -> pb.ListKeysResponse:
    """List a vault's keys, without versions."""
    vault = check_vault(request.vault)
    keys = [key for key in call.registry.keys(names.REALM, f"{vault}/") if key.state is not KeyState.DELETION_SCHEDULED]
    found, token = page(keys, lambda key: key.name, request.skip_token, page_length(request.max_results))
    items = [_item(call, key, names.base_kid(key), key.versions[-1]) for key in found]
    return pb.ListKeysResponse(value=items, next_skip_token=token)


def list_key_versions(call: Call, request: pb.ListKeyVersionsRequest) -> pb.ListKeysResponse:
    """List a key's versions, disabled ones too."""
    key = find_live(call, request.vault, request.name)
    count = page_length(request.max_results)
    found, token = page(key.versions, lambda version: f"{version.number:08}", request.skip_token, count)
    items = [_item(call, key, names.kid(key, version), version) for version in found]
    return pb.ListKeysResponse(value=items, next_skip_token=token)


def update_key(call: Call, request: pb.UpdateKeyRequest) -> pb.KeyBundle:
    """Change a version's attributes, operations and tags; works on disabled versions too."""
    key, version = find_version(call, request.vault, request.name, request.version)
    attributes = stored_attributes(
        version.attributes,
        request.attributes,
        request.key_ops,
        request.tags,
        call.now_ns,
        kind=key.kind,
    )
    changed = lifecycle.describe_version(key, version.number, attributes, call.now_ns)
    if request.attributes.HasField("enabled"):
        state = VersionState.ENABLED if request.attributes.enabled else VersionState.DISABLED
        changed = lifecycle.switch_version(changed, version.number, state, call.now_ns)
        if state is VersionState.DISABLED:
            call.core.guard.check(key, version.number)
    call.registry.put(changed)
    return answer(call, changed, changed.versions[version.number - 1])


async def rotate_key(call: Call, request: pb.RotateKeyRequest) -> pb.KeyBundle:
    """Add a version like the latest one; older versions stay usable under their own key ids."""
    kind = find_live(call, request.vault, request.name).kind
    material = await run_beside(partial(call.registry.new_material, kind))
    call.tick()
    key = find_live(call, request.vault, request.name)
    kept = lifecycle.rotated_attributes(key) or {**key.versions[-1].attributes, **attributes_after_rotation(None)}
    changed = call.registry.add_version(restarted(key, call.now_ns), material, call.now_ns, attributes=kept)
    return answer(call, changed, changed.versions[-1])


def page_length(requested: int) -> int:
    """Return the page length of a list."""
    if not 0 <= requested <= PAGE_MAX:
        raise bad_parameter(f"maxresults must be between 1 and {PAGE_MAX}.")
    return requested or PAGE_MAX


def restarted(key: Key, now_ns: int) -> Key:
    """Return the key with its next rotation a whole period from now."""
    if key.schedule is None:
        return key
    return replace(key, schedule=replace(key.schedule, next_ns=now_ns + key.schedule.period_ns))


def _free_or_live(call: Call, vault: str, name: str) -> Key | None:
    key = find_any(call, vault, name)
    if key is not None and key.state is KeyState.DELETION_SCHEDULED:
        raise name_deleted(name)
    return key


def answer(call: Call, key: Key, version: Version) -> pb.KeyBundle:
    """Return a version's bundle, and note the version."""
    call.key, call.key_version = names.kid(key, version), version.id
    return bundle(call, key, version)


def _item(call: Call, key: Key, kid: str, version: Version) -> pb.KeyItem:
    return pb.KeyItem(kid=kid, attributes=attributes_of(call, key, version), tags=tags_of(version))
