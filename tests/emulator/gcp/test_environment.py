"""Google's own client, pointed at the emulator by the environment variables that `kms-emulator env` prints, and them
alone; and what `env` says of places."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.cli.env_gcp import EMAIL
from kms_emulator.cli.exits import UNREACHABLE, USAGE
from kms_emulator.core import Core
from kms_emulator.embedded import KmsEmulator
from tests.emulator.running import PROGRAM as CLI
from tests.emulator.running import WAIT_MAX_S, Running, process, run_cli

PROGRAM = """
import sys
from google.cloud import kms

client = kms.KeyManagementServiceClient(**({"transport": "rest"} if sys.argv[1:] == ["rest"] else {}))
ring = client.create_key_ring(parent="projects/p/locations/global", key_ring_id="r", key_ring={})
purpose = kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT
key = client.create_crypto_key(parent=ring.name, crypto_key_id="k", crypto_key={"purpose": purpose})
print(client.decrypt(name=key.name, ciphertext=client.encrypt(name=key.name, plaintext=b"x").ciphertext).plaintext)
"""


def run_program(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    env = {**os.environ, **variables}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=WAIT_MAX_S, check=False)


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_program_is_led_here_by_its_environment(tmp_path: Path, transport: str) -> None:
    with process(tmp_path, "--strict-auth") as emulator:
        printed = run_cli("env", "--gcp", transport, "--json", endpoint=emulator.endpoint)
        assert printed.returncode == 0, printed.stderr
        variables = json.loads(printed.stdout)
        assert stat.S_IMODE(Path(variables["GOOGLE_APPLICATION_CREDENTIALS"]).stat().st_mode) == 0o600
        done = run_program(variables, transport)
        assert (done.stdout, done.stderr, done.returncode) == ("b'x'\n", "", 0)
        found = run_cli("calls", "--json", endpoint=emulator.endpoint)
        calls = [call for call in json.loads(found.stdout)["calls"] if call["provider"] == "gcp"]
        assert [(call["caller"], call["outcome"]) for call in calls] == [(EMAIL, "OK")] * 4


def test_embedded_emulator_leads_other_processes_here() -> None:
    with KmsEmulator() as kms:
        done = run_program(kms.environment(gcp="rest"), "rest")
        assert (done.stdout, len(kms.calls(provider="gcp", caller=EMAIL))) == ("b'x'\n", 4), done.stderr
        variables = kms.environment(gcp="grpc")
        assert "GOOGLE_CLOUD_UNIVERSE_DOMAIN" not in kms.environment()
        with pytest.raises(ValueError, match="gcp must be one of grpc, rest"):
            kms.environment(gcp="pigeon")
    assert not Path(variables["GOOGLE_APPLICATION_CREDENTIALS"]).parent.exists()


def test_env_names_the_places_that_the_server_says(tmp_path: Path) -> None:
    with process(tmp_path) as emulator:
        found = json.loads(run_cli("env", "--json", endpoint=emulator.endpoint).stdout)
        assert found["AWS_ENDPOINT_URL_KMS"] == emulator.ready["aws"]
        bundle = Path(str(emulator.ready["ca"])).with_name("ca-bundle.pem")
        assert (found["VAULT_URL"], found["SSL_CERT_FILE"]) == (emulator.ready["azure"], str(bundle))
        assert not [name for name in found if name.startswith("GOOGLE_")]


def test_env_names_nothing_that_is_not_served() -> None:
    emulator = Running(Core())
    try:
        found = json.loads(run_cli("env", "--json", endpoint=emulator.server.endpoint).stdout)
        assert set(found) == {"KMS_EMULATOR_ENDPOINT", "KEYSTORE_KMS_ENDPOINT", "KMS_EMULATOR_HOST"}
        refused = run_cli("env", "--gcp", "grpc", endpoint=emulator.server.endpoint)
        assert (refused.returncode, "not served" in refused.stderr) == (USAGE, True)
        assert AdminStub(emulator.channel).ListCalls(admin_pb2.ListCallsRequest()).total == 0
    finally:
        emulator.stop()


def test_env_waits_for_the_server(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = [*CLI, "env", "--wait", str(WAIT_MAX_S), "--ready-file", str(ready), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting, process(tmp_path) as emulator:
        found = json.loads(waiting.communicate(timeout=WAIT_MAX_S)[0])
        assert (waiting.returncode, found["KMS_EMULATOR_ENDPOINT"]) == (0, emulator.endpoint)


def test_env_does_not_wait_for_ever(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    none = run_cli("env", "--wait", "0.1", "--ready-file", str(ready))
    assert (none.returncode, "there is no ready file" in none.stderr) == (UNREACHABLE, True)
    emulator = Running(Core())
    emulator.stop()
    gone = run_cli("env", "--wait", "0.1", endpoint=emulator.server.endpoint)
    assert (gone.returncode, "no emulator answers at" in gone.stderr) == (UNREACHABLE, True)


def test_key_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with process(tmp_path) as emulator:
        path = tmp_path / "none" / "key.json"
        refused = run_cli("env", "--gcp", "grpc", "--gcp-key-file", str(path), endpoint=emulator.endpoint)
        assert (refused.stdout, f"key file {path} cannot be written" in refused.stderr) == ("", True)


def test_places_with_spaces_reach_the_shell_whole(tmp_path: Path) -> None:
    ca = tmp_path / "a place with spaces" / "ca.pem"
    printed = run_cli("env", "--endpoint", "127.0.0.1:9", "--ca", str(ca)).stdout
    script = f'{printed}\nprintf %s "$NODE_EXTRA_CA_CERTS"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == str(ca)
