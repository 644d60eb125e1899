"""Customer keys on and off from the command line."""

from pathlib import Path

import pytest

from tests.cli.running import keystore
from tests.key_files import new_key


@pytest.fixture
def node(tmp_path: Path, key: str) -> Path:
    node, source = tmp_path / "node", tmp_path / "source"
    source.write_bytes(b"canary " * 9999)
    assert keystore("init", node, "--key", key).code == 0
    assert keystore("import", node, "db/file", source).code == 0
    return node


def exported(node: Path, tmp_path: Path) -> bytes:
    assert keystore("export", node, "db/file", tmp_path / "out", "--overwrite").code == 0
    return (tmp_path / "out").read_bytes()


def test_on_and_off(node: Path, tmp_path: Path, key: str) -> None:
    customer, platform = new_key(tmp_path / "customer"), new_key(tmp_path / "platform")
    on = keystore("convert", node, "--cmk", customer, "--volume-key", platform, "--json")
    assert on.code == 0, on.err
    assert (on.json["master_key"]["encryption_key_id"], on.json["master_key"]["generation"]) == (customer, 2)
    assert on.json["volume_layer"]["encryption_key_id"] == platform
    assert (on.json["files_moved"], on.json["data_keys_destroyed"], on.json["already_done"]) == (1, 1, False)
    assert exported(node, tmp_path) == b"canary " * 9999
    assert b"CMKPAGES" not in next(node.rglob("*.store")).read_bytes()
    again = keystore("convert", node, "--cmk", customer, "--volume-key", platform)
    assert "nothing was left to do" in again.out
    assert keystore("convert", node, "--cmk", customer, "--json").json["already_done"]
    off = keystore("convert", node, "--cmk", key, "--no-volume-key")
    assert off.code == 0, off.err
    assert f"{customer} -> {key}" in off.out
    assert "volume layer         none" in off.out
    listed = keystore("ls", node, "--json").json
    assert (listed["volume_layer"], listed["converting"]) == (None, False)
    assert exported(node, tmp_path) == b"canary " * 9999
    assert keystore("verify", node).code == 0


def test_what_cannot_be_is_refused(node: Path, tmp_path: Path) -> None:
    before = (node / "keystore").read_bytes()
    assert keystore("convert", node).code == 2
    both = keystore("convert", node, "--cmk", "local:///x", "--volume-key", "local:///y", "--no-volume-key")
    assert (both.code, "exclude each other" in both.err) == (2, True)
    assert keystore("convert", node, "--cmk", "nonsense").code == 2
    assert keystore("convert", node, "--cmk", f"local://{tmp_path / 'nowhere'}").code == 3
    assert keystore("convert", tmp_path / "nowhere", "--cmk", "local:///x").code == 6
    assert (node / "keystore").read_bytes() == before


def test_what_is_damaged_is_told_and_the_rest_goes_on(node: Path, tmp_path: Path) -> None:
    (tmp_path / "second").write_bytes(b"second " * 999)
    assert keystore("import", node, "db/second", tmp_path / "second").code == 0
    lost = keystore("ls", node, "--json").json["files"][0]
    assert lost["name"] == "file"
    (path,) = node.rglob(f"{lost['store_id']}.store")
    path.unlink()
    customer = new_key(tmp_path / "customer")
    refused = keystore("convert", node, "--cmk", customer)
    assert (refused.code, "db/file is missing" in refused.err) == (5, True)
    listed = keystore("ls", node)
    assert "under way" in listed.out
    assert keystore("rm", node, "db/file", "--yes").code == 0
    done = keystore("convert", node, "--cmk", customer, "--json")
    assert (done.code, done.json["data_keys_destroyed"]) == (0, 1)
    assert not keystore("ls", node, "--json").json["converting"]
