"""Azure's calls over the emulator's gRPC shape of Key Vault, on this machine only; needs no SDK."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import grpc
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb
from keystore_api.azure_keyvault.v1.azure_keyvault_pb2_grpc import AzureKeyVaultStub

from keystore.errors import KmsError
from keystore.kms.azure import ALGORITHM, AzureKey
from keystore.kms.azure_codes import CODES, DECRYPT_CODES
from keystore.kms.channel import CallRefusedError, call, classify
from keystore.kms.refusals import RefusedError

Reply = TypeVar("Reply")


class GrpcWire:
    """The calls over one channel, which it owns."""

    def __init__(self, channel: grpc.Channel, host: str) -> None:
        self._channel, self._vault = channel, host.partition(".")[0]
        self._stub = AzureKeyVaultStub(channel)

    def get_key(self, name: str, version: str) -> AzureKey:
        request = pb.GetKeyRequest(vault=self._vault, name=name, version=version)
        bundle = _call(self._stub.GetKey, request)
        return AzureKey(_version(bundle.key.kid), bundle.attributes.enabled, frozenset(bundle.key.key_ops))

    def encrypt(self, name: str, version: str, plaintext: bytes) -> tuple[str, bytes]:
        reply = _call(self._stub.Encrypt, self._request(name, version, plaintext))
        return _version(reply.kid), reply.value

    def decrypt(self, name: str, version: str, ciphertext: bytes) -> bytes:
        return _call(self._stub.Decrypt, self._request(name, version, ciphertext), DECRYPT_CODES).value

    def is_deleted(self, name: str) -> bool:
        try:
            _call(self._stub.GetDeletedKey, pb.GetDeletedKeyRequest(vault=self._vault, name=name))
        except RefusedError:
            return False
        return True

    def close(self) -> None:
        self._channel.close()

    def _request(self, name: str, version: str, value: bytes) -> pb.KeyOperationRequest:
        return pb.KeyOperationRequest(vault=self._vault, name=name, version=version, alg=ALGORITHM, value=value)


def _call(method: Callable[..., Reply], request: object, codes: Mapping[str, type[KmsError]] = CODES) -> Reply:
    try:
        return call(method, request)
    except CallRefusedError as error:
        refusal = error.refusal
        raise RefusedError(classify(refusal, codes), refusal.code or refusal.status.name, refusal.text) from None


def _version(kid: str) -> str:
    return kid.rpartition("/")[2]
