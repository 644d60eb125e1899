"""Fixtures for all tests."""

from tests.emulator_process import emulator as emulator
