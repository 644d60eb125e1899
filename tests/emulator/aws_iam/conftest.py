"""Fixtures: the emulator with HTTP, as good as new for each test."""

import pytest

from tests.emulator.aws_iam.world import World
from tests.emulator.running import Running


@pytest.fixture
def world(emulator: Running) -> World:
    emulator.core.reset()
    emulator.core.strict_auth = False
    return World(emulator)
