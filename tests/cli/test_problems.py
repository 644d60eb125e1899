"""Damage and incompleteness, as `ls`, `verify`, `snapshot create` and `snapshot list` tell them."""

from pathlib import Path

import pytest

from keystore.cli import exits
from keystore.demo.story import flip_one_bit
from keystore.kms.connect import connector
from tests.cli.conftest import Made
from tests.cli.running import keystore


@pytest.mark.parametrize("harm", ["missing", "damaged", "rolled back"])
def test_ls_tells_a_bad_store(made: Made, harm: str) -> None:
    older = made.store.read_bytes()
    if harm == "missing":
        made.store.unlink()
    elif harm == "damaged":
        made.store.write_bytes(older[:4096] * 2)
    else:
        assert keystore("verify", made.node).code == 0
        made.store.write_bytes(older)
    run = keystore("ls", made.node, "--json")
    assert (run.code, run.json["ok"]) == (exits.DAMAGED, False)
    assert "db/file" in run.json["files"][0]["problem"]
    assert "th time" not in run.json["files"][0]["problem"]
    run = keystore("ls", made.node)
    assert run.code == exits.DAMAGED
    lines = run.err.splitlines()
    assert lines[0].startswith("problem: ")
    assert 2 <= len(lines) <= 3


def test_a_snapshot_of_a_damaged_page_fails_and_names_it(made: Made, tmp_path: Path) -> None:
    assert keystore("import", made.node, "demo/input", made.source).code == 0
    page_no = flip_one_bit(made.node, connector())
    run = keystore("snapshot", "create", made.node, tmp_path / "snaps", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.DAMAGED, "StoreDamagedError")
    assert f"store demo/input: page {page_no} is damaged" in run.json["error"]["message"]
    assert [path for path in (tmp_path / "snaps").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("harm", ["missing", "cut"])
def test_a_snapshot_that_lost_a_pack_is_incomplete_and_keeps_its_key(made: Made, tmp_path: Path, harm: str) -> None:
    taken = keystore("snapshot", "create", made.node, tmp_path / "snaps", "--json").json["snapshot_id"]
    (pack,) = (tmp_path / "snaps").glob("packs/*")
    if harm == "missing":
        pack.unlink()
    else:
        pack.write_bytes(pack.read_bytes()[:-1])
    run = keystore("snapshot", "list", tmp_path / "snaps", "--json")
    (found,) = run.json["snapshots"]
    assert (run.code, run.json["ok"], found["state"]) == (exits.DAMAGED, False, "incomplete")
    assert pack.name in found["problem"]
    shown = keystore("snapshot", "list", tmp_path / "snaps").out.splitlines()
    assert shown[3].split()[3] == "incomplete"
    assert pack.name in shown[4]
    usage = keystore("keys", "usage", tmp_path / "snaps", "--json").json
    assert [(key["key_version"], len(key["snapshots"])) for key in usage["keys"]] == [(made.key, 1)]
    run = keystore("snapshot", "restore", tmp_path / "snaps", taken, tmp_path / "two", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.DAMAGED, "SnapshotDamagedError")


def test_verify_tells_what_opening_mended(made: Made) -> None:
    """F-21"""
    content = made.store.read_bytes()
    copies = []
    for offset in (0, 4096):
        made.store.write_bytes(content[: offset + 200] + bytes([content[offset + 200] ^ 1]) + content[offset + 201 :])
        run = keystore("verify", made.node, "--json")
        made.store.write_bytes(content)
        if run.code == 0:
            copies.append((offset // 4096, run.json))
            break
        (made.node / "anchors").touch()
    ((copy, told),) = copies
    assert (told["ok"], told["problems"]) == (True, [])
    assert told["notes"][0]["file"] == "db/file"
    assert f"header copy {copy} was invalid" in told["notes"][0]["note"]


def test_damage_gives_one_advice(made: Made) -> None:
    content = made.store.read_bytes()
    for at in (8192 + 40, 8192 + 100):
        made.store.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        (problem,) = keystore("verify", made.node, "--json").json["problems"]
        assert "watermark is damaged" in problem["message"]
        assert problem["message"].count("othing was written") == 1
        assert ".." not in problem["message"]
        assert problem["message"].endswith(". Restore it from a snapshot (keystore snapshot restore --into --file).")
