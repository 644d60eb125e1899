"""Space of a node on the command line: what the files take, and giving back what they do not need."""

from keystore.cli import exits
from tests.cli.conftest import Made
from tests.cli.running import keystore


def test_stats_and_compact(made: Made) -> None:
    (before,) = keystore("stats", made.node, "--json").json["files"]
    assert (before["file"], before["page_size"], before["logical_bytes"]) == ("db/file", 16384, 200_000)
    assert before["file_bytes"] == made.store.stat().st_size
    assert "200.0 kB" in keystore("stats", made.node, "--database", "db").out
    done = keystore("compact", made.node, "--database", "db", "--rate", "1GB", "--json").json
    (file,) = done["files"]
    assert (file["file"], file["limited_by"]) == ("db/file", None)
    assert done["bytes_given_back"] == file["bytes_before"] - file["bytes_after"] >= 0
    assert file["bytes_after"] == made.store.stat().st_size
    assert "given back: 0 bytes" in keystore("compact", made.node).out
    assert keystore("verify", made.node).code == 0


def test_a_database_that_is_not_there_is_told(made: Made) -> None:
    for command in ("stats", "compact", "reseal"):
        run = keystore(command, made.node, "--database", "nobody", "--json")
        assert (run.code, run.json["error"]["type"]) == (exits.NOT_THERE, "NameUnknownError")
