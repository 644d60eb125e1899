"""The `key` commands at the Azure shape."""

import grpc
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb
from keystore_api.azure_keyvault.v1.azure_keyvault_pb2_grpc import AzureKeyVaultStub

from kms_emulator.cli.clouds.row import KeyRow, time_text
from kms_emulator.cli.endpoint import TIMEOUT_S
from kms_emulator.cli.exits import USAGE, CommandError
from kms_emulator.cli.uris import AzureUri

PAGES_MAX = 10_000
"""LIMIT: pages of 25 keys that a list asks for."""


class AzureKeys:
    """Keys of one vault for `create` and `list`; the vault of the URI for everything else."""

    def __init__(self, channel: grpc.Channel, vault: str) -> None:
        self._stub, self._vault = AzureKeyVaultStub(channel), vault

    def create(self, name: str, key_size: int) -> KeyRow:
        request = pb.CreateKeyRequest(vault=self._vault, name=name, kty="RSA", key_size=key_size)
        return _row_of_bundle(self._vault, self._stub.CreateKey(request, timeout=TIMEOUT_S))

    def rows(self) -> list[KeyRow]:
        rows: list[KeyRow] = []
        token = ""
        for _ in range(PAGES_MAX):
            reply = self._stub.ListKeys(pb.ListKeysRequest(vault=self._vault, skip_token=token), timeout=TIMEOUT_S)
            rows += [row for item in reply.value for row in self._versions(_last(item.kid))]
            token = reply.next_skip_token
            if not token:
                break
        return rows + self._deleted()

    def enable(self, uri: AzureUri) -> KeyRow:
        return self._switch(uri, enabled=True)

    def disable(self, uri: AzureUri) -> KeyRow:
        return self._switch(uri, enabled=False)

    def schedule_deletion(self, uri: AzureUri, days: int | None) -> KeyRow:
        if days is not None:
            raise CommandError("a vault's keys stay recoverable for 90 days; --days is for aws", USAGE)
        request = pb.DeleteKeyRequest(vault=uri.vault, name=uri.name)
        deleted = self._stub.DeleteKey(request, timeout=TIMEOUT_S)
        return _row(uri.vault, deleted.key.kid, deleted.attributes, *_deleted_until(deleted))

    def cancel_deletion(self, uri: AzureUri) -> KeyRow:
        request = pb.RecoverDeletedKeyRequest(vault=uri.vault, name=uri.name)
        return _row_of_bundle(uri.vault, self._stub.RecoverDeletedKey(request, timeout=TIMEOUT_S))

    def rotate(self, uri: AzureUri) -> KeyRow:
        request = pb.RotateKeyRequest(vault=uri.vault, name=uri.name)
        return _row_of_bundle(uri.vault, self._stub.RotateKey(request, timeout=TIMEOUT_S))

    def _switch(self, uri: AzureUri, *, enabled: bool) -> KeyRow:
        attributes = pb.KeyAttributes(enabled=enabled)
        request = pb.UpdateKeyRequest(vault=uri.vault, name=uri.name, version=uri.version, attributes=attributes)
        return _row_of_bundle(uri.vault, self._stub.UpdateKey(request, timeout=TIMEOUT_S))

    def _versions(self, name: str) -> list[KeyRow]:
        rows: list[KeyRow] = []
        token = ""
        for _ in range(PAGES_MAX):
            request = pb.ListKeyVersionsRequest(vault=self._vault, name=name, skip_token=token)
            reply = self._stub.ListKeyVersions(request, timeout=TIMEOUT_S)
            rows += [_row(self._vault, item.kid, item.attributes, _state(item.attributes)) for item in reply.value]
            token = reply.next_skip_token
            if not token:
                break
        return rows

    def _deleted(self) -> list[KeyRow]:
        rows: list[KeyRow] = []
        token = ""
        for _ in range(PAGES_MAX):
            request = pb.ListDeletedKeysRequest(vault=self._vault, skip_token=token)
            reply = self._stub.ListDeletedKeys(request, timeout=TIMEOUT_S)
            rows += [_row(self._vault, item.kid, item.attributes, *_deleted_until(item)) for item in reply.value]
            token = reply.next_skip_token
            if not token:
                break
        return rows


def _row_of_bundle(vault: str, bundle: pb.KeyBundle) -> KeyRow:
    return _row(vault, bundle.key.kid, bundle.attributes, _state(bundle.attributes))


def _row(vault: str, kid: str, attributes: pb.KeyAttributes, state: str, ends_at: str = "") -> KeyRow:
    name, _, version = kid.partition("/keys/")[2].partition("/")
    return KeyRow(
        provider="azure",
        uri=str(AzureUri(vault, name, version)),
        state=state,
        key_id=kid,
        key_version=version,
        created_at=time_text(attributes.created),
        ends_at=ends_at,
    )


def _state(attributes: pb.KeyAttributes) -> str:
    return "Enabled" if attributes.enabled else "Disabled"


def _deleted_until(deleted: pb.DeletedKeyBundle | pb.DeletedKeyItem) -> tuple[str, str]:
    return "Deleted", time_text(deleted.scheduled_purge_date)


def _last(kid: str) -> str:
    return kid.rpartition("/")[2]
