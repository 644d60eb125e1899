"""A sealed data directory notices rows that were removed, added or put back from outside, and not its own changes."""

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from keystore_api.admin.v1 import admin_pb2 as pb

from kms_emulator.admin.users import put_user, remove_user
from kms_emulator.core import Core
from kms_emulator.model import lifecycle
from kms_emulator.model.grants import Grant
from kms_emulator.model.keys import Key, KeyKind
from kms_emulator.storage import sealing
from kms_emulator.storage.directory import DATABASE_NAME, DataDir
from kms_emulator.storage.errors import DataDirDamagedError, DataDirError

SECRET = b"correct horse battery staple"
NOTICED = "rows were removed, added or put back from outside; nothing was changed"


@pytest.fixture(autouse=True)
def _cheap_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive keys at the least cost there is: these tests open a directory some sixty times."""
    monkeypatch.setattr(sealing, "OPERATIONS", 1)
    monkeypatch.setattr(sealing, "MEMORY_BYTES", 8192)


def make_key(core: Core, name: str = "us-east-1/k") -> Key:
    key = core.registry.create("aws", name, KeyKind.AES_256, 5)
    return core.registry.add_version(key, core.registry.new_aes(), 6)


def fill(core: Core) -> Key:
    """Put at least one row in every table."""
    key = make_key(core)
    core.registry.put_alias("aws", "us-east-1/alias/a", key, 7)
    core.registry.create_folder("gcp", "ring", 8)
    core.registry.grants.put(Grant("g", key.uid, 9, "arn:aws:iam::1:user/a", ("Encrypt",)))
    core.set_clock(core.clock.at(9, frozen=True))
    put_user(core, pb.PutUserRequest(name="alice", access_key_id="A" * 20, secret_access_key="s"))
    return key


def change(folder: Path, statement: str, *values: object, cascading: bool = False) -> None:
    with sqlite3.connect(folder / DATABASE_NAME) as db:
        db.execute(f"PRAGMA foreign_keys={cascading:d}")
        assert db.execute(statement, values).rowcount != 0
    db.close()


def rows(folder: Path, table: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(folder / DATABASE_NAME) as db:
        found = db.execute(f"SELECT * FROM {table}").fetchall()
    db.close()
    return found


TABLES = ("keys", "aliases", "folders", "grants", "identities", "credentials", "settings")


@pytest.mark.parametrize("table", TABLES)
def test_a_removed_row_is_noticed(tmp_path: Path, table: str) -> None:
    with DataDir(tmp_path, SECRET) as data:
        fill(Core(data.store))
    assert rows(tmp_path, table)
    change(tmp_path, f"DELETE FROM {table}", cascading=True)
    with pytest.raises(DataDirDamagedError, match=NOTICED):
        DataDir(tmp_path, SECRET)


def disable(core: Core, key: Key) -> None:
    core.registry.put(lifecycle.disable(key, 10))


def revoke(core: Core, key: Key) -> None:
    remove_user(core, "alice")


def thaw(core: Core, key: Key) -> None:
    core.set_clock(core.clock.at(10, frozen=False))


def unalias(core: Core, key: Key) -> None:
    core.registry.remove_alias("aws", "us-east-1/alias/a")


PUT_BACK: list[tuple[str, Callable[[Core, Key], None]]] = [
    ("keys", disable),
    ("credentials", revoke),
    ("identities", revoke),
    ("settings", thaw),
    ("aliases", unalias),
]


@pytest.mark.parametrize(("table", "act"), PUT_BACK)
def test_a_row_that_is_put_back_as_it_was_is_noticed(
    tmp_path: Path, table: str, act: Callable[[Core, Key], None]
) -> None:
    with DataDir(tmp_path, SECRET) as data:
        core = Core(data.store)
        key = fill(core)
        old = rows(tmp_path, table)[0]
        act(core, key)
    DataDir(tmp_path, SECRET).close()
    change(tmp_path, f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(old))})", *old)
    with pytest.raises(DataDirDamagedError, match=NOTICED):
        DataDir(tmp_path, SECRET)


def test_an_older_digest_is_noticed_and_so_is_none(tmp_path: Path) -> None:
    with DataDir(tmp_path, SECRET) as data:
        core = Core(data.store)
        fill(core)
        old = rows(tmp_path, "sealing")[0][1]
        make_key(core, "us-east-1/other")
    change(tmp_path, "UPDATE sealing SET digest = ?", old)
    with pytest.raises(DataDirDamagedError, match=NOTICED):
        DataDir(tmp_path, SECRET)
    change(tmp_path, "UPDATE sealing SET digest = x''")
    with pytest.raises(DataDirDamagedError):
        DataDir(tmp_path, SECRET)


def test_the_whole_directory_put_back_is_not_noticed(tmp_path: Path) -> None:
    with DataDir(tmp_path / "data", SECRET) as data:
        fill(Core(data.store))
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    with DataDir(tmp_path / "data", SECRET) as data:
        core = Core(data.store)
        unalias(core, core.registry.key("aws", "us-east-1/k"))
    with DataDir(tmp_path / "copy", SECRET) as data:
        assert Core(data.store).registry.alias("aws", "us-east-1/alias/a") is not None


def test_own_changes_of_every_kind_open_again(tmp_path: Path) -> None:
    def again(act: Callable[[Core], object]) -> None:
        with DataDir(tmp_path, SECRET) as data:
            act(Core(data.store))

    again(fill)
    again(lambda core: core.registry.put_alias("aws", "us-east-1/alias/a", make_key(core, "us-east-1/other"), 8))
    again(lambda core: core.registry.remove_alias("aws", "us-east-1/alias/a"))
    again(lambda core: core.registry.put_alias("aws", "us-east-1/alias/a", core.registry.key("aws", "us-east-1/k"), 9))
    again(lambda core: disable(core, core.registry.key("aws", "us-east-1/k")))
    again(lambda core: core.registry.remove(core.registry.key("aws", "us-east-1/k")))
    assert rows(tmp_path, "aliases") == rows(tmp_path, "grants") == []
    again(lambda core: remove_user(core, "alice"))
    again(Core.reset)
    assert [rows(tmp_path, table) for table in TABLES] == [[]] * len(TABLES)
    again(fill)
    DataDir(tmp_path, SECRET).close()


def test_a_change_that_did_not_happen_is_not_in_the_digest(tmp_path: Path) -> None:
    with DataDir(tmp_path, SECRET) as data:
        core = Core(data.store)
        key = fill(core)
        with pytest.raises(DataDirError):
            core.registry.put_alias("aws", "us-east-1/alias/b", replace(key, uid=b"no such key"), 10)
        make_key(core, "us-east-1/other")
    with DataDir(tmp_path, SECRET) as data:
        assert sorted(key.name for key in Core(data.store).registry.keys("aws")) == ["us-east-1/k", "us-east-1/other"]
