"""Customer master keys that are key files, for the tests that need no KMS."""

from pathlib import Path

import pytest

from keystore.kms.local import create_key_file


@pytest.fixture
def cmk(tmp_path: Path) -> str:
    create_key_file(tmp_path / "cmk")
    return f"local://{tmp_path / 'cmk'}"


@pytest.fixture
def other_cmk(tmp_path: Path) -> str:
    create_key_file(tmp_path / "other-cmk")
    return f"local://{tmp_path / 'other-cmk'}"
