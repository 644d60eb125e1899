"""The outside anchor on the command line."""

import shutil
from pathlib import Path

import pytest

from keystore.cli import exits
from tests.cli.conftest import Made
from tests.cli.running import keystore

COMMANDS = (
    ("ls",),
    ("import", "db/new", "SOURCE"),
    ("export", "db/file", "NEW"),
    ("rm", "db/file", "--yes"),
    ("verify",),
    ("repair", "--from", "SNAPSHOTS"),
    ("compact",),
    ("stats",),
    ("rotate-master",),
    ("change-cmk", "KEY"),
    ("rewrap-volume", "KEY"),
    ("outside-anchor attach", "PLACE"),
    ("outside-anchor detach",),
    ("outside-anchor status",),
    ("data-key list",),
    ("data-key change", "db"),
    ("data-key destroy", "db", "1"),
    ("reseal",),
    ("shred", "db", "--yes"),
    ("snapshot create", "SNAPSHOTS"),
    ("log enable", "PLACE"),
    ("log disable",),
    ("log status",),
    ("log prune",),
    ("node-key show",),
)
"""Every command that opens a node: its words, and its arguments after the node."""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    return tmp_path / "outside"


def test_a_node_is_made_with_an_outside_anchor_and_a_copy_put_back_is_refused(
    tmp_path: Path, key: str, outside: Path
) -> None:
    node, source = tmp_path / "node", tmp_path / "source"
    source.write_bytes(b"x")
    run = keystore("init", node, "--key", key, "--outside-anchor", outside, "--json")
    assert (run.code, run.json["outside_anchor"]["place"]) == (exits.OK, str(outside))
    shutil.copytree(node, tmp_path / "old")
    assert keystore("import", node, "db/f", source).code == exits.OK
    assert str(outside) in keystore("ls", node).out
    last = keystore("outside-anchor", "status", node, "--json").json["outside_anchor"]
    shutil.rmtree(node)
    (tmp_path / "old").rename(node)
    run = keystore("outside-anchor", "status", node, "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.DAMAGED, "KeyFileStaleError")
    assert f"its last statement is number {last['statement']} of {last['written'][:-1]}" in run.json["error"]["message"]
    run = keystore("--ignore-outside-anchor", "ls", node)
    assert run.code == exits.OK
    assert f"{outside}, not asked" in run.out


def test_attach_status_and_detach(made: Made, outside: Path) -> None:
    run = keystore("outside-anchor", "status", made.node)
    assert (run.code, "none" in run.out) == (exits.OK, True)
    run = keystore("outside-anchor", "attach", made.node, outside, "--each-commit", "--json")
    assert run.code == exits.OK
    assert run.json["outside_anchor"] == {
        "place": str(outside),
        "each_commit": True,
        "statement": 2,
        "written": run.json["outside_anchor"]["written"],
        "problem": None,
        "ignored": False,
    }
    run = keystore("outside-anchor", "status", made.node)
    assert "statement 2 of" in run.out
    run = keystore("outside-anchor", "detach", made.node, "--json")
    assert (run.code, run.json["outside_anchor"]) == (exits.OK, None)


@pytest.mark.parametrize("named_by", ["option", "environment"])
def test_a_node_without_one_is_refused_where_a_place_is_named(made: Made, outside: Path, named_by: str) -> None:
    option = ("--outside-anchor", str(outside)) if named_by == "option" else ()
    env = {"KEYSTORE_OUTSIDE_ANCHOR": str(outside)} if named_by == "environment" else {}
    run = keystore(*option, "ls", made.node, "--json", env=env)
    assert (run.code, run.json["error"]["type"]) == (exits.DAMAGED, "OutsideAnchorMissingError")


def test_a_place_that_is_away_is_told(made: Made, outside: Path) -> None:
    assert keystore("outside-anchor", "attach", made.node, outside).code == exits.OK
    shutil.rmtree(outside)
    run = keystore("ls", made.node)
    assert run.code == exits.UNREACHABLE
    assert "cannot be reached" in run.err


def _arguments(made: Made, outside: Path, words: tuple[str, ...]) -> list[str]:
    """Return the words of a command of `COMMANDS`, with its arguments in their places."""
    (made.node.parent / "snapshots").mkdir(exist_ok=True)
    values = {
        "SOURCE": str(made.source),
        "NEW": str(made.node.parent / "new"),
        "SNAPSHOTS": str(made.node.parent / "snapshots"),
        "KEY": made.key,
        "PLACE": str(outside),
    }
    command, *rest = words
    return [*command.split(), str(made.node), *(values.get(word, word) for word in rest)]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_every_command_asks_the_place_that_is_named_or_attached_unless_told_not_to(
    made: Made, outside: Path, words: tuple[str, ...]
) -> None:
    arguments = _arguments(made, outside, words)
    before = {path: path.read_bytes() for path in made.node.rglob("*") if path.is_file()}
    run = keystore("--outside-anchor", outside, *arguments, "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.DAMAGED, "OutsideAnchorMissingError")
    assert {path: path.read_bytes() for path in made.node.rglob("*") if path.is_file()} == before

    assert keystore("outside-anchor", "attach", made.node, outside).code == exits.OK
    outside.rename(outside.with_name("away"))
    run = keystore(*arguments, "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.UNREACHABLE, "OutsideAnchorUnreachableError")
    run = keystore("--ignore-outside-anchor", *arguments, "--json")
    assert "error" not in run.json or "outside anchor" not in run.json["error"]["message"] or "attach" in arguments


def test_an_empty_place_is_refused_and_not_taken_for_none(made: Made, tmp_path: Path) -> None:
    for arguments in (
        ("--outside-anchor", "", "ls", made.node),
        ("init", tmp_path / "new", "--key", made.key, "--outside-anchor", ""),
    ):
        assert keystore(*arguments).code == exits.USAGE
    assert not (tmp_path / "new").exists()
