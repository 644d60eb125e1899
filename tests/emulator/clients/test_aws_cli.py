"""The AWS command line, unmodified, as a program of its own: a key from its creation to its end."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.clients.environment import environment

TIMEOUT_S = 120
SERVICE_ERROR = 255
"""Exit status of version 1 for an error that a service answered."""

CONTEXT = ("--encryption-context", "purpose=test,empty=")


class Cli:
    """`aws kms …`, answering JSON."""

    def __init__(self, url: str) -> None:
        self._program = Path(sys.executable).with_name("aws")
        self._variables = {**os.environ, **environment(url), "AWS_PAGER": ""}

    def run(self, *arguments: str) -> Any:
        """Return the answer of a command that succeeds."""
        ended = self._start(*arguments)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    def refused(self, code: str, *arguments: str) -> None:
        """Expect the error that AWS answers."""
        ended = self._start(*arguments)
        assert ended.returncode == SERVICE_ERROR, ended.stderr
        assert f"An error occurred ({code}) when calling the" in ended.stderr

    def _start(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(self._program), "kms", *arguments, "--output", "json"]
        return subprocess.run(
            command, capture_output=True, text=True, env=self._variables, timeout=TIMEOUT_S, check=False
        )


@pytest.fixture
def cli(url: str) -> Cli:
    return Cli(url)


def test_life_of_a_key(cli: Cli, tmp_path: Path) -> None:
    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    plain.write_bytes(bytes(range(256)))
    made = cli.run("create-key", "--description", "life of a key", "--tags", "TagKey=a,TagValue=b")
    key_id = made["KeyMetadata"]["KeyId"]
    cli.run("create-alias", "--alias-name", "alias/life", "--target-key-id", key_id)

    encrypted = cli.run("encrypt", "--key-id", "alias/life", "--plaintext", f"fileb://{plain}", *CONTEXT)
    sealed.write_bytes(base64.b64decode(encrypted["CiphertextBlob"]))
    decrypt = ("decrypt", "--ciphertext-blob", f"fileb://{sealed}", *CONTEXT)
    cli.refused("InvalidCiphertextException", *decrypt[:3])

    cli.run("rotate-key-on-demand", "--key-id", key_id)
    rotations = cli.run("list-key-rotations", "--key-id", key_id)["Rotations"]
    assert [rotation["RotationType"] for rotation in rotations] == ["ON_DEMAND"]
    decrypted = cli.run(*decrypt)
    assert base64.b64decode(decrypted["Plaintext"]) == plain.read_bytes()

    cli.run("disable-key", "--key-id", key_id)
    cli.refused("DisabledException", *decrypt)
    cli.run("enable-key", "--key-id", key_id)
    cli.run("schedule-key-deletion", "--key-id", key_id, "--pending-window-in-days", "7")
    cli.refused("KMSInvalidStateException", *decrypt)
    cli.run("cancel-key-deletion", "--key-id", key_id)
    cli.refused("DisabledException", *decrypt)
    cli.run("enable-key", "--key-id", key_id)
    assert cli.run(*decrypt)["Plaintext"] == decrypted["Plaintext"]


def test_listing_follows_all_pages(cli: Cli) -> None:
    """The command line asks for page after page by itself."""
    made = {cli.run("create-key")["KeyMetadata"]["KeyId"] for _ in range(3)}
    assert {key["KeyId"] for key in cli.run("list-keys", "--page-size", "1")["Keys"]} == made
