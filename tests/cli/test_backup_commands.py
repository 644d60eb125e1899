"""`keystore backup`: the same over the command line, against a real server of the API."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from keystore.cli import exits
from keystore.projects.access import Role
from keystore.projects.key_names import key_identifier
from tests.agents.running import wait_until
from tests.cli.running import Run, keystore
from tests.emulator_process import Emulator
from tests.emulator_process import emulator as emulator
from tests.rest.test_backups import Bench
from tests.rest.test_backups import bench as bench


class Commands:
    """`keystore backup` with one API key."""

    def __init__(self, bench: Bench, role: Role) -> None:
        api = bench.caller(role)
        self._env = {
            "KEYSTORE_API_URL": bench.url,
            "KEYSTORE_API_PUBLIC_KEY": api.public_key,
            "KEYSTORE_API_PRIVATE_KEY": api.private_key,
            "KEYSTORE_PROJECT": bench.rig.project,
        }

    def run(self, *arguments: str | Path, **env: str) -> Run:
        return keystore("backup", *arguments, env={**self._env, **env})

    def json(self, *arguments: str | Path) -> Any:
        done = self.run(*arguments, "--json")
        assert done.code == 0, done.out
        return json.loads(done.out)


@pytest.fixture
def commands(bench: Bench) -> Commands:
    return Commands(bench, Role.GROUP_OWNER)


@pytest.mark.row("R86", "R87", "R88")
def test_snapshots_are_taken_listed_restored_and_deleted(
    bench: Bench, commands: Commands, emulator: Emulator, tmp_path: Path
) -> None:
    key = emulator.create_key("azure")
    bench.rig.configure(key)
    shop = bench.rig.deploy("cli shop", key)
    bench.rig.deploy("cli-plain")
    bench.rig.write(shop, b"then")
    made = commands.json("take", "cli shop", "--keep-days", "2", "--description", "by hand")["snapshot"]
    queued = commands.run("list", "cli shop").out
    assert (made["id"] in queued, "Not enabled" in queued) == (True, False)
    bench.rig.run()
    bench.rig.write(shop, b"now")
    listed = commands.run("list", "cli shop")
    assert listed.code == 0
    assert "ENCRYPTION KEY ID" in listed.out
    (line,) = (line for line in listed.out.splitlines() if made["id"] in line)
    assert line.split()[1:4] == ["on", "demand", "completed"]
    shown = commands.json("list", "cli shop")["snapshots"]
    assert {each["masterKeyUUID"] for each in shown} == {key_identifier(key)}
    assert "Not enabled" in commands.run("list", "cli-plain").out
    assert made["id"] in {each["snapshotId"] for use in commands.json("usage")["keys"] for each in use["snapshots"]}
    assert key_identifier(key)[:12] in commands.run("usage").out
    job = commands.json("restore", "cli shop", "--snapshot", made["id"])["restore"]
    bench.rig.run()
    assert bench.rig.read(shop) == b"then"
    assert [each["id"] for each in commands.json("restores", "cli shop")["restores"]] == [job["id"]]
    assert job["id"] in commands.run("restores", "cli shop").out
    assert commands.run("delete", "cli shop", made["id"]).code == 0
    gone = commands.run("delete", "cli shop", made["id"])
    assert gone.code == exits.NOT_THERE
    assert "SNAPSHOT_NOT_FOUND" in gone.err


def test_who_waits_is_told_how_a_snapshot_and_a_restore_end(
    bench: Bench, commands: Commands, emulator: Emulator
) -> None:
    rig, key = bench.rig, emulator.create_key("aws")
    rig.configure(key)
    shop = rig.deploy("waited", key)
    rig.write(shop, b"then")
    rig.run()

    def waited(*arguments: str, first: Callable[[], None] = lambda: None) -> Run:
        before = len(rig.jobs())
        with ThreadPoolExecutor(1) as pool:
            command = pool.submit(commands.run, *arguments, "--wait")
            wait_until(lambda: len(rig.jobs()) > before, "the order")
            first()
            rig.run()
            return command.result(60)

    taken = waited("take", "waited")
    assert (taken.code, "is completed" in taken.out) == (exits.OK, True)
    (snapshot,) = (word for word in taken.out.split() if len(word) == 24)
    rig.write(shop, b"now")
    failed = waited("restore", "waited", "--snapshot", snapshot, first=lambda: emulator.disable(key))
    assert (failed.code, "is failed: " in failed.out, "is disabled" in failed.out) == (exits.ERROR, True, True)
    assert rig.read(shop) == b"now"
    emulator.enable(key)
    restored = waited("restore", "waited", "--snapshot", snapshot)
    assert (restored.code, restored.err.split()[0], rig.read(shop)) == (exits.OK, "queued", b"then")


def test_a_schedule_is_shown_and_changed_from_a_file(bench: Bench, commands: Commands, tmp_path: Path) -> None:
    bench.rig.deploy("cli-scheduled")
    assert "18:00 UTC" in commands.run("schedule", "cli-scheduled").out
    change = tmp_path / "change.json"
    change.write_text(json.dumps({"referenceHourOfDay": 4}))
    assert commands.json("schedule", "cli-scheduled", "--change", change)["schedule"]["referenceHourOfDay"] == 4
    change.write_text("{")
    assert commands.run("schedule", "cli-scheduled", "--change", change).code == exits.USAGE
    change.write_text(json.dumps({"restoreWindowDays": 400}))
    refused = commands.run("schedule", "cli-scheduled", "--change", change)
    assert refused.code == exits.USAGE
    assert "restoreWindowDays" in refused.err


def test_what_cannot_be_asked_is_told_apart(bench: Bench, commands: Commands) -> None:
    assert commands.run("list", "nowhere").code == exits.NOT_THERE
    assert commands.run("restore", "nowhere").code == exits.USAGE
    assert commands.run("restore", "nowhere", "--snapshot", "0" * 24, "--at", "5").code == exits.USAGE
    missing = commands.run("list", "nowhere", KEYSTORE_API_PRIVATE_KEY="")
    assert missing.code == exits.USAGE
    assert "KEYSTORE_API_PRIVATE_KEY" in missing.err
    wrong = commands.run("list", "nowhere", KEYSTORE_API_PRIVATE_KEY="wrong")
    assert "UNAUTHORIZED" in wrong.err
    assert commands.run("list", "nowhere", KEYSTORE_API_URL="http://example.org").code == exits.USAGE
    assert commands.run("list", "nowhere", KEYSTORE_API_URL="nonsense").code == exits.USAGE
    assert commands.run("list", "nowhere", KEYSTORE_API_URL="http://127.0.0.1:1").code == exits.UNREACHABLE
