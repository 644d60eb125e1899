"""Google's import of key material that was wrapped under an import job: into a new version, or back into its own.

What a request says is refused at once; what is wrapped in it is looked at afterwards. If that is no good the version is
there all the same, as IMPORT_FAILED with the reason, and can be imported into again.
"""

from keystore_api.google_kms.v1 import resources_pb2
from keystore_api.google_kms.v1 import service_pb2 as pb

from kms_emulator.model import lifecycle
from kms_emulator.model.errors import CiphertextError, MaterialError
from kms_emulator.model.keys import NO_MATERIAL, Key, KeyKind, Version, VersionState
from kms_emulator.model.material import Material
from kms_emulator.wire.call import Call
from kms_emulator.wire.gcp import resources, roles
from kms_emulator.wire.gcp.algorithms import recipe_of
from kms_emulator.wire.gcp.authorize import authorize
from kms_emulator.wire.gcp.checksums import check_length
from kms_emulator.wire.gcp.errors import failed_precondition, invalid, not_emulated, wrong_state
from kms_emulator.wire.gcp.import_jobs import is_active, level_of, method_of
from kms_emulator.wire.gcp.lookup import find_import_job, find_key, find_version

NOT_UNWRAPPED = "The key material in the import request couldn't be unwrapped or wasn't formatted correctly."
NOT_THE_SAME = "The key material does not match the key material that was imported into this version before."
_FINGERPRINT = "fingerprint"
"""The attribute of a version that ever had material: by this it knows the same again."""


def import_version(call: Call, request: pb.ImportCryptoKeyVersionRequest) -> resources_pb2.CryptoKeyVersion:
    """Import material as a new version, or into a destroyed version the material that it had."""
    again = request.crypto_key_version
    if again:
        authorize(call, "cloudkms.cryptoKeyVersions.update", again)
    else:
        authorize(call, "cloudkms.cryptoKeyVersions.create", request.parent)
    authorize(call, roles.IMPORT, request.import_job)
    job = find_import_job(call, request.import_job)
    key = find_key(call, request.parent)
    kind = _checked_kind(key, request)
    _check_job(key, job)
    wrapped = _wrapped(request)
    target = _target(call, key, request) if again else None
    material = _unwrapped(call, job, kind, wrapped)
    changed, number = _imported(call, key, target, material, _attributes(key, request))
    call.key, call.key_version = key.name, str(number)
    return resources.crypto_key_version(changed, changed.versions[number - 1])


def _checked_kind(key: Key, request: pb.ImportCryptoKeyVersionRequest) -> KeyKind:
    kind = recipe_of(request.algorithm, resources.settings_of(key).purpose).kind
    if kind is not key.kind:
        raise not_emulated("The import of key material of another kind than the key has")
    if request.trusted_wrapping_enabled:
        raise invalid("trusted_wrapping_enabled is for keys with protection level HSM_SINGLE_TENANT only.")
    return kind


def _check_job(key: Key, job: Key) -> None:
    if job.name.partition("/importJobs/")[0] != key.name.partition("/cryptoKeys/")[0]:
        raise invalid(f"ImportJob {job.name} is not in the key ring of CryptoKey {key.name}.")
    if level_of(job) != resources.settings_of(key).version_template.protection_level:
        raise invalid(f"The protection level of ImportJob {job.name} is not that of CryptoKey {key.name}.")
    if not is_active(job):
        raise failed_precondition(f"ImportJob {job.name} is not active, current state is: EXPIRED.")


def _wrapped(request: pb.ImportCryptoKeyVersionRequest) -> bytes:
    """Return the wrapped material, from the one field or the older one."""
    given = [value for value in (request.wrapped_key, request.rsa_aes_wrapped_key) if value]
    if len(given) != 1:
        raise invalid("Exactly one of wrapped_key and rsa_aes_wrapped_key must be set.")
    check_length("wrapped_key", given[0])
    return given[0]


def _target(call: Call, key: Key, request: pb.ImportCryptoKeyVersionRequest) -> Version:
    """Return the version to import into again."""
    owner, version = find_version(call, request.crypto_key_version)
    name = request.crypto_key_version
    if owner.uid != key.uid:
        raise invalid(f"{name} is not a version of CryptoKey {key.name}.")
    if resources.IMPORT_JOB not in version.attributes:
        raise failed_precondition(f"{name} was not imported, so nothing can be imported into it.")
    if version.state not in NO_MATERIAL:
        raise wrong_state(key, version, "destroyed and has not failed to import")
    if request.algorithm != resources.template_of(key, version).algorithm and _FINGERPRINT in version.attributes:
        raise invalid(f"The algorithm is not the one with which {name} was imported before.")
    return version


def _unwrapped(call: Call, job: Key, kind: KeyKind, wrapped: bytes) -> Material | None:
    """Return the material; None if it cannot be unwrapped or is not of the kind."""
    try:
        return Material.from_outside(kind, call.registry.usable(job, 1).unwrap(method_of(job), wrapped))
    except (CiphertextError, MaterialError):
        return None


def _attributes(key: Key, request: pb.ImportCryptoKeyVersionRequest) -> dict[str, str]:
    """Return what a version says of its import and of what it is."""
    settings = resources.settings_of(key)
    settings.version_template.algorithm = request.algorithm
    return {**resources.template_attributes(settings), resources.IMPORT_JOB: request.import_job}


def _imported(
    call: Call, key: Key, target: Version | None, material: Material | None, attributes: dict[str, str]
) -> tuple[Key, int]:
    """Store the outcome; return the key with the number of the version."""
    before = target.attributes if target else {}
    expected = before.get(_FINGERPRINT, "")
    fingerprint = material.fingerprint(key.lineage) if material else expected
    reason = NOT_UNWRAPPED if material is None else NOT_THE_SAME if expected not in ("", fingerprint) else ""
    if reason:
        kept = {name: before[name] for name in (resources.IMPORT_TIME, _FINGERPRINT) if name in before}
        attributes = {**attributes, **kept, resources.IMPORT_FAILURE: reason}
    else:
        attributes = {**attributes, resources.IMPORT_TIME: str(call.now_ns), _FINGERPRINT: fingerprint}
    state = VersionState.MISSING if reason else VersionState.ENABLED
    if target is None:
        version_id = call.registry.new_bytes(16).hex()
        changed = lifecycle.add_version(key, version_id, call.now_ns, primary=False, attributes=attributes, state=state)
        number = len(changed.versions)
    else:
        number = target.number
        changed = lifecycle.refill_version(key, number, state, attributes, call.now_ns)
    return call.registry.put(changed, {number: material} if material and not reason else {}), number
