"""Prints the figures of the emulator's wires; see `benchmarks.clouds`."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.clouds import as_markdown, measure


def test_wires_of_the_emulator(benchmark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = benchmark.pedantic(measure, args=(tmp_path,), rounds=1, iterations=1)
    benchmark.extra_info |= figures
    with capsys.disabled():
        print(f"\n{as_markdown(figures)}")
    assert {row["cloud"] for row in figures["calls_per_second"]} == {"AWS", "AWS's shape", "Azure", "Google"}
    assert all(row["calls"] > 0 for row in figures["calls_per_second"])
