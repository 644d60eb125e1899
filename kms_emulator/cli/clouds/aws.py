"""The `key` commands at the AWS shape."""

import grpc
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub

from kms_emulator.cli.clouds.row import KeyRow, time_text
from kms_emulator.cli.endpoint import TIMEOUT_S
from kms_emulator.cli.uris import AwsUri

PAGES_MAX = 1000
"""LIMIT: pages of 1000 keys that a list asks for."""


class AwsKeys:
    """Keys of one region for `create` and `list`; the region of the URI for everything else."""

    def __init__(self, channel: grpc.Channel, region: str) -> None:
        self._stub, self._region = AwsKmsStub(channel), region

    def create(self, alias: str, description: str) -> KeyRow:
        request = pb.CreateKeyRequest(region=self._region, description=description)
        key_id = self._stub.CreateKey(request, timeout=TIMEOUT_S).key_metadata.key_id
        if alias:
            name = alias if alias.startswith("alias/") else f"alias/{alias}"
            named = pb.CreateAliasRequest(region=self._region, alias_name=name, target_key_id=key_id)
            self._stub.CreateAlias(named, timeout=TIMEOUT_S)
        return self._row(AwsUri(self._region, key_id))

    def rows(self) -> list[KeyRow]:
        rows: list[KeyRow] = []
        marker = ""
        for _ in range(PAGES_MAX):
            request = pb.ListKeysRequest(region=self._region, limit=1000, marker=marker or None)
            reply = self._stub.ListKeys(request, timeout=TIMEOUT_S)
            rows += [self._row(AwsUri(self._region, key.key_id)) for key in reply.keys]
            marker = reply.next_marker
            if not marker:
                break
        return rows

    def enable(self, uri: AwsUri) -> KeyRow:
        self._stub.EnableKey(pb.EnableKeyRequest(region=uri.region, key_id=self._key_id(uri)), timeout=TIMEOUT_S)
        return self._row(uri)

    def disable(self, uri: AwsUri) -> KeyRow:
        self._stub.DisableKey(pb.DisableKeyRequest(region=uri.region, key_id=self._key_id(uri)), timeout=TIMEOUT_S)
        return self._row(uri)

    def schedule_deletion(self, uri: AwsUri, days: int | None) -> KeyRow:
        request = pb.ScheduleKeyDeletionRequest(
            region=uri.region, key_id=self._key_id(uri), pending_window_in_days=30 if days is None else days
        )
        self._stub.ScheduleKeyDeletion(request, timeout=TIMEOUT_S)
        return self._row(uri)

    def cancel_deletion(self, uri: AwsUri) -> KeyRow:
        request = pb.CancelKeyDeletionRequest(region=uri.region, key_id=self._key_id(uri))
        self._stub.CancelKeyDeletion(request, timeout=TIMEOUT_S)
        return self._row(uri)

    def rotate(self, uri: AwsUri) -> KeyRow:
        request = pb.RotateKeyOnDemandRequest(region=uri.region, key_id=self._key_id(uri))
        self._stub.RotateKeyOnDemand(request, timeout=TIMEOUT_S)
        return self._row(uri)

    def _key_id(self, uri: AwsUri) -> str:
        """Return what AWS takes where it takes no alias: the key behind it."""
        if "alias/" not in uri.key_id:
            return uri.key_id
        request = pb.DescribeKeyRequest(region=uri.region, key_id=uri.key_id)
        return self._stub.DescribeKey(request, timeout=TIMEOUT_S).key_metadata.key_id

    def _row(self, uri: AwsUri) -> KeyRow:
        request = pb.DescribeKeyRequest(region=uri.region, key_id=uri.key_id)
        found = self._stub.DescribeKey(request, timeout=TIMEOUT_S).key_metadata
        return KeyRow(
            provider="aws",
            uri=str(AwsUri(uri.region, found.key_id)),
            state=found.key_state,
            key_id=found.arn,
            key_version=found.current_key_material_id,
            created_at=time_text(found.creation_date),
            ends_at=time_text(found.deletion_date),
        )
