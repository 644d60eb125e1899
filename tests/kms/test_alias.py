"""An alias that was pointed elsewhere: what was wrapped before still belongs to the key of that day."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub

from keystore.crypto.secret import SecretKey
from keystore.demo.emulator import REGION, EmulatorProcess
from keystore.errors import KeyDisabledError, KeyPendingDeletionError
from keystore.kms.connect import connect

URI = f"aws://{REGION}/alias/moving"
CONTEXT = {"a": "b"}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmulatorProcess(tmp_path_factory.mktemp("emulator") / "log") as process:
        yield process.endpoint


@pytest.fixture
def aws(endpoint: str) -> Iterator[AwsKmsStub]:
    with grpc.insecure_channel(endpoint) as channel:
        yield AwsKmsStub(channel)


def test_the_state_of_the_former_key_decides(endpoint: str, aws: AwsKmsStub, tmp_path: Path) -> None:
    former, present = (aws.CreateKey(pb.CreateKeyRequest(region=REGION)).key_metadata.key_id for _ in range(2))
    aws.CreateAlias(pb.CreateAliasRequest(region=REGION, alias_name="alias/moving", target_key_id=former))
    kms = connect(URI, endpoint)
    with SecretKey.generate() as secret:
        wrapped = kms.wrap(secret, CONTEXT)
        aws.UpdateAlias(pb.UpdateAliasRequest(region=REGION, alias_name="alias/moving", target_key_id=present))
        assert kms.unwrap(wrapped, CONTEXT) == secret
    aws.DisableKey(pb.DisableKeyRequest(region=REGION, key_id=former))
    with pytest.raises(KeyDisabledError):
        kms.unwrap(wrapped, CONTEXT)
    aws.ScheduleKeyDeletion(pb.ScheduleKeyDeletionRequest(region=REGION, key_id=former, pending_window_in_days=7))
    with pytest.raises(KeyPendingDeletionError):
        kms.unwrap(wrapped, CONTEXT)
    kms.close()
