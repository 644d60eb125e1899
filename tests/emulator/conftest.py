"""Fixtures: a fresh emulator in this process for each test, and a client for each surface."""

from collections.abc import Iterator

import pytest
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub
from keystore_api.azure_keyvault.v1.azure_keyvault_pb2_grpc import AzureKeyVaultStub

from kms_emulator.core import Core
from tests.emulator.running import Running


@pytest.fixture
def running() -> Iterator[Running]:
    emulator = Running(Core())
    yield emulator
    emulator.stop()


@pytest.fixture
def aws(running: Running) -> AwsKmsStub:
    return AwsKmsStub(running.channel)


@pytest.fixture
def azure(running: Running) -> AzureKeyVaultStub:
    return AzureKeyVaultStub(running.channel)


@pytest.fixture
def admin(running: Running) -> AdminStub:
    return AdminStub(running.channel)
