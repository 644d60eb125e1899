"""Prints the emulator's figures beside those of moto's server; see `benchmarks.emulator`."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.emulator import as_markdown, measure


def test_emulator_beside_moto(benchmark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = benchmark.pedantic(measure, args=(tmp_path,), rounds=1, iterations=1)
    benchmark.extra_info |= figures
    with capsys.disabled():
        print(f"\n{as_markdown(figures)}")
    for row in figures["calls_per_second"]:
        assert row["emulator"] > row.get("moto", 0)
