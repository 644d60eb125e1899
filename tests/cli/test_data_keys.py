"""The life of data keys on the command line: change, reseal, destroy, shred."""

from pathlib import Path

import pytest

from tests.cli.conftest import Made
from tests.cli.running import keystore


def test_change_reseal_destroy(made: Made, tmp_path: Path) -> None:
    run = keystore("data-key", "change", made.node, "db")
    assert run.code == 0
    assert "generation 2" in run.out
    first, second = keystore("data-key", "list", made.node, "--json").json["data_keys"]
    assert (first["generation"], first["state"], first["files"]) == (1, "decrypt-only", ["file"])
    assert first["entries"] > 10
    assert (second["generation"], second["state"]) == (2, "current")
    refused = keystore("data-key", "destroy", made.node, "db", "1", "--json")
    assert refused.code == 1
    assert refused.json["error"]["type"] == "DataKeyInUseError"
    done = keystore("reseal", made.node, "--json").json
    assert done["ok"] is True
    assert done["pages"] == 13
    assert done["files"] == [{"file": "db/file", "pages": 13, "left": 0, "problem": None}]
    assert keystore("reseal", made.node, "--rate", "20MB", "--database", "db").out.split()[-2:] == ["0", "0"]
    assert keystore("snapshot", "create", made.node, tmp_path / "s").code == 0
    gone = keystore("data-key", "destroy", made.node, "db", "1", "--snapshots", tmp_path / "s", "--json").json
    assert (gone["generation"], gone["name"]) == (1, first["name"])
    assert len(gone["copies"]) == 1
    assert len(gone["copies_not_listed"]) == 4
    listed = keystore("data-key", "list", made.node, "--snapshots", tmp_path / "s")
    assert listed.code == 0
    rows = [line.split() for line in listed.out.splitlines()[1:]]
    assert [(row[0], row[1], row[3], row[-1]) for row in rows] == [
        ("db", "1", "destroyed", "1"),
        ("db", "2", "current", "1"),
    ]
    assert keystore("verify", made.node).code == 0


def test_destroy_says_what_remains(made: Made) -> None:
    keystore("data-key", "change", made.node, "db")
    keystore("reseal", made.node)
    run = keystore("data-key", "destroy", made.node, "db", "1")
    assert run.code == 0
    assert "No snapshot" in run.out
    assert "backups" in run.out


def test_shred_and_its_receipt(made: Made, tmp_path: Path) -> None:
    taken = keystore("snapshot", "create", made.node, tmp_path / "s", "--json").json
    unasked = keystore("shred", made.node, "db")
    assert unasked.code == 2
    assert "--yes" in unasked.err
    assert made.store.exists()
    receipt = keystore("shred", made.node, "db", "--snapshots", tmp_path / "s", "--yes", "--json").json
    assert (receipt["database"], receipt["files_removed"], receipt["done_before"]) == ("db", 1, False)
    assert [key["generation"] for key in receipt["data_keys"]] == [1]
    assert [copy["snapshot_id"] for copy in receipt["copies"]] == [taken["snapshot_id"]]
    assert receipt["copies"][0]["encryption_key_id"] == made.key
    assert list(made.node.glob("databases/*/*")) == []
    again = keystore("shred", made.node, "db", "--yes")
    assert again.code == 0
    assert "by an earlier call" in again.out
    assert receipt["keystore_file"]["sha256_before"] in again.out
    assert taken["snapshot_id"] not in again.out
    shown = keystore("ls", made.node, "--json").json["databases"][0]
    assert shown["shredded"] == receipt["shredded"]
    gone = keystore("reseal", made.node, "--database", "db", "--json")
    assert (gone.code, gone.json["error"]["type"]) == (6, "DatabaseShreddedError")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("data-key", "change", "NODE", "nowhere"), 6),
        (("data-key", "list", "NODE", "--database", "nowhere"), 6),
        (("data-key", "destroy", "NODE", "db", "1"), 2),
        (("data-key", "destroy", "NODE", "db", "7"), 6),
        (("data-key", "destroy", "NODE", "db", "0"), 2),
        (("reseal", "NODE", "--database", "nowhere"), 6),
        (("reseal", "NODE", "--generation", "1"), 2),
        (("reseal", "NODE", "--database", "db", "--generation", "1"), 2),
        (("reseal", "NODE", "--rate", "0"), 2),
        (("reseal", "NODE", "--rate", "fast"), 2),
        (("reseal", "NODE", "--rate", "1PB"), 2),
        (("shred", "NODE", "nowhere", "--yes"), 6),
        (("shred", "NODE", "db", "--yes", "--snapshots", "NODE"), 6),
    ],
)
def test_bad_input_changes_nothing(made: Made, arguments: tuple[str, ...], code: int) -> None:
    before = (made.node / "keystore").read_bytes()
    run = keystore(*(made.node if argument == "NODE" else argument for argument in arguments), "--json")
    assert run.code == code
    assert run.json["ok"] is False
    assert (made.node / "keystore").read_bytes() == before


def test_a_damaged_page_is_told_by_name(made: Made) -> None:
    keystore("data-key", "change", made.node, "db")
    data = bytearray(made.store.read_bytes())
    page = made.source.read_bytes()[:16384]
    assert page not in bytes(data)
    for offset in range(2 * 16384, len(data), 16384):
        data[offset] ^= 1
    made.store.write_bytes(data)
    run = keystore("reseal", made.node, "--json")
    assert run.code == 5
    assert run.json["ok"] is False
    assert "store db/file: " in run.json["files"][0]["problem"]
