"""Fixtures: a fresh emulator in this process for each test, and a client for each surface.

Folders whose tests speak HTTP share one emulator for a module, and reset it before each test.
"""

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


@pytest.fixture(scope="module")
def emulator() -> Iterator[Running]:
    """An emulator with HTTP, for all tests of a module."""
    found = Running(Core(), http=True)
    yield found
    found.stop()


@pytest.fixture
def url(running: Running) -> str:
    """Where it speaks AWS's own wire, if it was started with HTTP."""
    assert running.server.url is not None
    return running.server.url


@pytest.fixture
def aws(running: Running) -> AwsKmsStub:
    return AwsKmsStub(running.channel)


@pytest.fixture
def azure(running: Running) -> AzureKeyVaultStub:
    return AzureKeyVaultStub(running.channel)


@pytest.fixture
def admin(running: Running) -> AdminStub:
    return AdminStub(running.channel)
