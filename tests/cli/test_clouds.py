"""A node whose key is in a cloud, by that cloud's own SDK: the endpoint chooses it, and the KMS decides."""

from pathlib import Path

import pytest

from keystore.cli import exits
from tests.cli.running import keystore
from tests.emulator_process import CLOUDS, Emulator


@pytest.mark.parametrize("cloud", CLOUDS)
def test_node_under_a_key_in_a_cloud(emulator: Emulator, tmp_path: Path, cloud: str) -> None:
    uri = emulator.create_key(cloud)
    env = {
        f"KEYSTORE_{cloud.upper()}_ENDPOINT": emulator.urls[cloud],
        "KEYSTORE_KMS_ENDPOINT": "127.0.0.1:1",
        "KEYSTORE_KMS_CA": emulator.ca,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    before = emulator.calls()[-1].number
    assert keystore("init", tmp_path / "node", "--key", uri, env=env).code == 0
    assert keystore("ls", tmp_path / "node", env=env).code == 0
    sent = [call for call in emulator.calls() if call.number > before and call.plaintext_bytes]
    assert {call.operation for call in sent} == {"Encrypt", "Decrypt"}
    assert {call.plaintext_bytes for call in sent} == {32}
    emulator.disable(uri)
    refused = keystore("ls", tmp_path / "node", env=env)
    assert (refused.code, "Enable the key at the KMS" in refused.err) == (exits.KEY_INVALID, True)
    gone = keystore("ls", tmp_path / "node", "--kms-endpoint", "127.0.0.1:1", env=env)
    assert (gone.code, "Try again later" in gone.err) == (exits.UNREACHABLE, True)
