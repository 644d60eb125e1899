"""The real program as its own process: start, signals, kill -9 in the middle of changes, one owner of a directory."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub
from keystore_api.aws_kms.v1 import aws_kms_pb2 as pb
from keystore_api.aws_kms.v1.aws_kms_pb2_grpc import AwsKmsStub
from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2
from keystore_api.azure_keyvault.v1.azure_keyvault_pb2_grpc import AzureKeyVaultStub

from tests.emulator.running import WAIT_MAX_S, process, run_cli


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_zero(tmp_path: Path, number: signal.Signals) -> None:
    with process(tmp_path) as emulator:
        here = emulator.endpoint
        aws = emulator.ready["aws"]
        assert aws is not None
        assert aws.startswith("http://127.0.0.1:")
        azure, ca = str(emulator.ready["azure"]), str(emulator.ready["ca"])
        assert azure.startswith("https://127.0.0.1:")
        assert Path(ca).read_text().startswith("-----BEGIN CERTIFICATE-----")
        assert {path.name for path in Path(ca).parent.iterdir()} == {"ca.pem", "ca-bundle.pem"}
        secure = str(emulator.ready["gcp_tls"])
        assert secure.startswith("127.0.0.1:")
        assert emulator.ready == {"aws": aws, "azure": azure, "gcp_tls": secure, "ca": ca} | dict.fromkeys(
            ("gcp", "grpc", "admin"), here
        )
        assert here.startswith("127.0.0.1:")
        code, out, error = emulator.end(number)
    assert (code, error) == (0, "")
    assert out.splitlines()[-1] == "Ready."
    assert f"export KEYSTORE_KMS_ENDPOINT={here}" in out
    assert f"export AWS_ENDPOINT_URL_KMS={aws}" in out
    assert not emulator.ready_file.exists()


def test_it_ends_although_a_client_waits(tmp_path: Path) -> None:
    with process(tmp_path) as emulator, grpc.insecure_channel(emulator.endpoint) as channel:
        request = azure_keyvault_pb2.CreateKeyRequest(vault="contoso", name="big", key_size=4096)
        pending = AzureKeyVaultStub(channel).CreateKey.future(request)
        AwsKmsStub(channel).CreateKey(pb.CreateKeyRequest())
        code, _, error = emulator.end(signal.SIGTERM)
        assert (code, error) == (0, "")
        assert pending.exception() is None or isinstance(pending.exception(), grpc.RpcError)


def test_restart_loses_nothing(tmp_path: Path) -> None:
    data = ["--data-dir", str(tmp_path / "data")]
    with process(tmp_path, *data) as emulator, grpc.insecure_channel(emulator.endpoint) as channel:
        aws = AwsKmsStub(channel)
        key_id = aws.CreateKey(pb.CreateKeyRequest()).key_metadata.key_id
        sealed = aws.Encrypt(pb.EncryptRequest(key_id=key_id, plaintext=b"secret")).ciphertext_blob
        aws.RotateKeyOnDemand(pb.RotateKeyOnDemandRequest(key_id=key_id))
        aws.ScheduleKeyDeletion(pb.ScheduleKeyDeletionRequest(key_id=key_id))
        AdminStub(channel).AdvanceClock(admin_pb2.AdvanceClockRequest(by=Duration(seconds=29 * 86_400)))
        before = aws.DescribeKey(pb.DescribeKeyRequest(key_id=key_id))
        assert emulator.end(signal.SIGTERM)[0] == 0
    with process(tmp_path, *data) as emulator, grpc.insecure_channel(emulator.endpoint) as channel:
        aws = AwsKmsStub(channel)
        assert aws.DescribeKey(pb.DescribeKeyRequest(key_id=key_id)) == before
        clock = AdminStub(channel).GetClock(admin_pb2.GetClockRequest())
        assert clock.offset.seconds == 29 * 86_400
        aws.CancelKeyDeletion(pb.CancelKeyDeletionRequest(key_id=key_id))
        aws.EnableKey(pb.EnableKeyRequest(key_id=key_id))
        assert aws.Decrypt(pb.DecryptRequest(ciphertext_blob=sealed)).plaintext == b"secret"


def test_second_process_on_a_directory_is_refused(tmp_path: Path) -> None:
    data = ["--data-dir", str(tmp_path / "data")]
    with process(tmp_path, *data) as emulator:
        second = run_cli("serve", "--port", "0", *data)
        assert second.returncode == 7
        assert f"in use by process {emulator.popen.pid}" in second.stderr


def test_used_port_is_refused(tmp_path: Path) -> None:
    with process(tmp_path) as emulator:
        port = emulator.endpoint.rpartition(":")[2]
        second = run_cli("serve", "--port", port)
        assert (second.returncode, second.stdout) == (7, "")
        assert second.stderr.startswith(f"error: cannot listen on 127.0.0.1 port {port}: in use")


def test_unusable_paths_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    as_dir = run_cli("serve", "--port", "0", "--data-dir", str(tmp_path / "file" / "data"))
    assert (as_dir.returncode, "cannot be used" in as_dir.stderr) == (7, True)
    no_folder = run_cli("serve", "--port", "0", "--ready-file", str(tmp_path / "none" / "ready.json"), "--json")
    assert no_folder.returncode == 7
    assert "cannot be written" in json.loads(no_folder.stdout)["error"]["message"]
    assert (tmp_path / "file").read_text() == "mine"


def test_other_hosts_are_warned_of(tmp_path: Path) -> None:
    with process(tmp_path, "--host", "0.0.0.0") as emulator:  # noqa: S104 - the warning is what is tested
        code, _, error = emulator.end(signal.SIGTERM)
    assert code == 0
    assert error.startswith("warning: 0.0.0.0 can be reached from other machines")


def test_nothing_heavy_is_imported_to_serve() -> None:
    heavy = "{'numpy', 'google.cloud', 'requests', 'rich.progress'}"
    assert run_python(f"import sys, kms_emulator.cli.serve; print(len({heavy} & set(sys.modules)))") == "0\n"


def test_google_client_and_our_messages_load_in_one_process_in_either_order() -> None:
    ours, theirs = "keystore_api.google_kms.v1.service_pb2", "google.cloud.kms"
    for first, second in ((ours, theirs), (theirs, ours)):
        assert run_python(f"import {first}, {second}; print('both')") == "both\n"


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_MAX_S, check=True)
    return done.stdout
