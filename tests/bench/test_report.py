"""The report: what a bar says, what loses, what a failed group leaves, and what a second run does again."""

import csv
import io
import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from benchmarks import check, emulator
from benchmarks.peers import throughput
from benchmarks.report import __main__ as command
from benchmarks.report import bars, groups, machine, page, tables
from keystore.bench.result import Result, medians

SEAL = Result("kernel seal", "native", 16384, 1, 1e-4, 9.0, of_primitive=0.97)
READ = Result(
    "random read", "native", 4096, 1, 1e-5, 0.4, of_plain=0.25, percentiles_s={"p50": 1e-5, "p99": 2e-5},
    plain_percentiles_s={"p50": 1e-6}, range=(0.2, 0.3),
)  # fmt: skip
MACHINE: dict[str, Any] = {
    "date": "2026-01-02", "commit": "abc", "cpu": "A CPU", "cpu_flags": ["aes"], "cpus": 2, "threads_per_core": "1",
    "governor": "none", "hypervisor": "none", "memory_gb": 8, "system": "Linux", "file_system": "ext4",
    "python": "3.11", "openssl": "OpenSSL", "page_kernel": "native", "libraries": {"numpy": "2"},
}  # fmt: skip
PROFILE = {
    "case": "random read",
    "seconds_a_turn": 2e-5,
    "sampled": {"samples": 10, "libraries": {"Python": 0.9}, "functions": {"f (Python)": 0.5}},
    "functions": {"keystore/x.py: f": 0.7},
    "system_calls_a_turn": {"preadv2": 1.0},
}


def script(text: str) -> groups.Group:
    """Return a group whose processes run `text`; `place` is the directory that they share."""
    return groups.Group(
        "An invented one", ("-c", f"import json, pathlib, sys\nplace = pathlib.Path(sys.argv[1])\n{text}", "{place}")
    )


def judged(results: Sequence[Result]) -> dict[str, bars.Verdict]:
    found = bars.judge(bars.bars("native"), {"kernel": results, "store": results}, {"kernel": [results]})
    return {f"{verdict.bar.what}: {verdict.bar.unit}": verdict for verdict in found}


def test_the_worst_page_size_counts_for_a_bar() -> None:
    found = judged([SEAL, replace(SEAL, page_bytes=65536, of_primitive=0.94)])
    large = found["native kernel, seal, 16 to 64 KiB: of the bare aws-lc-rs loop"]
    assert (large.value, large.span, large.reached) == (0.94, (0.94, 0.97), False)
    assert judged([SEAL])["native kernel, seal, 16 to 64 KiB: of the bare aws-lc-rs loop"].reached is True


def test_a_bar_for_a_time_is_reached_from_below() -> None:
    name = "random read, 4 KiB, not in our cache, native: times the time of `os.pread`"
    assert [judged([replace(READ, of_plain=ratio)])[name].reached for ratio in (0.25, 0.2, 0.19)] == [True, True, False]
    assert judged([])[name].reached is None
    assert judged([replace(READ, processes=2)])[name].reached is None


def test_every_bar_of_a_rotation_is_there() -> None:
    rotation = Result(
        "rotate master key, 4 GiB", "native", 16384, 1, 1e-3, of_plain=0.9, counts={"data_files_touched": 1}
    )
    found = bars.judge(bars.bars("native"), {"rotation": [rotation]}, {})
    reached = [verdict.reached for verdict in found if verdict.bar.group == "rotation"]
    assert reached == [True, False]


def test_rows_that_lose_come_with_the_slowest_first() -> None:
    other = Result("peer: write", "Other 1", 4096, 1, 1.0, 0.9, of_plain=0.1)
    ours = Result("peer: write", "keystore 1", 4096, 1, 1.0, 0.3, of_plain=0.5)
    rows = tables.losing_rows({"store": [READ, replace(READ, of_plain=1.0)], "kernel": [SEAL], "peers": [other, ours]})
    assert [row[0] for row in rows] == ["random read", "peer: write", "kernel seal"]
    assert tables.lost_to_peers([other, ours]) == [["peer: write", "Other 1", "0.9", "0.3", "3.0"]]


