"""Listing, deleting and proving snapshots, the backup policy and the usage of keys, on the command line."""

import json
from pathlib import Path

import pytest

from keystore.cli import exits
from tests.cli.conftest import Made
from tests.cli.running import Run, keystore
from tests.emulator_process import Emulator


@pytest.fixture
def target(made: Made, tmp_path: Path) -> Path:
    """Two snapshots of one node, the second with an end."""
    assert keystore("snapshot", "create", made.node, tmp_path / "snaps").code == exits.OK
    run = keystore("snapshot", "create", made.node, tmp_path / "snaps", "--keep", "30 days", "--json")
    assert run.json["expires"] is not None
    return tmp_path / "snaps"


def listed(target: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = keystore("snapshot", "list", target, "--json").json["snapshots"]
    return found


def narrow(run: Run) -> bool:
    """Tell whether it fits 80 columns, where it names no place or key: these are never cut."""
    return all(len(line) <= 80 for line in run.out.splitlines() if "/" not in line)


def test_the_list(made: Made, target: Path, tmp_path: Path) -> None:
    run = keystore("snapshot", "list", target)
    lines = run.out.splitlines()
    assert lines[0] == f"Encryption Key ID: Not enabled ({made.key})"
    assert lines[1] == "  The key is now: Enabled"
    assert lines[2].split() == ["SNAPSHOT", "CREATED", "(UTC)", "KIND", "LOGICAL", "UNIQUE", "EXPIRES", "(UTC)"]
    assert lines[3].endswith("never")
    assert narrow(run)
    one, other = listed(target)
    assert (one["kind"], one["expires"], one["logical_bytes"]) == ("on demand", None, 200_000)
    assert one["key_state"] == "Enabled"
    assert (one["customer_managed_key"], one["encryption_key_id"]) == (False, made.key)
    assert other["parent"] == one["snapshot_id"]
    assert other["unique_bytes"] == 0
    (tmp_path / "cmk").rename(tmp_path / "away")
    assert "The key is now: not found (there is no key file" in keystore("snapshot", "list", target).out
    without = keystore("snapshot", "list", target, "--no-kms")
    assert (without.code, "The key is now" in without.out) == (exits.OK, False)


def test_the_list_tells_the_state_at_a_cloud(emulator: Emulator, tmp_path: Path) -> None:
    uri, at = emulator.create_key("aws"), ("--kms-endpoint", emulator.endpoint)
    keystore("init", tmp_path / "node", "--key", uri, *at)
    keystore("snapshot", "create", tmp_path / "node", tmp_path / "snaps", *at)
    emulator.disable(uri)
    run = keystore("snapshot", "list", tmp_path / "snaps", *at)
    assert run.out.splitlines()[:2] == [f"Encryption Key ID: {uri}", "  The key is now: Disabled"]
    assert run.code == exits.OK
    run = keystore("snapshot", "list", tmp_path / "snaps", "--kms-endpoint", "127.0.0.1:1")
    assert "The key is now: unreachable" in run.out
    assert run.code == exits.OK


def test_delete(target: Path) -> None:
    one, other = (str(item["snapshot_id"]) for item in listed(target))
    refused = keystore("snapshot", "delete", target, one)
    assert refused.code == exits.USAGE
    assert "deletes 1 snapshot for good" in refused.err
    assert len(listed(target)) == 2
    assert keystore("snapshot", "delete", target, one, "--yes").out == "1 snapshot deleted, 0 bytes given back.\n"
    assert keystore("snapshot", "delete", target, one, "--yes").code == exits.NOT_THERE
    done = keystore("snapshot", "delete", target, other, "--yes", "--json").json["deleted"]
    assert done[0]["freed_bytes"] > 200_000
    assert sorted(path.name for path in (target / "packs").iterdir()) == []


def test_gc(target: Path) -> None:
    assert keystore("snapshot", "gc", target).out == "0 objects removed, 0 bytes given back.\n"
    old = target / "packs" / f"{0:032x}"
    old.write_bytes(b"left over")
    done = keystore("snapshot", "gc", target, "--json").json
    assert (done["removed"], done["freed_bytes"]) == ([f"packs/{old.name}"], 9)
    assert len(listed(target)) == 2


def test_run_policy(made: Made, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('reference_time = "18:00"\n[hourly]\nevery_hours = 1\nkeep = "1 day"\n')
    run = keystore("snapshot", "run-policy", made.node, tmp_path / "snaps", "--policy", policy, "--json")
    assert run.code == exits.OK
    assert [one["kind"] for one in run.json["due"]] == ["hourly"]
    assert run.json["taken"]["encryption_key_id"] == made.key
    [item] = listed(tmp_path / "snaps")
    assert (item["snapshot_id"], item["kind"]) == (run.json["taken"]["snapshot_id"], "hourly")
    text = keystore("snapshot", "run-policy", made.node, tmp_path / "snaps")
    assert text.code == exits.OK
    assert "next" in text.out


def test_run_policy_on_a_disabled_node(made: Made, tmp_path: Path) -> None:
    (tmp_path / "cmk").rename(tmp_path / "away")
    run = keystore("snapshot", "run-policy", made.node, tmp_path / "snaps", "--json")
    assert (run.code, run.json["ok"], run.json["taken"]) == (exits.KEY_INVALID, False, None)
    assert run.json["passed_over"]["state"] == "disabled"
    (tmp_path / "away").rename(tmp_path / "cmk")
    assert keystore("snapshot", "create", made.node, tmp_path / "snaps").code == exits.OK
    shown = keystore("snapshot", "list", tmp_path / "snaps")
    assert "passed over: the key was disabled at" in shown.out
    kinds = [one["kind"] for one in keystore("snapshot", "list", tmp_path / "snaps", "--json").json["passed_over"]]
    assert kinds  # one or several, by the time of the day
    assert set(kinds) <= {"hourly", "daily", "weekly", "monthly"}


def test_the_drill(made: Made, target: Path, tmp_path: Path) -> None:
    run = keystore("snapshot", "verify", target, "--restore")
    assert run.code == exits.OK
    assert "2 of 2 snapshots can be restored. Keys needed:" in run.out
    assert run.out.splitlines()[-1] == f"  {made.key} (2 snapshots)"
    one = str(listed(target)[0]["snapshot_id"])
    assert len(keystore("snapshot", "verify", target, one, "--restore", "--json").json["snapshots"]) == 1
    (tmp_path / "cmk").rename(tmp_path / "away")
    run = keystore("snapshot", "verify", target, "--restore", "--json")
    assert (run.code, run.json["ok"]) == (exits.KEY_INVALID, False)
    assert "this is final" in run.json["snapshots"][0]["problem"]
    text = keystore("snapshot", "verify", target, "--restore").out
    assert text.count("this is final") == 1, "a reason that several have is told once"
    assert " and 1 more: " in text
    (tmp_path / "away").rename(tmp_path / "cmk")
    for pack in (target / "packs").iterdir():
        pack.write_bytes(pack.read_bytes()[:-1] + b"x")
    assert keystore("snapshot", "verify", target, "--restore").code == exits.DAMAGED
    assert keystore("snapshot", "verify", target).code == exits.USAGE


def test_usage_of_one_key(made: Made, target: Path, tmp_path: Path) -> None:
    usage = ("keys", "usage", made.node, target)
    assert "Not safe to delete: needed by 1 node, 1 snapshot without an end." in keystore(*usage).out
    other = keystore("keys", "create-file", tmp_path / "other", "--json").json["key"]
    none = keystore(*usage, "--key", other, "--json").json
    assert (none["safe_to_delete"], none["keys"]) == (True, [])
    shown = keystore(*usage, "--key", other).out
    assert f"Nothing in these places needs {other}" in shown
    assert "whether there is such a key" in shown

    assert keystore("change-cmk", made.node, other).code == exits.OK
    first, _ = (str(item["snapshot_id"]) for item in listed(target))
    assert keystore("snapshot", "delete", target, first, "--yes").code == exits.OK
    found = keystore(*usage, "--key", made.key, "--json").json
    assert found["safe_to_delete"] is False
    [key] = found["keys"]
    assert key["safe_to_delete_from"] == key["snapshots"][0]["expires"]
    assert "Not safe to delete before" in keystore(*usage, "--key", made.key).out
    remains = keystore(*usage, "--key", made.key, "--still-readable", "--json").json["still_readable"]
    assert [(row["snapshot_id"], row["file"], row["pages"]) for row in remains[0]["readable"]] == [
        (None, "db/file", 13)
    ]
    text = keystore(*usage, "--key", made.key, "--still-readable")
    assert "the node" in text.out
    assert narrow(text), text.out


def test_usage_needs_a_name_that_says_something(made: Made) -> None:
    assert keystore("keys", "usage", made.node, "--key", "cmk").code == exits.USAGE
    assert keystore("keys", "usage", made.node, "--still-readable").code == exits.USAGE
    run = keystore("keys", "usage", made.node, "--key", "aws://us-east-1/alias/cmk", "--json")
    assert run.code == exits.USAGE
    assert "name the key itself" in json.loads(run.out)["error"]["message"]


def test_keep_must_be_a_length_of_time(made: Made, tmp_path: Path) -> None:
    run = keystore("snapshot", "create", made.node, tmp_path / "snaps", "--keep", "soon", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.USAGE, "PolicyError")
    assert not (tmp_path / "snaps").exists()
