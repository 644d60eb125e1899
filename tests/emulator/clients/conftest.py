"""Fixtures for clients as people have them: an emulator with HTTP, and the environment that leads a client to it."""

from collections.abc import Iterator

import boto3
import pytest
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub
from mypy_boto3_kms import KMSClient

from kms_emulator.core import Core
from tests.emulator.clients.environment import REGION, environment
from tests.emulator.running import Running


@pytest.fixture(scope="module")
def emulator() -> Iterator[Running]:
    found = Running(Core(), http=True)
    yield found
    found.stop()


@pytest.fixture
def running(emulator: Running) -> Running:
    emulator.core.reset()
    return emulator


@pytest.fixture
def url(running: Running) -> str:
    assert running.server.url is not None
    return running.server.url


@pytest.fixture
def admin(running: Running) -> AdminStub:
    return AdminStub(running.channel)


@pytest.fixture
def settings(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment that people are told to set, and keep this machine's own settings out."""
    for name, value in environment(url).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def kms(settings: None) -> Iterator[KMSClient]:
    """boto3 with nothing but the environment."""
    client = boto3.session.Session().client("kms", region_name=REGION)
    yield client
    client.close()