def test_what_stands_beside_is_named_where_it_is_encrypted_too() -> None:
    log = replace(READ, name="commit, with a log", plain="one without a log")
    assert [tables.beside(each) for each in (READ, log)] == ["0.25 of plain", "0.25 of one without a log"]
    lost = tables.losing_rows({"store": [READ], "log": [log]})
    assert [row[4] for row in lost] == ["0.25 of the same without encryption", "0.25 of one without a log"]


def test_the_span_of_a_row_is_of_what_stands_beside_it() -> None:
    alone = Result("recovery", "native", 4096, 1, 2e-3, range=(1e-3, 3e-3))
    both = replace(alone, processes=2, of_one=1.5, range=(1.2, 1.9))
    spans = [line.rsplit(" | ", 1)[1] for line in tables.main_table([alone, both, READ], percentiles=False)[2:]]
    assert spans == ["1 ms to 3 ms |", "1.2 to 1.9 |", "0.2 to 0.3 |"]


def test_csv_has_every_result_with_its_percentiles() -> None:
    rows = list(
        csv.DictReader(io.StringIO(tables.as_csv({"store": [READ], "kernel": [SEAL]}, {"store": 5, "kernel": 1})))
    )
    assert [(row["group"], row["name"], row["processes_measured"]) for row in rows] == [
        ("store", "random read", "5"),
        ("kernel", "kernel seal", "1"),
    ]
    read = rows[0]
    assert (read["p99_s"], read["plain_p50_s"], read["p99.9_s"], read["range_max"]) == ("2e-05", "1e-06", "", "0.3")


def test_a_group_that_fails_keeps_the_runs_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "mark = place / 'mark'\nif mark.exists(): sys.exit('no more')\nmark.touch()\n"
    monkeypatch.setitem(groups.GROUPS, "kernel", script(f"{text}print(json.dumps([{SEAL.encode()}]))"))
    found = groups.measure("kernel", quick=False)
    assert (found.runs, found.failed) == (((SEAL,),), "RuntimeError: no more")
    groups.keep(found, tmp_path)
    assert groups.kept("kernel", tmp_path) == found
    assert [path.name for path in tmp_path.iterdir()] == ["kernel.json"]


