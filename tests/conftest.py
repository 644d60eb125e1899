"""Fixtures for all tests."""

from hypothesis import settings

from tests.emulator_process import emulator as emulator

# No test depends on how fast a machine is.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
