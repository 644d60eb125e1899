"""Fixtures: the emulator with HTTP, emptied before each test, and boto3 clients of it."""

from typing import TYPE_CHECKING

import pytest

from tests.emulator.aws_http.clients import client
from tests.emulator.running import Running

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


@pytest.fixture
def running(emulator: Running) -> Running:
    emulator.core.reset()
    return emulator


@pytest.fixture
def kms(url: str) -> "KMSClient":
    return client(url)


@pytest.fixture
def raw_kms(url: str) -> "KMSClient":
    """A client that sends whatever it is given."""
    return client(url, parameter_validation=False)