@pytest.mark.parametrize(
    "text", ["no JSON", "{}", "[]", '{"runs": [[1]]}', '{"runs": [], "notes": [], "load": [], "x": 1}']
)
def test_a_kept_file_that_cannot_be_read_is_a_failure(text: str, tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text(text)
    found = groups.kept("node", tmp_path)
    assert found is not None
    assert found.runs == ()
    assert found.failed.startswith("node.json cannot be read: ")


@pytest.mark.parametrize("text", ["print('no JSON')", "print('[{}]')", "print('{}')", "print('[1]')", "sys.exit(3)"])
def test_what_a_broken_process_says_is_a_failure(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(groups.GROUPS, "kernel", script(text))
    found = groups.measure("kernel", quick=True)
    assert found.runs == ()
    assert found.failed


def test_notes_of_what_could_not_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"print(json.dumps({{'results': [{SEAL.encode()}], 'notes': ['Tink: not installed']}}))"
    monkeypatch.setitem(groups.GROUPS, "peers", script(text))
    found = groups.measure("peers", quick=False, processes=2)
    assert (len(found.runs), found.notes) == (2, ("Tink: not installed",))


def test_a_second_run_measures_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def measure(group: str, *, quick: bool, processes: int | None) -> groups.Found:
        measured.append(group)
        return groups.Found(
            group, ((SEAL,),), failed="no" if group == "node" and len(measured) < 3 else "", quick=quick
        )

    monkeypatch.setattr(groups, "measure", measure)
    options = Namespace(groups=["kernel", "node"], quick=False, processes=None, again=False, no_profiles=True)
    for _ in range(2):
        command._measure(options, MACHINE, tmp_path)
    assert measured == ["kernel", "node", "node"]
    kept = groups.kept("kernel", tmp_path)
    assert kept is not None
    assert kept.commit == "abc"
    command._measure(Namespace(**vars(options) | {"quick": True}), MACHINE, tmp_path)
    assert measured[3:] == ["kernel", "node"]
    command._measure(Namespace(**vars(options) | {"quick": True, "again": True}), MACHINE, tmp_path)
    assert measured[5:] == ["kernel", "node"]


def test_where_all_is_kept_the_machine_is_that_of_the_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(groups, "measure", lambda group, **_: groups.Found(group, ((SEAL,),)))
    options = Namespace(groups=["kernel"], quick=False, processes=None, again=False, no_profiles=True)
    command._measure(options, MACHINE, tmp_path)
    assert "nothing was measured" not in capsys.readouterr().err
    command._measure(options, MACHINE | {"commit": "def"}, tmp_path)
    assert "nothing was measured; --again" in capsys.readouterr().err
    assert json.loads((tmp_path / "machine.json").read_text())["commit"] == "abc"


def test_a_report_that_could_not_be_drawn_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    with pytest.raises(SystemExit, match="Nothing was measured; take `make report`"):
        command.main(["kernel", "--into", str(tmp_path / "report")])
    assert not (tmp_path / "report").exists()


def test_the_page_says_what_failed_and_what_is_not_reached(tmp_path: Path) -> None:
    slow = replace(READ, of_plain=0.1)
    (tmp_path / "machine.json").write_text(json.dumps(MACHINE))
    (tmp_path / "profiles.json").write_text(json.dumps({"random read": PROFILE}))
    groups.keep(groups.Found("kernel", ((SEAL,),)), tmp_path)
    groups.keep(groups.Found("store", ((slow,), (slow,)), ("a | note",), "OSError: full", commit="def"), tmp_path)
    report, _ = command.load(tmp_path)
    text = page.as_markdown(replace(report, plots=("throughput",)))
    first = text.splitlines()[2]
    assert first.startswith("The native kernel seals 16 KiB pages from Python at 9.0 GB/s on one thread, 97 % of")
    assert "commit abc" in first
    read = "random read, 4 KiB, not in our cache, native"
    for said in (
        "**store failed after 2 processes: OSError: full**",
        "**node was not measured.**",
        "**Not all groups were measured at one commit: kernel , store def.**",
        f"| {read} | times the time of `os.pread` | at most 5 [3] | 10 | 10 to 10 | **no** |",
        f"- {read}: 20 µs a turn; of the processor's time: 90 % Python. Functions",
        "70 % `keystore/x.py: f`. System calls a turn: 1 preadv2.",
        '<source media="(prefers-color-scheme: dark)" srcset="./throughput-dark.svg">',
        "Not measured: a | note.",
        "## What this does not show",
    ):
        assert said in text
    assert "latency-dark.svg" not in text


def test_the_readme_has_one_place_for_the_plot() -> None:
    text = command.README.read_text()
    assert text.count(page.README_BEGIN) == text.count(page.README_END) == 1
    assert text.index(page.README_BEGIN) < text.index(page.README_END)


def test_the_readme_part_stands_between_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tmp_path / "benchmarks" / "results" / "day" / "raw"
    raw.mkdir(parents=True)
    (raw / "machine.json").write_text(json.dumps(MACHINE))
    groups.keep(groups.Found("kernel", ((SEAL,),)), raw)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{page.README_BEGIN}\nold\n{page.README_END}\nafter\n")
    monkeypatch.setattr(command, "README", readme)
    monkeypatch.setattr(groups, "ROOT", tmp_path)
    for _ in range(2):
        command._write_readme(raw.parent, raw)
    text = readme.read_text()
    assert text.startswith(f"before\n{page.README_BEGIN}\n<picture>")
    assert text.endswith(f"{page.README_END}\nafter\n")
    assert "old" not in text
    assert "benchmarks/results/day/throughput-light.svg" in text
    readme.write_text("no marks")
    with pytest.raises(SystemExit, match="unchanged"):
        command._write_readme(raw.parent, raw)
    assert readme.read_text() == "no marks"


def test_what_is_slower_once_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter([0.5, 0.96])
    monkeypatch.setattr(check, "measure", lambda: [replace(SEAL, of_primitive=next(rounds))])
    (change,) = check.check([SEAL], 0.1)
    assert change.latter.of_primitive == 0.96
    assert next(rounds, None) is None


def test_what_is_slower_each_time_is_slower(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = iter([0.5, 0.6, 0.55])
    monkeypatch.setattr(check, "measure", lambda: [replace(SEAL, of_primitive=next(rounds))])
    monkeypatch.setattr(check, "read_baseline", lambda _: [SEAL, READ])
    assert check.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("0.970 ->  0.600   -38 %")
    assert (lines[1].startswith("random read, native, 4 KiB "), lines[1].endswith(" not measured here")) == (True, True)
    monkeypatch.setattr(check, "measure", lambda: [SEAL])
    assert check.main([]) == 0


def reading(plain_s: float, primitive_s: float, ours_s: float) -> list[Result]:
    """Return a run in which 10^9 bytes take so long: to read in clear, to open by the primitive, to read and open."""
    opening = Result("kernel open", "native", 4096, 1, 1e-4, 1 / primitive_s, of_primitive=1.0)
    return [opening, replace(READ, gb_per_s=1 / ours_s, of_plain=plain_s / ours_s)]


@pytest.mark.parametrize(("own_s", "slower"), [(0.05, 0), (0.3, 1)])
def test_a_processor_that_opens_slower_makes_no_read_slower(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own_s: float, slower: int
) -> None:
    """What a read takes beyond its two parts does."""
    monkeypatch.setattr(check, "read_baseline", lambda _: reading(0.1, 0.1, 0.1 + 0.1 + 0.05))
    monkeypatch.setattr(check, "measure", lambda: reading(0.1, 0.3, 0.1 + 0.3 + own_s))
    assert check.main([]) == slower
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{slower} of 2 are slower")


def test_a_baseline_of_other_cases_compares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "measure", lambda: [SEAL])
    with pytest.raises(SystemExit, match="nothing was compared"):
        check.check([READ], 0.1)


def test_the_baseline_is_of_one_worker_and_has_both_kernels() -> None:
    found = check.read_baseline(check.BASELINE)
    assert json.loads(check.BASELINE.read_text())["quick"] is True
    assert {result.kernel for result in found} == {"native", "portable"}
    assert all(result.ratio and result.threads == result.processes == 1 for result in found)


def test_the_groups_run_with_this_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(groups.GROUPS, "kernel", script(f"assert sys.executable == {sys.executable!r}\nprint('[]')"))
    assert groups.measure("kernel", quick=True).failed == ""


def test_help_measures_and_installs_nothing(tmp_path: Path) -> None:
    for module in ("report", "check", "emulator", "clouds", "control", "peers.environment", "peers.throughput"):
        asked = [sys.executable, "-m", f"benchmarks.{module}", "--help"]
        ended = subprocess.run(
            asked,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(groups.ROOT)},
        )
        assert (ended.returncode, ended.stderr) == (0, ""), module
        assert ended.stdout.startswith(f"usage: python -m benchmarks.{module} ")
        assert list(tmp_path.iterdir()) == []


def test_a_peer_is_named_with_its_own_version_not_with_that_of_its_binding() -> None:
    assert int(throughput.version("SQLCipher").split(".")[0]) >= 4  # the binding for Python is at 0
    assert throughput.version("keystore") == metadata.version("cmk-keystore")


def test_figures_outside_the_report_say_of_which_commit_they_are() -> None:
    here = emulator.machine(("cryptography",))
    assert here["commit"] == machine.commit()
    assert f"cryptography {metadata.version('cryptography')}. {here['date']}, commit {here['commit']}." in (
        emulator.machine_line(here)
    )


def test_a_group_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.arguments(["kernel", "bogus"])
    assert "there is no group bogus; known are kernel, store" in capsys.readouterr().err


def test_what_one_process_measured_lies_in_its_own_span() -> None:
    run = [replace(SEAL, page_bytes=4096, of_library=2.88512345)]
    found = bars.judge(bars.bars("native"), {"kernel": medians([run])}, {"kernel": [run]})
    spans = [(each.value, each.span) for each in found if each.bar.unit.startswith("of one call") and each.value]
    assert spans == [(2.885, (2.885, 2.885))]
