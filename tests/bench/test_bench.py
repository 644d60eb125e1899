"""`keystore bench`: what a report holds, and what a comparison of two says. No time is asserted."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystore.bench import running, timing
from keystore.bench.comparing import compare, only_in, slower
from keystore.bench.kernels import has_native
from keystore.bench.result import Result, medians
from keystore.bench.running import run_here
from keystore.bench.timing import ROUNDS_MIN, beside, percentiles
from keystore.cli.bench_command import _print_results
from keystore.cli.doctor import file_system
from keystore.crypto.kernel import KERNEL
from keystore.errors import KeystoreError

MACHINE = {
    "cpu": "one", "cpus": 2, "python": "3", "openssl": "4", "page_kernel": "portable", "temporary_files": "ext4",
}  # fmt: skip
CASE = Result("scan", "portable", 4096, 1, 0.5, 2.0, of_plain=0.5)


def keystore(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keystore.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def report(path: Path, results: Sequence[Result], **more: object) -> str:
    path.write_text(json.dumps({"machine": {}, "results": [result.encode() for result in results]} | more))
    return str(path)


def names(results: list[dict[str, Any]], kernel: str) -> set[str]:
    return {result["name"] for result in results if result["kernel"] == kernel}


def test_a_quick_report_of_everything() -> None:
    ended = keystore("bench", "--quick", "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["machine"]["page_kernel"] == KERNEL.name
    assert told["machine"]["temporary_files"] == file_system(Path(tempfile.gettempdir()))
    assert told["quick"] is True
    results = told["results"]
    assert names(results, "portable") >= {"kernel seal", "kernel open"}
    assert (names(results, "native") >= {"kernel seal", "kernel open"}) == has_native()
    assert names(results, KERNEL.name) >= {
        *("random read", "random read, our cache", "random read, cold", "scan"),
        *("commit 1 page", "commit 16 pages", "commit 256 pages", "checkpoint of 256 pages", "recovery, 50 commits"),
        *("import", "export", "snapshot", "increment, 1 % changed", "restore, verified"),
        *("commit 16 pages, with a log", "restore to a time"),
        *("rotate master key, 1 MiB", "rotate master key, 16 MiB", "random read during rotations"),
        "reseal under a new data key",
    }
    for result in results:
        assert result["seconds"] > 0
        assert result["page_bytes"] in (32, 4096, 16384)
        assert {"of_primitive", "of_plain"} & set(result) == _beside(result)
    assert len({Result.decode(result).case for result in results}) == len(results)
    assert {result["plain"]: result["name"] for result in results if "plain" in result} == {
        "one write": "commit 1 page, its writes alone",
        "one without a log": "commit 16 pages, with a log",
        "that of 1 MiB": "rotate master key, 16 MiB",
        "those without rotations": "random read during rotations",
    }


def _beside(result: dict[str, Any]) -> set[str]:
    """What stands beside a case: nothing, where it is one of those that stand beside others."""
    name, alone = result["name"], ("checkpoint", "recovery", "reseal", "one call", "bare loop", "copy")
    if name.startswith(alone) or result["processes"] > 1:
        return set()
    return {"of_primitive"} if name.startswith(("kernel", "unwrap")) else {"of_plain"}


def test_rotations_write_no_data_file_and_as_much_whatever_the_size(tmp_path: Path) -> None:
    found = run_here("rotation", tmp_path, quick=True)
    counts = {result.name: result.counts for result in found if result.name.startswith("rotate")}
    small, large = counts["rotate master key, 1 MiB"], counts["rotate master key, 16 MiB"]
    assert small is not None
    assert large is not None
    assert small["data_files_touched"] == large["data_files_touched"] == 0
    assert small["kms_calls"] == large["kms_calls"]
    assert abs(large["bytes_written"] - small["bytes_written"]) < 64
    again = run_here("rotation", tmp_path, quick=True)
    assert [result.case for result in again] == [result.case for result in found]


def test_percentiles_that_so_many_calls_can_tell() -> None:
    seconds = [number / 1000 for number in range(1, 1001)]
    assert percentiles([]) == percentiles([1.0]) == {}
    assert percentiles([1.0, 2.0, 3.0]) == {"p50": 2.0}
    assert set(percentiles(seconds[:100])) == {"p50", "p99"}
    assert percentiles(seconds) == pytest.approx({"p50": 0.5005, "p99": 0.99001, "p99.9": 0.999001})


def test_only_the_groups_asked_for() -> None:
    ended = keystore("bench", "--quick", "kernel")
    assert ended.returncode == 0, ended.stderr
    assert "kernel seal" in ended.stdout
    assert "commit" not in ended.stdout
    refused = keystore("bench", "--quick", "kernel", "disk")
    assert refused.returncode == 2
    assert "there is no group disk; known are kernel, store, node, log, rotation" in refused.stderr


def test_a_process_that_takes_too_long_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it wrote for itself, gigabytes in the long form, is removed with what all of a group have."""
    left: list[Path] = []

    def run(command: Sequence[str], *, env: Mapping[str, str], timeout: float, **_: object) -> None:
        left.append(Path(tempfile.mkdtemp(dir=env["TMPDIR"])))  # as `tempfile` does in a process of that environment
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("TMPDIR", tempfile.gettempdir())
    with pytest.raises(KeystoreError, match=r"took more than 1800 s\. Nothing is left of it\."):
        list(running.run_group("node", 1, quick=True, tell=lambda _: None))
    assert [path.exists() for path in left] == [False]


