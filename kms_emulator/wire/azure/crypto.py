"""Azure operations that use a key: RSA, nothing bound to it, and anybody with the public half can wrap; or AES,
which `symmetric` does.

Outside its validity (`nbf`, `exp`) a version still unwraps and decrypts, so that old data stays readable.
"""

from collections.abc import Callable

from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb

from kms_emulator.model.keys import Key, Version, VersionState
from kms_emulator.model.material import RsaPadding
from kms_emulator.wire.azure import symmetric
from kms_emulator.wire.azure.bundles import AES_KINDS, expires_ns, not_before_ns, operations_of
from kms_emulator.wire.azure.errors import bad_parameter, disabled, forbidden
from kms_emulator.wire.azure.lookup import check_vault, find_version
from kms_emulator.wire.azure.names import kid
from kms_emulator.wire.call import Call

VALUE_BYTES_MAX = 512
"""LIMIT: an RSA-4096 ciphertext; no value of any operation of RSA is longer."""

RANDOM_BYTES_MAX = 128
"""LIMIT: of Managed HSM's operation."""

_PADDINGS = {
    "RSA-OAEP-256": RsaPadding.OAEP_SHA256,
    "RSA-OAEP": RsaPadding.OAEP_SHA1,
    "RSA1_5": RsaPadding.PKCS1,
}
Run = Callable[[Call, pb.KeyOperationRequest], pb.KeyOperationResult]


def forward(operation: str) -> Run:
    """Return the handler of an operation that encrypts: ``encrypt`` or ``wrapKey``."""

    def run(call: Call, request: pb.KeyOperationRequest) -> pb.KeyOperationResult:
        key, version = usable_version(call, request, operation)
        check_validity(call, version, operation)
        if key.kind in AES_KINDS.values():
            return symmetric.encrypt(call, request, key, version)
        pad = _padding(request)
        call.plaintext_bytes = len(request.value)
        value = call.registry.rsa_encrypt(key, version.number, request.value, pad)
        call.ciphertext_bytes = len(value)
        return pb.KeyOperationResult(kid=kid(key, version), value=value)

    return run


def backward(operation: str) -> Run:
    """Return the handler of an operation that decrypts: ``decrypt`` or ``unwrapKey``."""

    def run(call: Call, request: pb.KeyOperationRequest) -> pb.KeyOperationResult:
        call.ciphertext_bytes = len(request.value)
        key, version = usable_version(call, request, operation)
        if key.kind in AES_KINDS.values():
            return symmetric.decrypt(call, request, key, version)
        pad = _padding(request)
        value = call.registry.rsa_decrypt(key, version.number, request.value, pad)
        call.plaintext_bytes = len(value)
        return pb.KeyOperationResult(kid=kid(key, version), value=value)

    return run


def random_bytes(call: Call, request: pb.GetRandomBytesRequest) -> pb.RandomBytes:
    """Return random bytes."""
    check_vault(request.vault)
    if not 1 <= request.count <= RANDOM_BYTES_MAX:
        raise bad_parameter(f"Property count must be between 1 and {RANDOM_BYTES_MAX}.")
    return pb.RandomBytes(value=call.registry.new_bytes(request.count))


def usable_version(
    call: Call, request: pb.KeyOperationRequest | pb.VerifyRequest, operation: str
) -> tuple[Key, Version]:
    """Return a version that is enabled and may be used for the operation."""
    key, version = find_version(call, request.vault, request.name, request.version)
    if version.state is not VersionState.ENABLED:
        raise disabled(operation)
    if operation not in operations_of(key, version):
        raise forbidden(f"Operation {operation} is not permitted on this key.", "KeyOperationForbidden")
    return key, version


def _padding(request: pb.KeyOperationRequest) -> RsaPadding:
    if request.alg not in _PADDINGS:
        raise bad_parameter(f"Algorithm '{request.alg}' is not supported for this key; {', '.join(_PADDINGS)} are.")
    if not 1 <= len(request.value) <= VALUE_BYTES_MAX:
        raise bad_parameter("Property value has an invalid length.")
    return _PADDINGS[request.alg]


def check_validity(call: Call, version: Version, operation: str) -> None:
    """Refuse what makes something new under a version that is not valid now."""
    begins, ends = not_before_ns(version), expires_ns(version)
    if begins is not None and call.now_ns < begins:
        raise forbidden(f"Operation {operation} is not allowed on a key that is not yet valid.", "KeyNotYetValid")
    if ends is not None and call.now_ns >= ends:
        raise forbidden(f"Operation {operation} is not allowed on an expired key.", "KeyExpired")
