"""Google's own client over TLS, pointed at the emulator by environment variables alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from keystore_api.admin.v1 import admin_pb2
from keystore_api.admin.v1.admin_pb2_grpc import AdminStub

from kms_emulator.core import Core
from tests.emulator.gcp.accounts import email_of, put_account
from tests.emulator.running import WAIT_MAX_S, Running

PROGRAM = """
from google.cloud import kms

client = kms.KeyManagementServiceClient()
ring = client.create_key_ring(parent="projects/p/locations/global", key_ring_id="r", key_ring={})
purpose = kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT
key = client.create_crypto_key(parent=ring.name, crypto_key_id="k", crypto_key={"purpose": purpose})
print(client.decrypt(name=key.name, ciphertext=client.encrypt(name=key.name, plaintext=b"x").ciphertext).plaintext)
"""


@pytest.fixture
def secure() -> Iterator[Running]:
    emulator = Running(Core(), https=True)
    yield emulator
    emulator.stop()


def test_program_is_led_here_by_its_environment(secure: Running, tmp_path: Path) -> None:
    universe = f"localhost:{secure.server.grpc_tls_port}"
    info = put_account(AdminStub(secure.channel), "app", "roles/owner", universe=universe)
    key_file = tmp_path / "app.json"
    key_file.write_text(json.dumps(info))
    secure.core.strict_auth = True
    variables = {
        "GOOGLE_CLOUD_UNIVERSE_DOMAIN": universe,
        "GOOGLE_APPLICATION_CREDENTIALS": str(key_file),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(secure.server.ca),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=WAIT_MAX_S,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("b'x'\n", 0), done.stderr
    calls = AdminStub(secure.channel).ListCalls(admin_pb2.ListCallsRequest(provider="gcp")).calls
    assert {(call.caller, call.outcome) for call in calls} == {(email_of("app"), "OK")}
    assert len(calls) == 4


def test_who_does_not_trust_the_authority_is_not_connected(secure: Running) -> None:
    with grpc.secure_channel(str(secure.server.grpc_tls_endpoint), grpc.ssl_channel_credentials()) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            AdminStub(channel).GetClock(admin_pb2.GetClockRequest(), timeout=WAIT_MAX_S)
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
