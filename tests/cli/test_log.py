"""The point-in-time log on the command line."""

from pathlib import Path

import pytest

from keystore.cli import exits
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


def test_a_log_inside_a_node_is_refused(made: Made) -> None:
    run = keystore("log", "enable", made.node, made.node / "log", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.USAGE, "InputError")
    assert not (made.node / "log").exists()
