"""Fixtures: boto3 clients that retry as told, and stubs of the three clouds at the plugin's emulator."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from botocore.config import Config

from kms_emulator.embedded import KmsEmulator

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

Client = Callable[..., "KMSClient"]


@pytest.fixture
def client(kms_emulator: KmsEmulator) -> Client:
    """Make a client that tries `attempts` times and waits `read_timeout` seconds for an answer."""

    def make(attempts: int = 1, read_timeout: float = 30.0, **options: Any) -> "KMSClient":
        config = Config(retries={"total_max_attempts": attempts, "mode": "standard"}, read_timeout=read_timeout)
        return kms_emulator.boto3_client("kms", config=config, **options)

    return make


@pytest.fixture
def channel(kms_emulator: KmsEmulator) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(kms_emulator.grpc_endpoint) as channel:
        yield channel
