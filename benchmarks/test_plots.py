"""The plots of a report: drawn from invented runs, each for light and for dark pages, twice with the same bytes."""

from pathlib import Path
from typing import Any

from benchmarks.report.plots import PLOTS, STYLES, draw
from keystore.bench.result import Result, medians

SINGLE = {"p50": 1e-5, "p99": 5e-5, "p99.9": 1e-3}


def runs_of(scale: float) -> dict[str, list[Result]]:
    """Return one run of every group that a plot shows."""
    kernel = [
        Result(name, kind, page, threads, 1e-4, scale * page / 4096, 0.9, processes=processes)
        for page in (4096, 16384)
        for name, kind, threads, processes in (
            ("kernel seal", "native", 1, 1),
            ("kernel seal", "native", 2, 1),
            ("kernel seal", "native", 1, 2),
            ("bare loop, seal", "aws-lc-rs", 1, 1),
        )
    ]
    read = Result(
        "random read", "native", 4096, 1, 1e-5, of_plain=0.3, percentiles_s=SINGLE, plain_percentiles_s=SINGLE
    )
    rotations = [
        Result(f"rotate {size}", "native", 16384, 1, 1e-3 * scale, of_plain=1.0, counts={"node_bytes": size})
        for size in (1 << 20, 1 << 30)
    ]
    peers = [Result("peer: write", name, 4096, 1, 1.0, scale, of_plain=0.5) for name in ("keystore 1", "other 2")]
    scan = Result("scan", "native", 16384, 1, 1.0, scale, of_plain=0.5 * scale)
    return {"kernel": kernel, "store": [read, scan], "rotation": rotations, "peers": peers}


def test_plots_are_the_same_in_every_run(benchmark: Any, tmp_path: Path) -> None:
    single = [runs_of(scale) for scale in (1.0, 1.1, 0.9)]
    runs = {group: [run[group] for run in single] for group in single[0]}
    results = {group: medians(found) for group, found in runs.items()}
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    benchmark.pedantic(lambda: draw(folders[0], runs, results), rounds=1, iterations=1)
    assert draw(folders[1], runs, results) == list(PLOTS)
    for name in PLOTS:
        for style in STYLES:
            first, second = ((folder / f"{name}-{style}.svg").read_bytes() for folder in folders)
            assert first == second
            assert first.startswith(b"<?xml")
        assert (folders[0] / f"{name}-light.svg").read_bytes() != (folders[0] / f"{name}-dark.svg").read_bytes()


def test_nothing_measured_draws_nothing(benchmark: Any, tmp_path: Path) -> None:
    assert benchmark.pedantic(lambda: draw(tmp_path, {}, {}), rounds=1, iterations=1) == []
