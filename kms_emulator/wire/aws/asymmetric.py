"""AWS operations on key pairs: the public half, signatures, key agreement, key encapsulation."""

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model.errors import PeerKeyError, SignatureError
from kms_emulator.model.keys import Key, KeyState, KeyUsage
from kms_emulator.model.material import Material
from kms_emulator.model.signatures import MessageForm, Scheme
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.errors import aws_error, wrong_state
from kms_emulator.wire.aws.lookup import find_key
from kms_emulator.wire.aws.metadata import algorithms_field, origin_of
from kms_emulator.wire.aws.specs import SCHEMES, USAGE_NAMES, algorithms_of, check_algorithm, spec_of
from kms_emulator.wire.aws.usable import check_attestation, check_dry_run, check_usable
from kms_emulator.wire.call import Call

_FORMS = {
    "": MessageForm.WHOLE,
    "RAW": MessageForm.WHOLE,
    "DIGEST": MessageForm.DIGEST,
    "EXTERNAL_MU": MessageForm.MU,
}


def get_public_key(call: Call, request: pb.GetPublicKeyRequest) -> pb.GetPublicKeyResponse:
    """Return the public half of a key pair, as SubjectPublicKeyInfo DER."""
    key = find_key(call, request.region, request.key_id)
    spec = spec_of(key)
    if not spec.is_pair:
        text = f"{names.key_arn(key)} key spec is {spec.name} which is not valid for GetPublicKey."
        raise aws_error("UnsupportedOperationException", text)
    if key.state is not KeyState.ENABLED:
        raise wrong_state(key)
    found = pb.GetPublicKeyResponse(
        key_id=names.key_arn(key),
        public_key=call.registry.usable(key, 1).public_der(),
        customer_master_key_spec=spec.name,
        key_spec=spec.name,
        key_usage=USAGE_NAMES[key.usage],
    )
    getattr(found, algorithms_field(key)).extend(algorithms_of(key))
    return found


def sign(call: Call, request: pb.SignRequest) -> pb.SignResponse:
    """Sign a message, or the digest of one."""
    key, material = _usable(call, request, KeyUsage.SIGN)
    scheme, form = _scheme(key, request)
    check_dry_run(request.dry_run)
    return pb.SignResponse(
        key_id=names.key_arn(key),
        signature=material.sign(scheme, request.message, form),
        signing_algorithm=request.signing_algorithm,
    )


def verify(call: Call, request: pb.VerifyRequest) -> pb.VerifyResponse:
    """Verify a signature; a bad one is an error, not an answer."""
    key, material = _usable(call, request, KeyUsage.SIGN)
    scheme, form = _scheme(key, request)
    try:
        material.verify(scheme, request.message, form, request.signature)
    except SignatureError:
        raise aws_error("KMSInvalidSignatureException") from None
    check_dry_run(request.dry_run)
    return pb.VerifyResponse(
        key_id=names.key_arn(key), signature_valid=True, signing_algorithm=request.signing_algorithm
    )


def derive_shared_secret(call: Call, request: pb.DeriveSharedSecretRequest) -> pb.DeriveSharedSecretResponse:
    """Return the secret that the key shares with another party's public key."""
    check_attestation(request.HasField("recipient"))
    key, material = _usable(call, request, KeyUsage.AGREE)
    algorithm = check_algorithm(key, request.key_agreement_algorithm)
    try:
        secret = material.agree(request.public_key)
    except PeerKeyError:
        text = f"The public key is not a valid public key for key spec {spec_of(key).name}."
        raise aws_error("ValidationException", text) from None
    check_dry_run(request.dry_run)
    return pb.DeriveSharedSecretResponse(
        key_id=names.key_arn(key),
        shared_secret=secret,
        key_agreement_algorithm=algorithm,
        key_origin=origin_of(key),
    )


def encapsulate(call: Call, request: pb.EncapsulateRequest) -> pb.EncapsulateResponse:
    """Return a fresh shared secret, and its encapsulation under the public half."""
    key, material = _usable(call, request, KeyUsage.ENCAPSULATE)
    algorithm = check_algorithm(key, request.encapsulation_algorithm)
    check_dry_run(request.dry_run)
    secret, encapsulated = material.encapsulate()
    return pb.EncapsulateResponse(
        key_id=names.key_arn(key),
        shared_secret=secret,
        shared_secret_ciphertext_blob=encapsulated,
        encapsulation_algorithm=algorithm,
    )


def decapsulate(call: Call, request: pb.DecapsulateRequest) -> pb.DecapsulateResponse:
    """Return the shared secret of an encapsulation."""
    key, material = _usable(call, request, KeyUsage.ENCAPSULATE)
    algorithm = check_algorithm(key, request.encapsulation_algorithm)
    secret = material.decapsulate(request.shared_secret_ciphertext_blob)
    check_dry_run(request.dry_run)
    return pb.DecapsulateResponse(key_id=names.key_arn(key), shared_secret=secret, encapsulation_algorithm=algorithm)


Request = (
    pb.SignRequest | pb.VerifyRequest | pb.DeriveSharedSecretRequest | pb.EncapsulateRequest | pb.DecapsulateRequest
)


def _usable(call: Call, request: Request, usage: KeyUsage) -> tuple[Key, Material]:
    key = find_key(call, request.region, request.key_id)
    version = check_usable(call, key, usage)
    return key, call.registry.usable(key, version.number)


def _scheme(key: Key, request: pb.SignRequest | pb.VerifyRequest) -> tuple[Scheme, MessageForm]:
    algorithm = check_algorithm(key, request.signing_algorithm)
    scheme, form = SCHEMES[algorithm], _FORMS[request.message_type]
    try:
        length = scheme.length_of(form)
    except ValueError:
        text = f"Message type {request.message_type} is incompatible with algorithm {algorithm}."
        raise aws_error("ValidationException", text) from None
    if length is not None and len(request.message) != length:
        raise aws_error("ValidationException", f"Digest is invalid length for algorithm {algorithm}.")
    return scheme, form
