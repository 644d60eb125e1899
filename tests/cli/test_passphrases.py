"""Passphrases: asked for at a terminal, once in use and twice when new; or from the environment."""

import os
import pty
import select
from dataclasses import dataclass
from pathlib import Path

import pytest

from keystore.cli import exits
from tests.cli.running import PROGRAM, TIMEOUT_S, environment, keystore

URI, OTHER = "local+passphrase:///mine", "local+passphrase:///other"


@dataclass(frozen=True)
class Typed:
    """A command at a terminal: its exit code, and what stood there."""

    code: int
    shown: str


def at_terminal(*arguments: str | Path, answers: tuple[str, ...], env: dict[str, str] | None = None) -> Typed:
    """Run `keystore` at a terminal of its own; type one answer at each question."""
    command, env = [*PROGRAM, *map(str, arguments)], environment(env)
    child, terminal = pty.fork()
    if child == 0:
        os.execve(command[0], command, env)
    shown, left = b"", list(answers)
    while select.select([terminal], [], [], TIMEOUT_S)[0]:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
        shown += part
        if left and part.rstrip().endswith(b":"):
            os.write(terminal, left.pop(0).encode() + b"\n")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(terminal)
    return Typed(code, shown.decode())


def test_a_passphrase_at_a_terminal(tmp_path: Path) -> None:
    made = at_terminal("init", tmp_path / "n", "--key", URI, answers=("first", "first"))
    assert made.code == 0, made
    assert (made.shown.count(f"Passphrase for {URI}:"), made.shown.count("again:")) == (1, 1)
    used = at_terminal("rotate-master", tmp_path / "n", answers=("first",))
    assert (used.code, used.shown.count("Passphrase for")) == (0, 1)
    changed = at_terminal("change-cmk", tmp_path / "n", URI, answers=("first", "second", "second"))
    assert changed.code == 0, changed
    assert changed.shown.index(f"Passphrase for {URI}:") < changed.shown.index(f"New passphrase for {URI}:")
    assert keystore("ls", tmp_path / "n", env={"KEYSTORE_PASSPHRASE": "second"}).code == 0
    assert all(word not in made.shown + used.shown + changed.shown for word in ("first", "second"))


def test_two_that_differ_change_nothing(tmp_path: Path) -> None:
    made = at_terminal("init", tmp_path / "n", "--key", URI, answers=("first", "fist"))
    assert (made.code, "the two passphrases differ" in made.shown) == (exits.KEY_INVALID, True)
    assert not (tmp_path / "n").exists()
    assert keystore("init", tmp_path / "n", "--key", URI, env={"KEYSTORE_PASSPHRASE": "first"}).code == 0
    changed = at_terminal("change-cmk", tmp_path / "n", OTHER, answers=("first", "second", "sekond"))
    assert changed.code == exits.KEY_INVALID
    assert keystore("ls", tmp_path / "n", env={"KEYSTORE_PASSPHRASE": "first"}).code == 0


@pytest.mark.parametrize("uri", [URI, OTHER])
def test_a_change_from_the_environment(tmp_path: Path, uri: str) -> None:
    old, both = {"KEYSTORE_PASSPHRASE": "first"}, {"KEYSTORE_PASSPHRASE": "first", "KEYSTORE_NEW_PASSPHRASE": "second"}
    new = {"KEYSTORE_PASSPHRASE": "second"}
    assert keystore("init", tmp_path / "n", "--key", URI, env=old).code == 0
    assert keystore("snapshot", "create", tmp_path / "n", tmp_path / "s", env=old).code == 0
    run = keystore("change-cmk", tmp_path / "n", uri, "--json", env=old)
    assert (run.code, "set KEYSTORE_NEW_PASSPHRASE" in run.json["error"]["message"]) == (exits.KEY_INVALID, True)
    assert keystore("change-cmk", tmp_path / "n", uri, env=both).code == 0
    assert keystore("ls", tmp_path / "n", env=old).code == exits.KEY_INVALID
    assert keystore("ls", tmp_path / "n", env=new).code == 0
    restore = ("snapshot", "restore", tmp_path / "s", "latest")
    assert keystore(*restore, tmp_path / "same", env=old).code == 0
    assert keystore(*restore, tmp_path / "moved", "--key", OTHER, env=both).code == 0
    assert keystore("ls", tmp_path / "moved", env=new).code == 0
