"""The volume layer from the command line."""

from pathlib import Path

import pytest

from tests.cli.running import keystore


@pytest.fixture
def platform(tmp_path: Path) -> str:
    return str(keystore("keys", "create-file", tmp_path / "platform", "--json").json["key"])


def test_a_node_with_the_layer_through_its_life(tmp_path: Path, key: str, platform: str) -> None:
    node, target, source = tmp_path / "node", tmp_path / "snapshots", tmp_path / "source"
    source.write_bytes(b"canary " * 9999)
    made = keystore("init", node, "--key", key, "--volume-key", platform, "--json")
    assert made.json["volume_layer"]["encryption_key_id"] == platform
    assert keystore("import", node, "db/file", source).code == 0
    assert f"volume layer  under {platform}, wrapping 1" in keystore("ls", node).out
    assert keystore("inspect", node, "--json").json["volume"]["encryption_key_id"] == platform
    assert keystore("snapshot", "create", node, target).code == 0
    (listed,) = keystore("snapshot", "list", target, "--json").json["snapshots"]
    assert listed["volume_encryption_key_id"] == platform

    rewrapped = keystore("rewrap-volume", node, key, "--json")
    assert (rewrapped.json["volume_layer"]["generation"], rewrapped.json["volume_layer"]["encryption_key_id"]) == (
        2,
        key,
    )
    usage = keystore("keys", "usage", node, target, "--json").json["keys"]
    needs = {name: len(row["volume_layers"]) for row in usage for name in row["encryption_key_ids"]}
    assert needs == {key: 1, platform: 1}

    restored = keystore("snapshot", "restore", target, "latest", tmp_path / "restored", "--volume-key", key)
    assert restored.code == 0
    Path(platform.removeprefix("local://")).unlink()
    for place in (node, tmp_path / "restored"):
        assert keystore("verify", place).code == 0
    assert keystore("snapshot", "restore", target, "latest", tmp_path / "more").code == 3


def test_what_is_missing_is_told(tmp_path: Path, key: str, platform: str) -> None:
    node = tmp_path / "node"
    assert keystore("init", node, "--key", key).code == 0
    assert keystore("ls", node, "--json").json["volume_layer"] is None
    assert "has no volume layer" in keystore("rewrap-volume", node, platform).err
    layered = tmp_path / "layered"
    assert keystore("init", layered, "--key", key, "--volume-key", platform).code == 0
    (layered / "volume").unlink()
    refused = keystore("ls", layered)
    assert refused.code == 5
    assert f"{layered / 'volume'}, is missing" in refused.err
