"""`keystore bench`: what a report holds, and what a comparison of two says. No time is asserted."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystore.bench.comparing import compare, slower
from keystore.bench.kernels import has_native
from keystore.bench.result import Result, medians
from keystore.bench.timing import ROUNDS_MIN, beside
from keystore.crypto.kernel import KERNEL

CASE = Result("scan", "portable", 4096, 1, 0.5, 2.0, of_plain=0.5)


def keystore(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keystore.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def report(path: Path, results: Sequence[Result]) -> str:
    path.write_text(json.dumps({"machine": {}, "results": [result.encode() for result in results]}))
    return str(path)


def names(results: list[dict[str, Any]], kernel: str) -> set[str]:
    return {result["name"] for result in results if result["kernel"] == kernel}


def test_a_quick_report_of_everything() -> None:
    ended = keystore("bench", "--quick", "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["machine"]["page_kernel"] == KERNEL.name
    results = told["results"]
    assert names(results, "portable") >= {"kernel seal", "kernel open"}
    assert (names(results, "native") >= {"kernel seal", "kernel open"}) == has_native()
    assert names(results, KERNEL.name) >= {
        *("random read", "scan", "commit 1 page", "commit 16 pages", "commit 256 pages", "checkpoint of 256 pages"),
        *("import", "export", "snapshot", "increment, 1 % changed", "restore, verified", "rotate master key"),
    }
    for result in results:
        assert result["seconds"] > 0
        assert result["page_bytes"] in (4096, 16384)
        ratios = {"of_primitive", "of_plain"} & set(result)
        assert ratios == (set() if result["name"].startswith("checkpoint") else {_other(result["name"])})
    assert len({Result.decode(result).case for result in results}) == len(results)


def _other(name: str) -> str:
    return "of_primitive" if name.startswith("kernel") else "of_plain"


def test_only_the_groups_asked_for() -> None:
    ended = keystore("bench", "--quick", "kernel")
    assert ended.returncode == 0, ended.stderr
    assert "kernel seal" in ended.stdout
    assert "commit" not in ended.stdout
    refused = keystore("bench", "--quick", "kernel", "disk")
    assert refused.returncode == 2
    assert "there is no group disk; known are kernel, store, node" in refused.stderr


def test_medians_of_several_processes() -> None:
    runs = [[replace(CASE, seconds=seconds, of_plain=ratio)] for seconds, ratio in ((3.0, 0.1), (1.0, 0.9), (2.0, 0.8))]
    other = replace(CASE, name="import", of_plain=None)
    assert medians([[*run, other] for run in runs]) == [replace(CASE, seconds=2.0, of_plain=0.8), other]


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


@pytest.mark.parametrize("content", [None, "no JSON", "{}", '{"results": [{}]}', '{"results": [{"name": 1, "x": 2}]}'])
def test_what_is_no_report(tmp_path: Path, content: str | None) -> None:
    former, other = report(tmp_path / "a", [CASE]), tmp_path / "b"
    if content is not None:
        other.write_text(content)
    ended = keystore("bench", "--compare", former, str(other))
    assert ended.returncode == (6 if content is None else 2)
    assert str(other) in ended.stderr
    assert "Nothing was compared" in ended.stderr
