"""The SQLite store: everything comes back, destroyed material does not, and a strange or used directory is refused."""

import os
import sqlite3
import traceback
from pathlib import Path

import pytest

from kms_emulator.clock import ClockSetting
from kms_emulator.core import Core
from kms_emulator.model import lifecycle
from kms_emulator.model.keys import Key, KeyKind, Schedule
from kms_emulator.model.material import Material, RsaPadding
from kms_emulator.model.registry import Registry
from kms_emulator.storage.directory import DATABASE_NAME, LOCK_NAME, DataDir
from kms_emulator.storage.errors import DataDirDamagedError, DataDirError, DataDirInUseError


def opened(folder: Path) -> tuple[DataDir, Registry]:
    data = DataDir(folder)
    return data, Registry(data.store, data.store.load())


def symmetric(registry: Registry, name: str = "k") -> Key:
    key = registry.create("r", name, KeyKind.AES_256, 5, schedule=Schedule(7, 1 << 60), attributes={"a": "ü"})
    return registry.add_version(key, registry.new_aes(), 6, attributes={"v": "1"})


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_everything_comes_back(tmp_path: Path) -> None:
    data, registry = opened(tmp_path)
    key = registry.put(lifecycle.schedule_deletion(symmetric(registry), 100, 9))
    rsa = registry.add_version(
        registry.create("s", "rsa", KeyKind.RSA_2048, 1), Material.generate_rsa(KeyKind.RSA_2048), 1
    )
    wrapped = registry.rsa_encrypt(rsa, 1, b"secret", RsaPadding.OAEP_SHA256)
    alias, folder = registry.put_alias("r", "alias", key, 3), registry.create_folder("r", "ring", 4)
    data.close()

    data, again = opened(tmp_path)
    with data:
        assert again.keys("r") == [key]
        assert again.keys("s") == [rsa]
        assert (again.alias("r", "alias"), again.folder("r", "ring")) == (alias, folder)
        assert again.rsa_decrypt(rsa, 1, wrapped, RsaPadding.OAEP_SHA256) == b"secret"
        again.elapse(109)
        assert (again.keys("r"), again.aliases("r")) == ([], [])


def test_clock_comes_back(tmp_path: Path) -> None:
    with DataDir(tmp_path) as data:
        core = Core(data.store, host_ns=lambda: 1000)
        core.set_clock(core.clock.advance(500))
    with DataDir(tmp_path) as data:
        core = Core(data.store, host_ns=lambda: 2000)
        assert core.now_ns() == 2500
        core.set_clock(core.clock.at(7, frozen=True))
    with DataDir(tmp_path) as data:
        core = Core(data.store, host_ns=lambda: 9000)
        assert (core.now_ns(), core.clock.setting) == (7, ClockSetting(7 - 2000, 7))


def test_destroyed_and_removed_material_leaves_the_files(tmp_path: Path) -> None:
    data, registry = opened(tmp_path)
    with data:
        secrets = []
        for name in ("destroyed", "removed"):
            key = symmetric(registry, name)
            secrets.append(registry._materials[(key.uid, 1)].to_stored())
        assert all(secret in all_bytes(tmp_path) for secret in secrets)
        key = registry.key("r", "destroyed")
        registry.put(lifecycle.schedule_destroy(key, 1, 10, 10))
        registry.elapse(20)
        registry.remove(registry.key("r", "removed"))
        assert not any(secret in all_bytes(tmp_path) for secret in secrets)


def test_reset_removes_everything(tmp_path: Path) -> None:
    with DataDir(tmp_path) as data:
        core = Core(data.store, host_ns=lambda: 100)
        key = symmetric(core.registry)
        core.registry.put_alias("r", "alias", key, 3)
        core.set_clock(core.clock.advance(500))
        core.reset()
        assert len(core.registry) == 0
    with DataDir(tmp_path) as data:
        state = data.store.load()
        assert (state.keys, state.materials, state.aliases, state.folders, state.settings) == ([], {}, [], [], {})


def test_files_are_the_owners_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    with DataDir(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / DATABASE_NAME).stat().st_mode & 0o777 == 0o600


def test_used_directory_is_refused_and_free_again(tmp_path: Path) -> None:
    with DataDir(tmp_path), pytest.raises(DataDirInUseError, match=r"in use by process [0-9]+"):
        DataDir(tmp_path)
    DataDir(tmp_path).close()


def test_foreign_database_is_refused_unchanged(tmp_path: Path) -> None:
    path = tmp_path / DATABASE_NAME
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(DataDirDamagedError, match="not a key database"):
        DataDir(tmp_path)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    db.close()


def test_newer_database_is_refused(tmp_path: Path) -> None:
    DataDir(tmp_path).close()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(DataDirDamagedError, match="of this version"):
        DataDir(tmp_path)


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"not a database, but long enough to be looked at" * 30)
    with pytest.raises(DataDirDamagedError):
        DataDir(tmp_path)
    DataDir(tmp_path / "other").close()


@pytest.mark.parametrize(
    "damage", ["DELETE FROM materials", "UPDATE keys SET document = '{}'", "UPDATE keys SET document = 'x'"]
)
def test_damaged_content_is_refused(tmp_path: Path, damage: str) -> None:
    data, registry = opened(tmp_path)
    symmetric(registry)
    data.close()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as db:
        db.execute(damage)
    db.close()
    with DataDir(tmp_path) as data, pytest.raises(DataDirDamagedError):
        data.store.load()


def test_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(DataDirError, match="cannot be used"):
        DataDir(path)
    assert path.read_text() == "mine"


def test_closed_store_refuses(tmp_path: Path) -> None:
    data, registry = opened(tmp_path)
    key = symmetric(registry)
    data.close()
    with pytest.raises(DataDirError, match="closed"):
        registry.put(lifecycle.disable(key, 9))
    assert registry.key("r", "k") == key


def test_a_lock_file_that_is_something_else_is_refused_unchanged(tmp_path: Path) -> None:
    other, data = tmp_path / "other", tmp_path / "data"
    other.write_text("important")
    data.mkdir()
    (data / LOCK_NAME).symlink_to(other)
    with pytest.raises(DataDirError, match="cannot be used"):
        DataDir(data)
    assert other.read_text() == "important"
    (data / LOCK_NAME).unlink()
    os.mkfifo(data / LOCK_NAME)
    with pytest.raises(DataDirError, match="cannot be used"):
        DataDir(data)
    (data / LOCK_NAME).unlink()
    DataDir(data).close()


@pytest.mark.parametrize("document", ["CAST(x'FF' || document AS TEXT)", "x'FF' || document", "document || 'x'"])
def test_a_damaged_document_is_not_repeated(tmp_path: Path, document: str) -> None:
    data, registry = opened(tmp_path)
    with data:
        registry.put(lifecycle.describe(symmetric(registry), {"note": "canary"}, 9))
    with sqlite3.connect(tmp_path / DATABASE_NAME) as db:
        db.execute(f"UPDATE keys SET document = {document}")
    db.close()
    with DataDir(tmp_path) as data, pytest.raises(DataDirDamagedError) as caught:
        data.store.load()
    assert "canary" not in "".join(traceback.format_exception(caught.value))
