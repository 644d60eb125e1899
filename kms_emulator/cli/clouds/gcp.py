"""The `key` commands at Google's shape."""

import contextlib
from typing import TypeVar

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from keystore_api.google_kms.v1 import resources_pb2, service_pb2

from kms_emulator.cli.clouds.row import KeyRow, time_text
from kms_emulator.cli.endpoint import TIMEOUT_S
from kms_emulator.cli.exits import FAILED, USAGE, CommandError
from kms_emulator.cli.uris import GcpUri

SERVICE = "google.cloud.kms.v1.KeyManagementService"
PAGES_MAX = 1000
"""LIMIT: pages of 1000 keys or versions that a list asks for."""

Reply = TypeVar("Reply", bound=Message)
_State = resources_pb2.CryptoKeyVersion.CryptoKeyVersionState


class GcpKeys:
    """Keys of one key ring for `create` and `list`; the key of the URI for everything else."""

    def __init__(self, channel: grpc.Channel, key_ring: str) -> None:
        self._channel, self._ring = channel, key_ring

    def create(self, name: str) -> KeyRow:
        location, _, ring_id = self._ring.rpartition("/keyRings/")
        ring = service_pb2.CreateKeyRingRequest(parent=location, key_ring_id=ring_id)
        with _ignoring(grpc.StatusCode.ALREADY_EXISTS):
            self._call("CreateKeyRing", ring, resources_pb2.KeyRing)
        key = resources_pb2.CryptoKey(purpose=resources_pb2.CryptoKey.ENCRYPT_DECRYPT)
        request = service_pb2.CreateCryptoKeyRequest(parent=self._ring, crypto_key_id=name, crypto_key=key)
        return _row(self._call("CreateCryptoKey", request, resources_pb2.CryptoKey).primary)

    def rows(self) -> list[KeyRow]:
        rows: list[KeyRow] = []
        token = ""
        with _ignoring(grpc.StatusCode.NOT_FOUND):
            for _ in range(PAGES_MAX):
                request = service_pb2.ListCryptoKeysRequest(parent=self._ring, page_size=1000, page_token=token)
                reply = self._call("ListCryptoKeys", request, service_pb2.ListCryptoKeysResponse)
                rows += [row for key in reply.crypto_keys for row in self._versions(key.name)]
                token = reply.next_page_token
                if not token:
                    break
        return rows

    def enable(self, uri: GcpUri) -> KeyRow:
        return self._switch(uri, resources_pb2.CryptoKeyVersion.ENABLED)

    def disable(self, uri: GcpUri) -> KeyRow:
        return self._switch(uri, resources_pb2.CryptoKeyVersion.DISABLED)

    def schedule_deletion(self, uri: GcpUri, days: int | None) -> KeyRow:
        if days is not None:
            raise CommandError("the window is a setting of Google's key; --days is for aws", USAGE)
        request = service_pb2.DestroyCryptoKeyVersionRequest(name=self._named(uri).version_name)
        return _row(self._call("DestroyCryptoKeyVersion", request, resources_pb2.CryptoKeyVersion))

    def cancel_deletion(self, uri: GcpUri) -> KeyRow:
        request = service_pb2.RestoreCryptoKeyVersionRequest(name=self._named(uri).version_name)
        return _row(self._call("RestoreCryptoKeyVersion", request, resources_pb2.CryptoKeyVersion))

    def rotate(self, uri: GcpUri) -> KeyRow:
        """Add a version and make it primary; Google has no single call for that."""
        request = service_pb2.CreateCryptoKeyVersionRequest(parent=uri.key)
        added = self._call("CreateCryptoKeyVersion", request, resources_pb2.CryptoKeyVersion)
        number = added.name.rpartition("/")[2]
        primary = service_pb2.UpdateCryptoKeyPrimaryVersionRequest(name=uri.key, crypto_key_version_id=number)
        return _row(self._call("UpdateCryptoKeyPrimaryVersion", primary, resources_pb2.CryptoKey).primary)

    def _switch(self, uri: GcpUri, state: _State) -> KeyRow:
        version = resources_pb2.CryptoKeyVersion(name=self._named(uri).version_name, state=state)
        request = service_pb2.UpdateCryptoKeyVersionRequest(
            crypto_key_version=version, update_mask=FieldMask(paths=["state"])
        )
        return _row(self._call("UpdateCryptoKeyVersion", request, resources_pb2.CryptoKeyVersion))

    def _named(self, uri: GcpUri) -> GcpUri:
        """Return the URI with a version: the primary one if it has none."""
        if uri.version:
            return uri
        request = service_pb2.GetCryptoKeyRequest(name=uri.key)
        primary = self._call("GetCryptoKey", request, resources_pb2.CryptoKey).primary.name
        if not primary:
            raise CommandError(f"{uri} has no primary version; name a version", FAILED)
        return GcpUri(uri.key, int(primary.rpartition("/")[2]))

    def _versions(self, key: str) -> list[KeyRow]:
        rows: list[KeyRow] = []
        token = ""
        for _ in range(PAGES_MAX):
            request = service_pb2.ListCryptoKeyVersionsRequest(parent=key, page_size=1000, page_token=token)
            reply = self._call("ListCryptoKeyVersions", request, service_pb2.ListCryptoKeyVersionsResponse)
            rows += [_row(version) for version in reply.crypto_key_versions]
            token = reply.next_page_token
            if not token:
                break
        return rows

    def _call(self, method: str, request: Message, reply_type: type[Reply]) -> Reply:
        call = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply_type.FromString,
        )
        return call(request, timeout=TIMEOUT_S)


class _ignoring(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads like contextlib.suppress
    """Suppress one status of a call."""

    def __init__(self, status: grpc.StatusCode) -> None:
        self._status = status

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call) and error.code() is self._status


def _row(version: resources_pb2.CryptoKeyVersion) -> KeyRow:
    return KeyRow(
        provider="gcp",
        uri=f"gcp://{version.name}",
        state=_State.Name(version.state),
        key_id=version.name.partition("/cryptoKeyVersions/")[0],
        key_version=version.name.rpartition("/")[2],
        created_at=time_text(version.create_time),
        ends_at=time_text(version.destroy_time),
    )
