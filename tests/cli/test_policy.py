"""Backup policies on the command line."""

from pathlib import Path

import pytest

from keystore.cli import exits
from tests.cli.running import keystore


def test_the_default_policy_as_a_file(tmp_path: Path) -> None:
    shown = keystore("snapshot", "policy", "show")
    assert shown.code == exits.OK
    file = tmp_path / "policy.toml"
    file.write_text(shown.out)
    assert keystore("snapshot", "policy", "show", file).out == shown.out
    found = keystore("snapshot", "policy", "check", file, "--json").json
    assert [(item["kind"], item["schedule"], item["keep"]) for item in found["schedules"]] == [
        ("hourly", "every 6 hours", "7 days"),
        ("daily", "every day", "7 days"),
        ("weekly", "every Saturday", "4 weeks"),
        ("monthly", "on the last day of every month", "12 months"),
        ("yearly", "every 1 December", "1 year"),
    ]
    assert (found["reference_time"], found["restore_window_days"]) == ("18:00", None)
    table = keystore("snapshot", "policy", "check", file)
    assert "every Saturday" in table.out
    assert all(len(line) <= 80 for line in table.out.splitlines())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[daily]\nkeep = '7 hours'\n", "no length of time"),
        (b"\xff", "it is not text"),
        (b"#" * 70_000, "more than 65536 bytes"),
    ],
)
def test_a_file_that_is_no_policy(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_bytes(content)
    run = keystore("snapshot", "policy", "check", file, "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.USAGE, "PolicyError")
    assert said in run.json["error"]["message"]


def test_no_file(tmp_path: Path) -> None:
    run = keystore("snapshot", "policy", "check", tmp_path / "nowhere", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.NOT_THERE, "PathMissingError")
    assert keystore("snapshot", "policy", "check", tmp_path).code == exits.USAGE
