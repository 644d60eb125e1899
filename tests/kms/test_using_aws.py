"""docs/USING_AWS.md: its example runs against a real emulator, and its tables name what there is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import keystore.errors
from keystore.errors import KmsError
from keystore.kms import aws_boto3, aws_codes, endpoints
from tests.emulator_process import Emulator

GUIDE = (Path(__file__).parents[2] / "docs" / "USING_AWS.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
TIMEOUT_S = 120


def test_example_at_the_emulator(emulator: Emulator, tmp_path: Path) -> None:
    (script,) = (text for text in BLOCKS if "kms-emulator serve" in text)
    served = "kms-emulator serve --port 4710 &\n"
    assert served in script
    here = f"kms-emulator env --endpoint {emulator.endpoint} --aws-url {emulator.url}"
    script = script.replace(served, "").replace("kms-emulator env", here)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], check=True, cwd=tmp_path, env=environment, timeout=TIMEOUT_S
    )
    (call,) = [call for call in emulator.calls() if call.operation == "Encrypt" and call.access_key_id == "test"][-1:]
    assert (call.outcome, call.plaintext_bytes) == ("OK", 32)


def test_tables_name_every_type_of_the_client() -> None:
    named = set(re.findall(r"`(\w+Error)`", GUIDE))
    used = {*aws_codes.CODES.values(), *aws_codes.STATES.values(), *aws_boto3.EXCEPTIONS.values()}
    assert {kind.__name__ for kind in used} == named
    assert all(issubclass(getattr(keystore.errors, name), KmsError) for name in named)


def test_settings_are_named_as_they_are_read() -> None:
    assert endpoints.ENDPOINT_ENVIRONMENTS["aws"] in GUIDE
    assert endpoints.ENDPOINT_ENVIRONMENT in GUIDE
    words = {1: "one", 3: "three"}
    assert f"at most {words[aws_boto3.ATTEMPTS_MAX]} times" in GUIDE
    assert f"{aws_boto3.CONNECT_TIMEOUT_S:.0f} seconds for the connection and {aws_boto3.READ_TIMEOUT_S:.0f}\n" in GUIDE
