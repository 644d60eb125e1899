"""The point-in-time log on the command line."""

from pathlib import Path

import pytest

from keystore.cli import exits
from keystore.node import archiver
from tests.cli.conftest import Made
from tests.cli.running import keystore


def test_a_log_is_enabled_looked_at_and_disabled(made: Made, tmp_path: Path) -> None:
    place = tmp_path / "log"
    assert keystore("log", "status", made.node, "--json").json["log"] is None
    run = keystore("log", "enable", made.node, place, "--window", "3")
    assert (run.code, "take a snapshot" in run.out) == (exits.OK, True)
    assert keystore("import", made.node, "db/second", made.source).code == exits.OK
    run = keystore("log", "status", made.node, "--json")
    values = run.json["log"]
    assert (run.code, values["place"], values["window_days"], values["gaps"]) == (exits.OK, str(place), 3, [])
    assert values["segment"] == len(list(place.glob("log/*/*"))) == 2
    assert values["complete_until"].endswith("Z")
    assert values["problem"] is None
    assert keystore("log", "enable", made.node, place).code == exits.USAGE
    run = keystore("log", "disable", made.node, "--json")
    assert (run.code, run.json["log"]) == (exits.OK, None)
    assert keystore("log", "disable", made.node).code == exits.USAGE
    assert len(list(place.glob("log/*/*"))) == 2, "what it has stays"


@pytest.mark.parametrize("place", ["relative", "ftp://somewhere/else", ""])
def test_what_cannot_be_a_place_is_refused(made: Made, place: str) -> None:
    before = (made.node / "keystore").read_bytes()
    run = keystore("log", "enable", made.node, place, "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.USAGE, "InputError")
    assert (made.node / "keystore").read_bytes() == before
    assert (str(Path("relative").absolute()) in run.json["error"]["message"]) == (place == "relative")


def test_a_time_without_a_zone_is_refused_with_the_one_that_may_be_meant(made: Made, tmp_path: Path) -> None:
    run = keystore("snapshot", "restore", tmp_path, "latest", tmp_path / "then", "--at", "2026-03-01T14:30:00")
    assert (run.code, "for UTC write 2026-03-01T14:30:00Z" in run.err) == (exits.USAGE, True)


def test_a_file_is_no_place_for_snapshots(made: Made, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    run = keystore("snapshot", "create", made.node, tmp_path / "file")
    assert (run.code, "is a file, not a directory" in run.err) == (exits.ERROR, True)
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_log_inside_a_node_is_refused(made: Made) -> None:
    run = keystore("log", "enable", made.node, made.node / "log", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.USAGE, "InputError")
    assert not (made.node / "log").exists()


def test_a_node_and_a_file_are_restored_as_they_were(made: Made, tmp_path: Path) -> None:
    place = tmp_path / "place"
    assert keystore("log", "enable", made.node, place).code == exits.OK
    assert keystore("snapshot", "create", made.node, place).code == exits.OK
    then = keystore("log", "status", made.node, "--json").json["log"]["complete_until"]
    (tmp_path / "second").write_bytes(b"second")
    assert keystore("import", made.node, "db/second", tmp_path / "second").code == exits.OK
    assert keystore("snapshot", "restore", place, "latest", tmp_path / "now", "--at", "latest").code == exits.OK
    names = [file["name"] for file in keystore("ls", tmp_path / "now", "--json").json["files"]]
    assert names == ["file", "second"]
    run = keystore("snapshot", "restore", place, "latest", tmp_path / "then", "--at", then, "--json")
    assert run.code == exits.OK
    assert [file["name"] for file in keystore("ls", tmp_path / "then", "--json").json["files"]] == ["file"]
    run = keystore("snapshot", "export", place, "latest", "db/second", tmp_path / "out", "--at", "latest")
    assert (run.code, (tmp_path / "out").read_bytes()) == (exits.OK, b"second")
    run = keystore("snapshot", "export", place, "latest", "db/second", tmp_path / "none", "--at", then)
    assert run.code == exits.NOT_THERE


def test_times_that_cannot_be_restored_are_refused(made: Made, tmp_path: Path) -> None:
    place, new = tmp_path / "place", tmp_path / "new"
    assert keystore("log", "enable", made.node, place).code == exits.OK
    assert keystore("snapshot", "create", made.node, place).code == exits.OK
    restore = ("snapshot", "restore", place, "latest", new)
    run = keystore(*restore, "--at", "2999-01-01T00:00:00Z", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.ERROR, "LogGapError")
    run = keystore(*restore, "--at", "999999h", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.ERROR, "LogGapError")
    assert keystore(*restore, "--at", "yesterday").code == exits.USAGE
    (tmp_path / "other").mkdir()
    run = keystore(*restore, "--at", "2999-01-01T00:00:00Z", "--log", tmp_path / "other", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.NOT_THERE, "LogMissingError")
    run = keystore(*restore, "--log", place, "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.USAGE, "InputError")
    (tmp_path / "empty").mkdir()
    run = keystore(*restore, "--at", "latest", "--log", tmp_path / "empty", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.NOT_THERE, "LogMissingError")
    assert not new.exists()


def test_a_log_is_pruned_to_what_its_snapshots_need(made: Made, tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "place", tmp_path / "elsewhere"
    assert keystore("log", "prune", made.node).code == exits.USAGE
    assert keystore("log", "enable", made.node, place).code == exits.OK
    run = keystore("log", "prune", made.node, "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.NOT_THERE, "LogMissingError")
    assert keystore("snapshot", "create", made.node, elsewhere).code == exits.OK
    assert keystore("log", "prune", made.node).code == exits.NOT_THERE
    before = len(list(place.glob("log/*/*")))
    run = keystore("log", "prune", made.node, "--snapshots", elsewhere, "--json")
    assert (run.code, run.json["removed"], run.json["kept"]) == (exits.OK, 0, before), "all is within the window"


def test_a_file_is_put_back_into_its_node_as_it_was(made: Made, tmp_path: Path) -> None:
    place = tmp_path / "place"
    assert keystore("log", "enable", made.node, place).code == exits.OK
    assert keystore("snapshot", "create", made.node, place).code == exits.OK
    then = keystore("log", "status", made.node, "--json").json["log"]["complete_until"]
    assert keystore("rm", made.node, "db/file", "--yes").code == exits.OK
    assert keystore("ls", made.node, "--json").json["files"] == []
    run = keystore("snapshot", "restore", place, "latest", made.node, "--into", "--yes", "--at", then, "--json")
    assert (run.code, run.json["added"]) == (exits.OK, ["db/file"])
    assert keystore("export", made.node, "db/file", tmp_path / "out").code == exits.OK
    assert (tmp_path / "out").read_bytes() == made.source.read_bytes()
    status = keystore("log", "status", made.node, "--json").json["log"]
    assert (status["gaps"], status["problem"]) == ([], None)


def test_a_command_whose_commits_are_not_in_the_log_tells_what_it_did(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    assert keystore("log", "enable", made.node, place).code == exits.OK
    place.rename(tmp_path / "away")
    place.write_bytes(b"no directory")
    monkeypatch.setattr(archiver, "LIMITS", archiver.ArchiveLimits(close_s=0.05, retry_s=0.01))
    run = keystore("import", made.node, "db/second", made.source)
    assert (run.code, run.out.startswith("imported db/second")) == (exits.OK, True)
    assert "the point-in-time log is behind" in run.err
    place.unlink()
    (tmp_path / "away").rename(place)
    assert [file["name"] for file in keystore("ls", made.node, "--json").json["files"]] == ["file", "second"]
