"""AWS operations that make key pairs for use outside: the private half in the clear, or only under a key."""

from dataclasses import dataclass
from functools import partial

from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb

from kms_emulator.model import keypairs
from kms_emulator.model.keys import KeyKind, KeyUsage
from kms_emulator.wire.aws import names
from kms_emulator.wire.aws.cipher import Encrypted, seal
from kms_emulator.wire.aws.lookup import find_key
from kms_emulator.wire.aws.specs import SYMMETRIC, check_algorithm, find_spec
from kms_emulator.wire.aws.usable import check_attestation, check_dry_run, check_usable
from kms_emulator.wire.background import run_beside
from kms_emulator.wire.call import Call

Request = pb.GenerateDataKeyPairRequest | pb.GenerateDataKeyPairWithoutPlaintextRequest


@dataclass(frozen=True)
class _Pair:
    private_der: bytes
    public_der: bytes
    sealed: Encrypted


async def generate_data_key_pair(call: Call, request: pb.GenerateDataKeyPairRequest) -> pb.GenerateDataKeyPairResponse:
    """Return a fresh key pair, and its private half encrypted under a key."""
    check_attestation(request.HasField("recipient"))
    pair = await _generate(call, request)
    return pb.GenerateDataKeyPairResponse(
        private_key_ciphertext_blob=pair.sealed.ciphertext,
        private_key_plaintext=pair.private_der,
        public_key=pair.public_der,
        key_id=names.key_arn(pair.sealed.key),
        key_pair_spec=request.key_pair_spec,
        key_material_id=pair.sealed.material,
    )


async def generate_data_key_pair_without_plaintext(
    call: Call, request: pb.GenerateDataKeyPairWithoutPlaintextRequest
) -> pb.GenerateDataKeyPairWithoutPlaintextResponse:
    """Return the public half of a fresh key pair, and its private half encrypted under a key."""
    pair = await _generate(call, request)
    return pb.GenerateDataKeyPairWithoutPlaintextResponse(
        private_key_ciphertext_blob=pair.sealed.ciphertext,
        public_key=pair.public_der,
        key_id=names.key_arn(pair.sealed.key),
        key_pair_spec=request.key_pair_spec,
        key_material_id=pair.sealed.material,
    )


async def _generate(call: Call, request: Request) -> _Pair:
    key = find_key(call, request.region, request.key_id)
    kind = find_spec(request.key_pair_spec).kind
    check_usable(call, key, KeyUsage.ENCRYPT)
    check_algorithm(key, SYMMETRIC)
    check_dry_run(request.dry_run)
    private_der, public_der = await run_beside(partial(_make, kind))
    call.tick()
    key = find_key(call, request.region, request.key_id)
    return _Pair(private_der, public_der, seal(call, key, private_der, request.encryption_context))


def _make(kind: KeyKind) -> tuple[bytes, bytes]:
    private_der = keypairs.generate(kind)
    return private_der, keypairs.public_of(kind, private_der)
