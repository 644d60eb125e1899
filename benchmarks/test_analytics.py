"""Prints the cost of Parquet on encrypted files; see `benchmarks.analytics`."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.analytics import as_markdown, measure


def test_parquet_beside_plain_files(benchmark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = benchmark.pedantic(measure, args=(tmp_path, 2.0), rounds=1, iterations=1)
    benchmark.extra_info |= figures
    with capsys.disabled():
        print(f"\n{as_markdown(figures)}")
    assert len(figures["works"]) == 5
    assert all(each["ours_ms"] > 0 for each in figures["works"])
