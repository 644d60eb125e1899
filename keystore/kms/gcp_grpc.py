"""Google's calls over plaintext gRPC to this machine, under Google's own service name; needs no SDK."""

from collections.abc import Callable
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from keystore_api.google_kms.v1 import resources_pb2, service_pb2

from keystore.kms.channel import CallRefusedError, call
from keystore.kms.gcp import GcpVersion
from keystore.kms.gcp_codes import kind_of
from keystore.kms.refusals import NO_ANSWER, RefusedError

Reply = TypeVar("Reply", bound=Message)

_SERVICE = "/google.cloud.kms.v1.KeyManagementService/"


class GrpcWire:
    """The calls over one channel, which it owns."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def get_version(self, name: str) -> GcpVersion:
        request = service_pb2.GetCryptoKeyVersionRequest(name=name)
        return _version(self._call("GetCryptoKeyVersion", request, resources_pb2.CryptoKeyVersion))

    def get_primary(self, key: str) -> GcpVersion:
        request = service_pb2.GetCryptoKeyRequest(name=key)
        return _version(self._call("GetCryptoKey", request, resources_pb2.CryptoKey).primary)

    def encrypt(self, name: str, plaintext: bytes, aad: bytes) -> tuple[str, bytes]:
        request = service_pb2.EncryptRequest(name=name, plaintext=plaintext, additional_authenticated_data=aad)
        reply = self._call("Encrypt", request, service_pb2.EncryptResponse)
        return reply.name, reply.ciphertext

    def decrypt(self, key: str, ciphertext: bytes, aad: bytes) -> bytes:
        request = service_pb2.DecryptRequest(name=key, ciphertext=ciphertext, additional_authenticated_data=aad)
        return self._call("Decrypt", request, service_pb2.DecryptResponse).plaintext

    def close(self) -> None:
        self._channel.close()

    def _call(self, name: str, request: Message, reply: type[Reply]) -> Reply:
        method: Callable[..., Reply] = self._channel.unary_unary(
            _SERVICE + name,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=reply.FromString,
        )
        try:
            return call(method, request)
        except CallRefusedError as error:
            refusal = error.refusal
            code = NO_ANSWER if refusal.code == NO_ANSWER else refusal.status.name
            raise RefusedError(kind_of(refusal), code, refusal.text) from None


def _version(found: resources_pb2.CryptoKeyVersion) -> GcpVersion:
    kind = resources_pb2.CryptoKeyVersion
    state, algorithm = (
        kind.CryptoKeyVersionState.Name(found.state),
        kind.CryptoKeyVersionAlgorithm.Name(found.algorithm),
    )
    return GcpVersion(found.name, state, algorithm)
