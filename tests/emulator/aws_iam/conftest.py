"""Fixtures: one emulator with HTTP for a module, as good as new for each test."""

from collections.abc import Iterator

import pytest

from kms_emulator.core import Core
from tests.emulator.aws_iam.world import World
from tests.emulator.running import Running


@pytest.fixture(scope="module")
def emulator() -> Iterator[Running]:
    found = Running(Core(), http=True)
    yield found
    found.stop()


@pytest.fixture
def world(emulator: Running) -> World:
    emulator.core.reset()
    emulator.core.strict_auth = False
    return World(emulator)
