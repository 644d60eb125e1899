"""Bad input: a clear error with its exit code, no traceback, and nothing lost."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystore.cli import exits
from keystore.demo.emulator import CloudKeys, EmulatorProcess
from keystore.errors import PageRangeError
from tests.cli.conftest import Made
from tests.cli.running import PROGRAM, TIMEOUT_S, Run, environment, keystore, process, start


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    with EmulatorProcess(tmp_path_factory.mktemp("emulator") / "log") as process:
        yield process


def refused(run: Run, code: int, kind: str, *words: str) -> None:
    """Assert that a command with --json was refused in this way."""
    assert run.code == code, run
    error = run.json["error"]
    assert (run.json["ok"], error["type"], error["exit_code"]) == (False, kind, code)
    for word in words:
        assert word in error["message"]


def untouched(made: Made, tmp_path: Path) -> None:
    """Assert that the node still has its file."""
    assert keystore("export", made.node, "db/file", tmp_path / "still", "--overwrite").code == 0
    assert (tmp_path / "still").read_bytes() == made.source.read_bytes()


@pytest.mark.parametrize(
    "uri", ["", "nonsense", "aws://", "gcp://projects/p", "azure://v/k", "local://relative", "a\nb"]
)
def test_a_key_uri_that_cannot_be_parsed(made: Made, tmp_path: Path, uri: str) -> None:
    refused(keystore("init", tmp_path / "new", "--key", uri, "--json"), exits.USAGE, "KeyUriError")
    assert not (tmp_path / "new").exists()
    refused(keystore("change-cmk", made.node, uri, "--json"), exits.USAGE, "KeyUriError")
    untouched(made, tmp_path)


@pytest.mark.parametrize(
    "uri",
    [
        "aws://us-east-1/11111111-2222-3333-4444-555555555555",
        "azure://no-vault/no-key/00000000000000000000000000000000",
        "gcp://projects/p/locations/l/keyRings/r/cryptoKeys/k",
    ],
)
def test_an_unknown_key(made: Made, tmp_path: Path, emulator: EmulatorProcess, uri: str) -> None:
    endpoint = ("--kms-endpoint", emulator.endpoint, "--json")
    refused(keystore("init", tmp_path / "new", "--key", uri, *endpoint), exits.KEY_INVALID, "KeyNotFoundError", uri)
    refused(keystore("change-cmk", made.node, uri, *endpoint), exits.KEY_INVALID, "KeyNotFoundError")
    untouched(made, tmp_path)


def test_an_unreachable_kms(made: Made, tmp_path: Path) -> None:
    uri = "aws://us-east-1/11111111-2222-3333-4444-555555555555"
    run = keystore("change-cmk", made.node, uri, "--json", env={"KEYSTORE_KMS_ENDPOINT": "127.0.0.1:1"})
    refused(run, exits.UNREACHABLE, "KmsUnreachableError")
    elsewhere = "gcp://projects/p/locations/l/keyRings/r/cryptoKeys/k"
    nobody = {"NO_GCE_CHECK": "true", "HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path)}
    run = process("change-cmk", made.node, elsewhere, "--json", env=nobody)
    refused(run, exits.UNREACHABLE, "KmsUnreachableError", "name an emulator with KEYSTORE_KMS_ENDPOINT")
    run = keystore("change-cmk", made.node, uri, "--json", "--kms-endpoint", "example.org:80")
    refused(run, exits.USAGE, "KmsEndpointError", "not on this machine")
    untouched(made, tmp_path)


def test_a_disabled_key(tmp_path: Path, emulator: EmulatorProcess) -> None:
    with CloudKeys(emulator.endpoint) as keys:
        key = keys.create("aws", "cli")
        environ = {"KEYSTORE_KMS_ENDPOINT": emulator.endpoint}
        assert keystore("init", tmp_path / "n", "--key", key, env=environ).code == 0
        assert keystore("snapshot", "create", tmp_path / "n", tmp_path / "s", env=environ).code == 0
        keys.set_enabled(key, enabled=False)
    refused(keystore("ls", tmp_path / "n", "--json", env=environ), exits.KEY_INVALID, "KeyDisabledError", key)
    run = keystore("snapshot", "restore", tmp_path / "s", "latest", tmp_path / "two", "--json", env=environ)
    refused(run, exits.KEY_INVALID, "KeyDisabledError", key, "Re-enable the key")
    assert not (tmp_path / "two").exists()


def test_a_file_that_is_not_a_store(made: Made, tmp_path: Path) -> None:
    genuine = made.store.read_bytes()
    made.store.write_bytes(b"not a store at all" * 4000)
    refused(keystore("export", made.node, "db/file", tmp_path / "out", "--json"), exits.DAMAGED, "NotAStoreError")
    assert not (tmp_path / "out").exists()
    run = keystore("verify", made.node, "--json")
    assert (run.code, run.json["ok"], run.json["problems"][0]["type"]) == (exits.DAMAGED, False, "NotAStoreError")
    assert keystore("ls", made.node).code == exits.DAMAGED
    refused(keystore("inspect", made.store, "--json"), exits.USAGE, "InputError", "no page store")
    made.store.write_bytes(genuine)
    untouched(made, tmp_path)


def test_a_store_that_was_cut_or_edited(made: Made, tmp_path: Path) -> None:
    genuine = made.store.read_bytes()
    store = made.store
    for damaged in (genuine[:20_000], genuine[: len(genuine) // 2], b""):
        store.write_bytes(damaged)
        run = keystore("export", made.node, "db/file", tmp_path / "out", "--json")
        assert run.code == exits.DAMAGED, run
        assert not (tmp_path / "out").exists()
    store.unlink()
    refused(keystore("export", made.node, "db/file", tmp_path / "out", "--json"), exits.DAMAGED, "StoreMissingError")
    (made.node / "databases" / "stranger").touch()
    assert keystore("verify", made.node, "--json").json["unknown_files"] == [str(made.node / "databases" / "stranger")]


@pytest.mark.parametrize("damage", ["cut", "edited", "empty", "missing"])
def test_a_damaged_keystore_file(made: Made, tmp_path: Path, damage: str) -> None:
    path = made.node / "keystore"
    genuine = path.read_bytes()
    if damage == "missing":
        path.unlink()
        kind = "KeyFileMissingError"
    else:
        middle = len(genuine) // 2
        edited = genuine[:middle] + bytes([genuine[middle] ^ 1]) + genuine[middle + 1 :]
        path.write_bytes({"cut": genuine[:-7], "edited": edited, "empty": b""}[damage])
        kind = "KeyFileDamagedError"
    for command in ("ls", "rotate-master", "verify"):
        refused(keystore(command, made.node, "--json"), exits.DAMAGED, kind, str(path))
    assert keystore("init", made.node, "--key", made.key, "--json").code == exits.EXISTS
    path.write_bytes(genuine)
    untouched(made, tmp_path)


def test_a_damaged_snapshot(made: Made, tmp_path: Path) -> None:
    taken = keystore("snapshot", "create", made.node, tmp_path / "snaps", "--json").json["snapshot_id"]
    manifest = tmp_path / "snaps" / "manifests" / taken
    (pack,) = (tmp_path / "snaps" / "packs").iterdir()
    for path in (manifest, pack):
        genuine = path.read_bytes()
        for damaged in (genuine[:-1], genuine[:-1] + bytes([genuine[-1] ^ 1])):
            path.write_bytes(damaged)
            run = keystore("snapshot", "restore", tmp_path / "snaps", taken, tmp_path / "two", "--json")
            refused(run, exits.DAMAGED, "SnapshotDamagedError", taken)
            assert [entry.name for entry in tmp_path.iterdir() if "two" in entry.name] == []
        path.write_bytes(genuine)
    assert keystore("inspect", manifest, "--json").code == 0
    manifest.write_bytes(b"CMKSNAPS")
    assert keystore("inspect", manifest, "--json").code == exits.DAMAGED
    assert keystore("snapshot", "list", tmp_path / "snaps", "--json").json["snapshots"][0]["state"] == "damaged"


def test_what_is_not_there(made: Made, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    refused(keystore("ls", nowhere, "--json"), exits.NOT_THERE, "NodeMissingError")
    refused(keystore("ls", tmp_path, "--json"), exits.NOT_THERE, "NodeMissingError")
    refused(keystore("export", made.node, "db/x", nowhere, "--json"), exits.NOT_THERE, "NameUnknownError")
    refused(keystore("export", made.node, "x/file", nowhere, "--json"), exits.NOT_THERE, "NameUnknownError")
    refused(keystore("snapshot", "list", nowhere, "--json"), exits.NOT_THERE, "PathMissingError")
    run = keystore("snapshot", "restore", tmp_path, "latest", nowhere, "--json")
    refused(run, exits.NOT_THERE, "SnapshotMissingError", "snapshot list")
    refused(keystore("import", made.node, "db/new", nowhere, "--json"), exits.NOT_THERE, "PathMissingError")
    refused(keystore("inspect", nowhere, "--json"), exits.NOT_THERE, "PathMissingError")
    assert not nowhere.exists()
    untouched(made, tmp_path)


def test_what_is_there_already(made: Made, tmp_path: Path) -> None:
    refused(keystore("init", made.node, "--key", made.key, "--json"), exits.EXISTS, "NodeExistsError")
    taken = keystore("import", made.node, "db/file", made.source, "--json")
    refused(taken, exits.EXISTS, "NameTakenError")
    assert "keystore rm" in taken.json["error"]["message"]
    keystore("snapshot", "create", made.node, tmp_path / "snaps")
    run = keystore("snapshot", "restore", tmp_path / "snaps", "latest", made.node, "--json")
    refused(run, exits.EXISTS, "NodeExistsError")
    refused(
        keystore("keys", "create-file", made.key.removeprefix("local://"), "--json"), exits.EXISTS, "PathTakenError"
    )
    untouched(made, tmp_path)


def test_two_processes_on_one_node(made: Made, tmp_path: Path) -> None:
    holder = start("import", made.node, "db/slow", "-")
    try:
        feed(holder, 4 << 20)
        refused(process("ls", made.node, "--json"), exits.LOCKED, "NodeLockedError", str(holder.pid))
    finally:
        assert holder.stdin is not None
        holder.stdin.close()
        assert holder.wait(TIMEOUT_S) == 0
        close_pipes(holder)
    untouched(made, tmp_path)


def test_passphrases(tmp_path: Path) -> None:
    uri, node = "local+passphrase:///mine", tmp_path / "node"
    refused(keystore("init", node, "--key", uri, "--json"), exits.KEY_INVALID, "PassphraseError")
    assert keystore("init", node, "--key", uri, env={"KEYSTORE_PASSPHRASE": "right horse"}).code == 0
    assert keystore("ls", node, env={"KEYSTORE_PASSPHRASE": "right horse"}).code == 0
    wrong = keystore("ls", node, "--json", env={"KEYSTORE_PASSPHRASE": "wrong horse"})
    refused(wrong, exits.KEY_INVALID, "PassphraseError")
    assert "horse" not in wrong.out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, exits.INTERRUPTED), (signal.SIGTERM, exits.TERMINATED)])
def test_a_signal_in_the_middle_of_an_import(made: Made, tmp_path: Path, number: signal.Signals, code: int) -> None:
    running = start("import", made.node, "db/half", "-", "--json")
    feed(running, 8 << 20)
    running.send_signal(number)
    out, err = running.communicate(timeout=TIMEOUT_S)
    assert running.returncode == code, (out, err)
    assert b"Traceback" not in err
    listed = keystore("ls", made.node, "--json").json
    assert [file["name"] for file in listed["files"]] == ["file"]
    assert len(list(made.node.glob("databases/*/*"))) == 1
    assert keystore("verify", made.node, "--json").json["ok"] is True
    assert keystore("import", made.node, "db/half", made.source).code == 0
    untouched(made, tmp_path)


LITTLE_ROOM = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))
os.execv(sys.argv[1], sys.argv[1:])
"""