def test_medians_of_several_processes() -> None:
    runs = [[replace(CASE, seconds=seconds, of_plain=ratio)] for seconds, ratio in ((3.0, 0.1), (1.0, 0.9), (2.0, 0.8))]
    other = replace(CASE, name="import", of_plain=None, percentiles_s={"p50": 0.5})
    assert medians([[*run, other] for run in runs]) == [
        replace(CASE, seconds=2.0, of_plain=0.8, range=(0.1, 0.9)),
        replace(other, range=(0.5, 0.5)),
    ]
    assert medians([[CASE]]) == [CASE]
    assert Result.decode(json.loads(json.dumps(replace(CASE, range=(0.1, 0.9)).encode()))).range == (0.1, 0.9)


def test_processes_as_asked() -> None:
    ended = keystore("bench", "--quick", "--processes", "2", "--json", "rotation")
    assert ended.returncode == 0, ended.stderr
    assert all(len(result["range"]) == 2 for result in json.loads(ended.stdout)["results"])


def test_both_take_turns() -> None:
    order: list[str] = []

    def call(name: str, seconds: float) -> float:
        order.append(name)
        return seconds

    found = beside(lambda: call("ours", 0.4), lambda: call("other", 0.2), budget_s=0)
    assert (found.ours_s, found.other_s, found.ratio) == (0.4, 0.2, 0.5)
    assert order[::2] == ["ours"] * (len(order) // 2)
    assert order[1::2] == ["other"] * (len(order) // 2)
    assert len(order) >= 2 * ROUNDS_MIN


def test_processor_time_is_that_of_every_thread_until_now(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = time.clock_gettime

    def clock_gettime(clock: int) -> float:
        asked.append(clock)
        return read(clock)

    monkeypatch.setattr(time, "clock_gettime", clock_gettime)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert thread.ident is not None
        others = timing.clocks_of_others()
        assert time.pthread_getcpuclockid(thread.ident) in others
        assert timing.processor_s(others) <= time.process_time()
    finally:
        done.set()
        thread.join()
    assert asked == others


def test_comparison_goes_by_the_ratio() -> None:
    lost, won = replace(CASE, seconds=0.1, of_plain=0.4), replace(CASE, threads=2, of_plain=0.6)
    former = [
        CASE,
        replace(CASE, threads=2),
        replace(CASE, name="gone"),
        replace(CASE, name="checkpoint", of_plain=None),
    ]
    changes = compare(former, [won, lost, replace(CASE, name="new"), former[-1]])
    assert [(change.latter, round(change.change, 2)) for change in changes] == [(lost, 0.8), (won, 1.2)]
    assert slower(changes, 0.1) == changes[:1]
    assert slower(changes, 0.25) == []
    assert [result.name for result in only_in(former, [won, lost])] == ["gone"]


def test_what_became_slower_is_a_failure(tmp_path: Path) -> None:
    former = report(tmp_path / "a", [CASE])
    latter = report(tmp_path / "b", [replace(CASE, of_plain=0.42)])
    same = keystore("bench", "--compare", former, former)
    assert (same.returncode, "0 of 1 became slower" in same.stdout) == (0, True)
    lost = keystore("bench", "--compare", former, latter, "--json")
    assert lost.returncode == 1
    told = json.loads(lost.stdout)
    assert (told["ok"], told["compared"][0]["change"], told["compared"][0]["ratio_before"]) == (False, 0.84, 0.5)
    assert keystore("bench", "--compare", former, latter, "--threshold", "20").returncode == 0


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/disk xfs rw 0 0\n")
    found = [file_system(Path(path), mounts) for path in ("/home", "/tmp/x", "/tmp/disk/x", "/tmp/disk2")]
    assert found == ["ext4", "tmpfs", "xfs", "tmpfs"]
    assert file_system(Path("/home"), tmp_path / "none") == "unknown"


def test_what_only_one_report_has_is_told(tmp_path: Path) -> None:
    gone, new = replace(CASE, name="commit 256 pages", kernel="native"), replace(CASE, name="commit 16 pages")
    former, latter = report(tmp_path / "a", [CASE, gone]), report(tmp_path / "b", [CASE, new])
    told = json.loads(keystore("bench", "--compare", former, latter, "--json").stdout)
    assert [result["name"] for result in told["only_before"]] == ["commit 256 pages"]
    assert [result["name"] for result in told["only_now"]] == ["commit 16 pages"]
    lines = keystore("bench", "--compare", former, latter).stdout.splitlines()
    assert f"only in {former}: commit 256 pages, native, 4 KiB, 1" in lines
    assert f"only in {latter}: commit 16 pages, portable, 4 KiB, 1" in lines


def test_nothing_in_common_is_no_success(tmp_path: Path) -> None:
    former = report(tmp_path / "a", [CASE])
    ended = keystore("bench", "--compare", former, report(tmp_path / "b", [replace(CASE, name="other")]))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "no measured ratio in common" in ended.stderr


def test_a_quick_report_is_not_compared_with_a_full_one(tmp_path: Path) -> None:
    quick, full = (report(tmp_path / str(form), [CASE], quick=form) for form in (True, False))
    for pair in ((quick, full), (full, quick)):
        ended = keystore("bench", "--compare", *pair)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert f"{quick} was measured with --quick and {full} was not" in " ".join(ended.stderr.split())
    older = report(tmp_path / "older", [CASE])  # does not say
    assert keystore("bench", "--compare", older, quick).returncode == 0


@pytest.mark.parametrize("more", [["--quick"], ["--processes", "2"], ["kernel"]])
def test_a_comparison_measures_nothing(tmp_path: Path, more: list[str]) -> None:
    same = report(tmp_path / "a", [CASE])
    ended = keystore("bench", "--compare", same, same, *more)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--compare measures nothing: leave out" in ended.stderr


def test_a_threshold_without_a_comparison_is_refused() -> None:
    ended = keystore("bench", "--threshold", "5", "--quick", "kernel")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--threshold needs --compare" in ended.stderr


def test_a_table_says_where_files_were_made(capsys: pytest.CaptureFixture[str]) -> None:
    for files, in_memory in (("ext4", False), ("tmpfs", True)):
        _print_results(MACHINE | {"temporary_files": files}, [CASE])
        told = capsys.readouterr().out
        assert f"stores by the portable kernel, on {files}\n" in told
        assert ("not those of a disk" in told) == in_memory
        assert told.endswith(
            "note: pages are sealed by the portable kernel, which is slower; `make native` builds the native one\n"
        )


def test_the_table_names_every_case_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    """Two names that begin and end alike would be one where they are cut to the width of a terminal."""
    results = [
        replace(CASE, name="random read during rotations"),
        replace(CASE, kernel="native", processes=2, of_plain=None, of_one=1.8),
        replace(CASE, plain="one without a log"),
    ]
    _print_results(MACHINE, results)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("random read during rotations  portable")
    assert lines[2].endswith("0.50 of plain")
    assert lines[3].endswith("1.80 of one")
    assert lines[4].endswith("0.50 of one without a log")


@pytest.mark.parametrize(
    "content", [None, "no JSON", "{}", '{"results": [{}]}', '{"results": [1]}', '{"results": [{"name": 1, "x": 2}]}']
)
def test_what_is_no_report(tmp_path: Path, content: str | None) -> None:
    former, other = report(tmp_path / "a", [CASE]), tmp_path / "b"
    if content is not None:
        other.write_text(content)
    ended = keystore("bench", "--compare", former, str(other))
    assert ended.returncode == (6 if content is None else 2)
    assert str(other) in ended.stderr
    assert "Nothing was compared" in ended.stderr
