"""Customer master keys that are key files, for the tests that need no KMS."""

from pathlib import Path

import pytest

from keystore.kms.local import create_key_file


def new_key(path: Path) -> str:
    """Make a key file; return its URI."""
    create_key_file(path)
    return f"local://{path}"


@pytest.fixture
def cmk(tmp_path: Path) -> str:
    return new_key(tmp_path / "cmk")


@pytest.fixture
def other_cmk(tmp_path: Path) -> str:
    return new_key(tmp_path / "other-cmk")
