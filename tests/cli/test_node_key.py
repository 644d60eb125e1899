"""The list of known nodes on the command line."""

from pathlib import Path

import pytest

from keystore.cli import exits
from tests.cli.conftest import Made
from tests.cli.running import keystore


@pytest.fixture
def here(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who knows no node yet."""
    return {"KEYSTORE_KNOWN_NODES": str(tmp_path / "known")}


def test_a_key_is_carried_to_another_machine(made: Made, here: dict[str, str]) -> None:
    shown = keystore("node-key", "show", made.node, "--json").json
    assert (shown["state"], shown["name"]) == ("known", "node")
    assert keystore("node-key", "show", made.node, "--json", env=here).json["state"] == "not known"
    assert "no node is known" in keystore("node-key", "list", env=here).out
    assert keystore("node-key", "trust", shown["node_id"], shown["public_key"], "--name", "n", env=here).code == 0
    (known,) = keystore("node-key", "list", "--json", env=here).json["nodes"]
    assert known == {"node_id": shown["node_id"], "public_key": shown["public_key"], "name": "n"}
    listed = keystore("node-key", "list", env=here).out
    assert shown["public_key"] in listed
    assert max(len(line) for line in listed.splitlines()) <= 80
    assert keystore("node-key", "show", made.node, "--json", env=here).json["state"] == "known"


def test_another_key_is_not_taken_before_the_former_is_forgotten(made: Made, here: dict[str, str]) -> None:
    node_id = keystore("node-key", "show", made.node, "--json").json["node_id"]
    assert keystore("node-key", "trust", node_id, "11" * 32, env=here).code == 0
    assert keystore("node-key", "show", made.node, "--json", env=here).json["state"] == "known under another key"
    run = keystore("node-key", "trust", node_id, "22" * 32, "--json", env=here)
    assert (run.code, run.json["error"]["type"]) == (exits.DAMAGED, "SignerChangedError")
    assert keystore("node-key", "forget", node_id, env=here).code == 0
    assert keystore("node-key", "forget", node_id, "--json", env=here).code == exits.NOT_THERE
    assert keystore("node-key", "trust", node_id, "22" * 32, env=here).code == 0


@pytest.mark.parametrize(
    "arguments", [("trust", "11", "22" * 32), ("trust", "11" * 16, "22"), ("trust", "xx" * 16, "22" * 32)]
)
def test_what_is_no_key_is_refused(arguments: tuple[str, ...], here: dict[str, str], tmp_path: Path) -> None:
    run = keystore("node-key", *arguments, "--json", env=here)
    assert (run.code, run.json["error"]["type"]) == (exits.USAGE, "UsageError")
    assert "hexadecimal digits" in run.json["error"]["message"]
    assert not (tmp_path / "known").exists()


def test_a_name_that_cannot_be_one_is_refused(here: dict[str, str], tmp_path: Path) -> None:
    run = keystore("node-key", "trust", "11" * 16, "22" * 32, "--name", "a\nb", "--json", env=here)
    assert (run.code, run.json["error"]["type"]) == (exits.USAGE, "InputError")
    assert not (tmp_path / "known").exists()
