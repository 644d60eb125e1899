"""What is printed: lines of errors, tables in 80 columns, sizes, and an output that takes nothing."""

import subprocess
from pathlib import Path

import pytest

from keystore.cli import exits
from keystore.cli.output import elide, lines_of
from keystore.units import format_bytes, plural
from tests.cli.conftest import Made
from tests.cli.running import PROGRAM, TIMEOUT_S, environment, keystore


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ("one thing", ["one thing."]),
        ("it is so. Nothing was changed; do that.", ["it is so.", "Nothing was changed.", "Do that."]),
        ("/a.b exists and is unchanged; choose another", ["/a.b exists and is unchanged.", "Choose another."]),
        ("a: b; c. Nothing was changed. Enable it.", ["a: b; c.", "Nothing was changed.", "Enable it."]),
        ("what. Why. Nothing was changed. Do.", ["what. Why.", "Nothing was changed.", "Do."]),
        ("what. Do. Nothing was changed. Do.", ["what.", "Do.", "Nothing was changed."]),
    ],
)
def test_a_message_is_up_to_three_lines(message: str, lines: list[str]) -> None:
    assert lines_of(message) == lines


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (34_567_890, "34.6 MB"),
        (5 * 10**15, "5,000.0 TB"),
    ],
)
def test_sizes_are_decimal(count: int, text: str) -> None:
    assert format_bytes(count) == text


def test_counts_and_elided_names() -> None:
    assert [plural(1, "file"), plural(0, "file"), plural(2000, "file")] == ["1 file", "0 files", "2,000 files"]
    assert [elide("abcdefgh", length) for length in (8, 7, 6, 3)] == ["abcdefgh", "abc…fgh", "abc…gh", "a…h"]


def test_tables_fit_80_columns(made: Made, tmp_path: Path) -> None:
    target = tmp_path / "snaps"
    assert keystore("import", made.node, "db/" + "long/" * 20 + "name", made.source).code == 0
    for _ in range(2):
        assert keystore("snapshot", "create", made.node, target).code == 0
    (target / "begun" / ("0" * 32)).write_bytes(b"")
    for arguments in (("ls", made.node), ("snapshot", "list", target), ("keys", "usage", made.node, target)):
        run = keystore(*arguments)
        rows = [
            line
            for line in run.out.splitlines()
            if not line.startswith(("local://", "CMK", "node  ", "Encryption Key ID"))
        ]
        assert (run.code, max(map(len, rows)) <= 80) == (0, True), run.out
    listed = keystore("snapshot", "list", target).out.splitlines()
    ids = [line.split()[0] for line in (listed[2], *listed[7:9])]
    assert ids[0] == "0" * 12
    assert listed[9] == "000000000000: it has no manifest: being written, or its writer died."
    restored = keystore("snapshot", "restore", target, ids[2], tmp_path / "two")
    assert restored.code == 0, restored.err


def test_an_error_is_short_lines_and_says_the_key_once(made: Made, tmp_path: Path) -> None:
    key = "gcp://projects/p/locations/l/keyRings/r/cryptoKeys/k"
    run = keystore("change-cmk", made.node, key, "--kms-endpoint", "127.0.0.1:1")
    assert run.code == exits.UNREACHABLE
    assert run.err.splitlines() == [
        f"error: {key}: no KMS answers at 127.0.0.1:1.",
        "  Nothing was changed.",
        "  Try again later; what runs goes on.",
    ]


@pytest.mark.parametrize("arguments", [("ls", "NODE"), ("ls", "NODE", "--json"), ("export", "NODE", "db/file", "-")])
@pytest.mark.parametrize("sink", ["/dev/full", "closed"])
def test_an_output_that_takes_nothing(made: Made, arguments: tuple[str, ...], sink: str) -> None:
    command = [*PROGRAM, *(str(made.node) if argument == "NODE" else argument for argument in arguments)]
    done = in_shell({"/dev/full": '"$@" >/dev/full', "closed": '"$@" >&-'}[sink], command)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith("error: standard output ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("ls", "NODE"), ("ls", "NODE", "--json"), ("export", "NODE", "db/file", "-")])
def test_a_reader_that_had_enough_is_told_nothing(made: Made, arguments: tuple[str, ...]) -> None:
    command = [*PROGRAM, *(str(made.node) if argument == "NODE" else argument for argument in arguments)]
    done = in_shell('"$@" | true; exit ${PIPESTATUS[0]}', command)
    assert (done.returncode, done.stdout, done.stderr) == (exits.NO_READER, b"", b"")


def in_shell(line: str, command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash whose arguments are a command."""
    return subprocess.run(
        ["bash", "-c", line, "bash", *command],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT_S,
        env=environment(),
    )


def test_a_demo_of_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    run = keystore("demo", tmp_path / "empty", "--json")
    assert (run.code, run.json["error"]["type"]) == (exits.USAGE, "InputError")
