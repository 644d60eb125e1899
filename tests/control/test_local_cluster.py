"""`keystore cluster create`, `start` and `stop`: a cluster on this machine, made of real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keystore.cli import exits
from tests.cli.running import Run, keystore
from tests.key_files import cmk as cmk
from tests.key_files import other_cmk as other_cmk


class Shell:
    """Runs commands on the clusters of one control database; at the end its hosts are ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: list[str] = []

    def __call__(self, *arguments: str) -> Run:
        return keystore("cluster", *arguments, "--database", f"sqlite:///{self.folder / 'control.db'}", "--json")

    def create(self, name: str, *arguments: str) -> Run:
        self._made.append(name)
        return self("create", name, "--directory", str(self.folder / name), *arguments)

    def end(self) -> None:
        for name in self._made:
            self("stop", name)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.end()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_cluster_is_made_stopped_and_started(shell: Shell, cmk: str, other_cmk: str) -> None:
    made = shell.create("orders", "--members", "2", "--cmk", cmk, "--platform-key", other_cmk)
    assert made.code == exits.OK, made
    assert [member["serves"] for member in made.json["members"]] == [True, True]
    assert (made.json["primary"], made.json["key"], made.json["customer_keys"]) == ("n1", cmk, True)
    addresses = [member["address"] for member in made.json["members"]]

    assert shell("stop", "orders").code == exits.OK
    stopped = shell("status", "orders")
    assert stopped.code == exits.ERROR
    assert [member["serves"] for member in stopped.json["members"]] == [False, False]
    assert "n1 does not serve" in shell("rotate", "orders", "--no-wait").json["error"]["message"]

    started = shell("start", "orders")
    assert started.code == exits.OK, started
    assert [member["address"] for member in started.json["members"]] == addresses
    assert shell("start", "orders").code == exits.OK

    before = names(shell.folder)
    assert shell("create", "orders", "--platform-key", cmk).code == exits.EXISTS
    assert names(shell.folder) == before


def test_what_cannot_be_made_leaves_nothing(shell: Shell, tmp_path: Path, cmk: str) -> None:
    (tmp_path / "taken").mkdir()
    refused = {
        ("taken", cmk): exits.EXISTS,
        ("absent/cluster", cmk): exits.NOT_THERE,
        ("Orders", cmk): exits.USAGE,
        ("orders", f"local://{tmp_path}/no-key"): exits.KEY_INVALID,
        ("orders", "no key"): exits.USAGE,
    }
    before = names(tmp_path)
    for (place, key), code in refused.items():
        name = place.partition("/")[0]
        run = shell("create", name, "--directory", str(tmp_path / place), "--platform-key", key)
        assert run.code == code, run
        assert shell("status", name).code == exits.NOT_THERE
    assert names(tmp_path) == before | {"control.db"}
