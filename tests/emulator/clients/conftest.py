"""Fixtures for clients as people have them: an emulator with HTTP, and the environment that leads a client to it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.emulator.clients.environment import REGION, environment
from tests.emulator.running import Running

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


@pytest.fixture
def running(emulator: Running) -> Running:
    emulator.core.reset()
    return emulator


@pytest.fixture
def settings(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment that people are told to set, and keep this machine's own settings out."""
    for name, value in environment(url).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def kms(settings: None) -> Iterator["KMSClient"]:
    """boto3 with nothing but the environment."""
    client = boto3.session.Session().client("kms", region_name=REGION)
    yield client
    client.close()
