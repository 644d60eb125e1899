"""The pytest plugin in runs of its own: what importing it loads, its fixtures, resets between tests, and xdist."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

HEAVY = {"grpc", "google.protobuf", "cryptography", "boto3", "botocore", "yaml", "uvicorn", "uvloop", "asyncio", "nacl"}
EXAMPLE = Path(__file__).parents[3] / "docs" / "seed-example.yaml"
SUITE = """
import pytest

KEY = {}

@pytest.mark.parametrize("number", range(8))
def test_each_begins_empty(aws_kms_client, kms_emulator, number):
    assert aws_kms_client.list_keys()["Keys"] == []
    key_id = aws_kms_client.create_key()["KeyMetadata"]["KeyId"]
    sealed = aws_kms_client.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
    kms_emulator.clock.advance(days=1)
    kms_emulator.faults.add("throttle", count=1)
    assert aws_kms_client.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
    outcomes = [call.outcome for call in kms_emulator.calls(operation="Decrypt")]
    assert outcomes == ["ThrottlingException", "OK"]

def test_one_server_per_run(kms_emulator, worker_id):
    KEY[worker_id] = kms_emulator.aws_endpoint

def test_one_server_per_run_again(kms_emulator, worker_id):
    assert KEY.get(worker_id, kms_emulator.aws_endpoint) == kms_emulator.aws_endpoint
    assert kms_emulator.calls() == []
"""
SEEDED = """
def test_seed(kms_emulator):
    client = kms_emulator.boto3_client("kms", region_name="eu-west-1")
    assert client.describe_key(KeyId="alias/app")["KeyMetadata"]["Description"] == "the application's key"
"""


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_it_is_an_entry_point() -> None:
    [plugin] = entry_points(group="pytest11", name="kms-emulator")
    assert plugin.value == "kms_emulator.pytest_plugin"


def test_importing_it_imports_nothing_heavy() -> None:
    code = f"import kms_emulator.pytest_plugin, sys; print(sorted({HEAVY} & set(sys.modules)))"
    before = f"import pytest, sys; print(sorted({HEAVY} & set(sys.modules)))"
    loaded, without = (
        subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
        for text in (code, before)
    )
    assert loaded == without
    assert "kms_emulator" not in without


@pytest.mark.parametrize("arguments", [("-n", "2"), ("-n", "0")])
def test_suite_with_a_real_client(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    done = run_pytest(tmp_path, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 passed" in done.stdout


def test_seed_file_of_the_ini_file(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nkms_emulator_seed_file = {EXAMPLE}\n")
    (tmp_path / "test_suite.py").write_text(SEEDED)
    done = run_pytest(tmp_path, "-n", "0")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_missing_seed_file_is_told_by_its_option(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nkms_emulator_seed_file = none.yaml\n")
    (tmp_path / "test_suite.py").write_text(SEEDED)
    done = run_pytest(tmp_path, "-n", "0")
    told = f"UsageError: kms_emulator_seed_file names {tmp_path / 'none.yaml'}, which is not a file"
    assert (done.returncode != 0, told in done.stdout + done.stderr) == (True, True), done.stdout + done.stderr


def test_fixtures_are_shown_with_what_they_do(tmp_path: Path) -> None:
    shown = run_pytest(tmp_path, "--fixtures").stdout
    for name in ("kms_emulator", "aws_kms_client", "azure_key_client", "gcp_kms_client"):
        assert any(line.startswith(f"{name} --") for line in shown.splitlines()), shown


def test_a_fixture_without_its_sdk_names_the_extra(tmp_path: Path) -> None:
    sdks = {"aws_kms_client": "boto3", "azure_key_client": "azure.keyvault.keys", "gcp_kms_client": "google.cloud.kms"}
    (tmp_path / "conftest.py").write_text(f"import sys\n\nsys.modules.update(dict.fromkeys({list(sdks.values())}))\n")
    (tmp_path / "test_suite.py").write_text("".join(f"def test_{name}({name}): pass\n" for name in sdks))
    done = run_pytest(tmp_path, "-n", "0")
    assert f"{len(sdks)} errors" in done.stdout, done.stdout + done.stderr
    for name, sdk in sdks.items():
        told = f"RuntimeError: {sdk} is not installed: pip install 'cmk-keystore[emulator,{name.split('_')[0]}]'"
        assert told in done.stdout
