"""AWS's calls over the emulator's gRPC shape of them. Needs no SDK."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import grpc
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub

from keystore.kms.aws import AwsKey
from keystore.kms.aws_codes import CODES, kind_of
from keystore.kms.channel import CallRefusedError, call, classify
from keystore.kms.refusals import RefusedError

Reply = TypeVar("Reply")


class GrpcWire:
    """The calls over one channel, which it owns."""

    def __init__(self, channel: grpc.Channel, region: str) -> None:
        self._channel, self._region = channel, region
        self._stub = AwsKmsStub(channel)

    def describe_key(self, key_id: str) -> AwsKey:
        request = pb.DescribeKeyRequest(region=self._region, key_id=key_id)
        metadata = _call(self._stub.DescribeKey, request).key_metadata
        return AwsKey(metadata.arn, metadata.key_state, metadata.key_usage)

    def encrypt(self, key_id: str, plaintext: bytes, context: Mapping[str, str]) -> tuple[str, bytes]:
        request = pb.EncryptRequest(
            region=self._region, key_id=key_id, plaintext=plaintext, encryption_context=dict(context)
        )
        reply = _call(self._stub.Encrypt, request)
        return reply.key_id, reply.ciphertext_blob

    def decrypt(self, key_id: str, ciphertext: bytes, context: Mapping[str, str]) -> bytes:
        request = pb.DecryptRequest(
            region=self._region, key_id=key_id, ciphertext_blob=ciphertext, encryption_context=dict(context)
        )
        return _call(self._stub.Decrypt, request).plaintext

    def close(self) -> None:
        self._channel.close()


def _call(method: Callable[..., Reply], request: object) -> Reply:
    try:
        return call(method, request)
    except CallRefusedError as error:
        refusal = error.refusal
        code = refusal.code or refusal.status.name
        raise RefusedError(kind_of(classify(refusal, CODES), refusal.text), code, refusal.text) from None
