"""A sealed data directory: nothing readable in its files, wrong keys refused unchanged, moved values refused."""

import sqlite3
from pathlib import Path

import pytest
from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.users import put_user
from kms_emulator.core import Core
from kms_emulator.model.keys import Key, KeyKind
from kms_emulator.model.material import Material
from kms_emulator.storage.directory import DATABASE_NAME, DataDir
from kms_emulator.storage.errors import DataDirDamagedError, DataDirError, DataDirKeyError
from kms_emulator.storage.sealing import Sealed
from tests.emulator.running import process, run_cli

SECRET = b"correct horse battery staple"
CANARY = b"canary: this is key material" + b"!!!!"
TEXT = "canary-in-a-document"


def fill(core: Core) -> Key:
    key = core.registry.create("aws", "us-east-1/k", KeyKind.AES_256, 5, attributes={"description": TEXT})
    return core.registry.add_version(key, Material(KeyKind.AES_256, CANARY), 6)


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_the_canary_is_in_the_files_only_without_a_key(tmp_path: Path) -> None:
    for name, secret in (("clear", None), ("sealed", SECRET)):
        folder = tmp_path / name
        with DataDir(folder, secret) as data:
            core = Core(data.store)
            fill(core)
            core.set_clock(core.clock.advance(7_777_777_777_777_777))
            put_user(core, pb.PutUserRequest(name="alice", access_key_id="A" * 20, secret_access_key="canary-secret"))
            canaries = (CANARY, TEXT.encode(), b"7777777777777777", b"canary-secret")
            found = [canary in all_bytes(folder) for canary in canaries]
        assert found == [secret is None] * len(canaries)


def test_everything_comes_back_under_the_same_key(tmp_path: Path) -> None:
    with DataDir(tmp_path, SECRET) as data:
        core = Core(data.store)
        key = fill(core)
        sealed = core.registry.seal(key, 1, b"secret", b"")
        core.registry.put_alias("aws", "us-east-1/alias/a", key, 7)
        core.registry.create_folder("gcp", "ring", 8)
        core.set_clock(core.clock.at(9, frozen=True))
        put_user(core, pb.PutUserRequest(name="alice", access_key_id="A" * 20, secret_access_key="s"))
        users = core.identities.all()
    with DataDir(tmp_path, SECRET) as data:
        core = Core(data.store)
        assert core.registry.keys("aws") == [key]
        assert core.registry.open(key, 1, sealed, b"") == b"secret"
        assert core.registry.alias("aws", "us-east-1/alias/a") is not None
        assert core.registry.folder("gcp", "ring") is not None
        assert core.now_ns() == 9
        assert core.identities.all() == users
        credential = core.identities.credential("A" * 20)
        assert credential is not None
        assert credential.secret == "s"


@pytest.mark.parametrize(("given", "text"), [(b"another", "not the one"), (None, "is sealed; nothing was changed")])
def test_wrong_or_missing_key_is_refused_and_nothing_changes(tmp_path: Path, given: bytes | None, text: str) -> None:
    with DataDir(tmp_path, SECRET) as data:
        fill(Core(data.store))
    before = (tmp_path / DATABASE_NAME).read_bytes()
    with pytest.raises(DataDirKeyError, match=text):
        DataDir(tmp_path, given)
    assert (tmp_path / DATABASE_NAME).read_bytes() == before
    with DataDir(tmp_path, SECRET) as data:
        assert len(Core(data.store).registry) == 1


def test_key_for_a_directory_in_the_clear_is_refused(tmp_path: Path) -> None:
    with DataDir(tmp_path) as data:
        fill(Core(data.store))
    with pytest.raises(DataDirKeyError, match="in the clear"):
        DataDir(tmp_path, SECRET)
    with DataDir(tmp_path) as data:
        assert len(Core(data.store).registry) == 1


def test_reset_stays_sealed(tmp_path: Path) -> None:
    with DataDir(tmp_path, SECRET) as data:
        core = Core(data.store)
        fill(core)
        core.reset()
        fill(core)
        assert CANARY not in all_bytes(tmp_path)
    with pytest.raises(DataDirKeyError):
        DataDir(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE materials SET number = 2",
        "UPDATE materials SET secret = substr(secret, 1, length(secret) - 1)",
        "UPDATE materials SET secret = x'00'",
        "UPDATE keys SET document = '{}'",
        "UPDATE keys SET document = (SELECT secret FROM materials)",
        "UPDATE settings SET name = 'other'",
    ],
)
def test_changed_and_moved_values_are_refused(tmp_path: Path, damage: str) -> None:
    with DataDir(tmp_path, SECRET) as data:
        core = Core(data.store)
        fill(core)
        core.set_clock(core.clock.advance(5))
    with sqlite3.connect(tmp_path / DATABASE_NAME) as db:
        db.execute(damage)
    db.close()
    with pytest.raises(DataDirDamagedError, match=r"a sealed value of \w+ was changed or moved"):
        DataDir(tmp_path, SECRET)


@pytest.mark.parametrize("header", ["", "{}", '{"salt": "", "operations": 1, "memory": 1099511627776, "check": ""}'])
def test_damaged_header_is_refused(tmp_path: Path, header: str) -> None:
    DataDir(tmp_path, SECRET).close()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as db:
        db.execute("UPDATE sealing SET header = ?", (header,))
    db.close()
    with pytest.raises(DataDirDamagedError):
        DataDir(tmp_path, SECRET)


def test_places_do_not_run_together() -> None:
    sealer, _ = Sealed.create(SECRET)
    with pytest.raises(DataDirError):
        sealer.open(("aliases", "ab", "c"), sealer.seal(("aliases", "a", "bc"), b"value"))


def test_program_takes_key_files_and_passphrases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KMS_EMULATOR_PASSPHRASE", raising=False)
    key_file, data = tmp_path / "key", tmp_path / "data"
    key_file.write_bytes(SECRET)
    with process(tmp_path, "--data-dir", str(data), "--data-key-file", str(key_file)) as emulator:
        made = run_cli("key", "create", "--provider", "aws", endpoint=emulator.endpoint).stdout.strip()
    emulator.ready_file.unlink()
    refused = run_cli("serve", "--port", "0", "--data-dir", str(data))
    assert (refused.returncode, "--data-key-file" in refused.stderr) == (7, True)
    refused = run_cli("serve", "--port", "0", "--data-dir", str(data), env={"KMS_EMULATOR_PASSPHRASE": "wrong"})
    assert (refused.returncode, "not the one it was sealed with" in refused.stderr) == (7, True)
    monkeypatch.setenv("KMS_EMULATOR_PASSPHRASE", SECRET.decode())
    with process(tmp_path, "--data-dir", str(data)) as emulator:
        assert made in run_cli("key", "list", endpoint=emulator.endpoint).stdout


@pytest.mark.parametrize("content", [None, b"", b"x" * 65_537])
def test_unusable_key_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    key_file = tmp_path / "key"
    if content is not None:
        key_file.write_bytes(content)
    done = run_cli("serve", "--port", "0", "--data-dir", str(tmp_path / "data"), "--data-key-file", str(key_file))
    assert (done.returncode, str(key_file) in done.stderr) == (2, True)
    assert not (tmp_path / "data").exists()


def test_key_file_without_a_directory_is_refused(tmp_path: Path) -> None:
    done = run_cli("serve", "--port", "0", "--data-key-file", str(tmp_path / "key"))
    assert (done.returncode, "--data-dir" in done.stderr) == (2, True)