def with_little_room(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run `keystore` where no file can grow beyond 2 MiB: what a full disk looks like to it."""
    command = [sys.executable, "-c", LITTLE_ROOM, *PROGRAM, *map(str, arguments), "--json"]
    return subprocess.run(command, check=False, capture_output=True, timeout=TIMEOUT_S, env=environment())


def test_no_room_in_the_middle_of_an_import(made: Made, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(1 << 20) * 8)
    done = with_little_room("import", made.node, "db/big", big)
    assert (done.returncode, done.stderr) == (exits.ERROR, b""), done
    assert f"no space for db/big on the device of {made.node}" in json.loads(done.stdout)["error"]["message"]
    assert [file["name"] for file in keystore("ls", made.node, "--json").json["files"]] == ["file"]
    assert len(list(made.node.glob("databases/*/*"))) == 1
    untouched(made, tmp_path)


def test_no_room_for_a_snapshot_a_restore_or_an_export(made: Made, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(1 << 20) * 8)
    assert keystore("import", made.node, "db/big", big).code == 0
    done = with_little_room("snapshot", "create", made.node, tmp_path / "snaps")
    assert (done.returncode, done.stderr) == (exits.ERROR, b""), done
    assert [path for path in tmp_path.glob("snaps/**/*") if path.is_file()] == []
    assert keystore("snapshot", "create", made.node, tmp_path / "snaps").code == 0
    done = with_little_room("snapshot", "restore", tmp_path / "snaps", "latest", tmp_path / "restored")
    assert (done.returncode, done.stderr) == (exits.ERROR, b""), done
    assert f"no space for {tmp_path / 'restored'} on its device" in json.loads(done.stdout)["error"]["message"]
    done = with_little_room("export", made.node, "db/big", tmp_path / "restored.bin")
    assert (done.returncode, done.stderr) == (exits.ERROR, b""), done
    assert [entry.name for entry in tmp_path.iterdir() if "restored" in entry.name] == []
    assert keystore("verify", made.node, "--json").json["ok"] is True
    untouched(made, tmp_path)


def test_usage_errors_are_json_too() -> None:
    for arguments in (("frobnicate",), ("init",), ("ls", "--frobnicate"), ("import", "n", "no-slash", "f")):
        refused(keystore(*arguments, "--json"), exits.USAGE, "UsageError")
        plain = process(*arguments)
        assert (plain.code, plain.out) == (exits.USAGE, "")
        assert "Error" in plain.err


def test_a_closed_pipe_is_no_traceback(made: Made) -> None:
    running = start("ls", made.node, "--json")
    assert running.stdout is not None
    running.stdout.close()
    running.wait(TIMEOUT_S)
    assert running.stderr is not None
    assert b"Traceback" not in running.stderr.read()
    close_pipes(running)


def test_a_page_out_of_range_is_the_callers_error() -> None:
    assert exits.code_of(PageRangeError("page 9 of 3")) == exits.USAGE


def feed(process: subprocess.Popen[bytes], count: int) -> None:
    """Write `count` bytes into a process; returns once it has read all but what a pipe holds."""
    assert process.stdin is not None
    process.stdin.write(b"\x5a" * count)
    process.stdin.flush()


def close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


@pytest.mark.parametrize("group", [(), ("snapshot",), ("keys",), ("data-key",), ("outside-anchor",), ("log",)])
def test_a_group_without_a_command_shows_its_help(group: tuple[str, ...]) -> None:
    ended = subprocess.run([*PROGRAM, *group], check=False, capture_output=True, timeout=TIMEOUT_S, env=environment())
    assert b"Usage: keystore" in ended.stdout + ended.stderr
    assert b"error:" not in ended.stdout + ended.stderr
    assert ended.returncode == 2
