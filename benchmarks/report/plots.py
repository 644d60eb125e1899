"""Plots of a report as SVG, each for light and for dark pages, on a transparent ground; the same bytes in every run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt

from benchmarks.report.tables import duration, number, size, workers
from keystore.bench.result import Result

Runs = Sequence[Sequence[Result]]


@dataclass(frozen=True)
class Style:
    """Colours of a plot: text and axes, the grid, and series in their order."""

    text: str
    grid: str
    series: tuple[str, ...]


STYLES = {
    "light": Style("#1f2328", "#d8dee4", ("#0550ae", "#bc4c00", "#1a7f37", "#8250df", "#656d76")),
    "dark": Style("#e6edf3", "#30363d", ("#58a6ff", "#f0883e", "#56d364", "#bc8cff", "#8b949e")),
}
LATENCIES = {
    "random read, our cache": "our cache",
    "random read": "the system's cache",
    "random read, cold": "the disk",
}


def draw(folder: Path, runs: Mapping[str, Runs], results: Mapping[str, Sequence[Result]]) -> list[str]:
    """Write every plot that there is something to show of; return their names, without the ending."""
    drawn = []
    for name, make in PLOTS.items():
        for style in STYLES:
            if not _draw_one(folder / f"{name}-{style}.svg", make, STYLES[style], runs, results):
                break
        else:
            drawn.append(name)
    return drawn


def _draw_one(path: Path, make: "Plot", style: Style, runs: Mapping[str, Runs], results: Any) -> bool:
    settings: Any = {
        "svg.hashsalt": "keystore", "svg.fonttype": "path", "font.size": 10, "axes.spines.top": False,
        "axes.spines.right": False, "text.color": style.text, "axes.labelcolor": style.text,
        "axes.edgecolor": style.text,
        "axes.titlecolor": style.text, "xtick.color": style.text, "ytick.color": style.text, "grid.color": style.grid,
        "legend.frameon": False, "axes.grid": True, "axes.axisbelow": True,
    }  # fmt: skip
    with mpl.rc_context(settings):
        figure = make(style, runs, results)
        if figure is None:
            return False
        figure.savefig(
            path, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None, "Creator": None}
        )
        plt.close(figure)
    return True


# -- the plots --------------------------------------------------------------------------------------------------------


def throughput(style: Style, runs: Mapping[str, Runs], _: Any) -> Any:
    """GB/s by page size: the kernels, and the dashed line of the primitive."""
    found = runs.get("kernel", ())
    series: list[tuple[str, Callable[[Result, str], bool], str]] = [
        ("native, 2 processes", lambda r, w: r.kernel == "native" and r.processes > 1 and r.name == f"kernel {w}", "-"),
        ("native, 2 threads", lambda r, w: r.kernel == "native" and r.threads > 1 and r.name == f"kernel {w}", "-"),
        ("native", lambda r, w: _single(r, "native") and r.name == f"kernel {w}", "-"),
        ("portable", lambda r, w: _single(r, "portable") and r.name == f"kernel {w}", "-"),
        ("one call a page, cryptography", lambda r, w: r.name == f"one call a page, {w}", "-"),
        ("primitive: bare loop, aws-lc-rs", lambda r, w: r.name == f"bare loop, {w}" and r.threads == 1, "--"),
    ]
    colours = (*style.series, style.text)
    figure, axes = plt.subplots(1, 2, figsize=(9.4, 4.0), sharey=True)
    anything, highest = False, 0.0
    for axis, what in zip(axes, ("seal", "open"), strict=True):
        for (label, wanted, line), colour in zip(series, colours, strict=True):
            points = _points([r for run in found for r in run if wanted(r, what)])
            if points:
                anything = True
                _line(axis, points, label, colour, line)
        axis.set_title(what, loc="left", fontweight="bold")
        axis.set_xlabel("page size")
        axis.set_xscale("log", base=2)
        axis.set_xticks([4096 << i for i in range(5)], [f"{4 << i} KiB" for i in range(5)])
        axis.minorticks_off()
        highest = max(highest, axis.get_ylim()[1])
    if not anything:
        plt.close(figure)
        return None
    axes[0].set_ylim(0, highest)
    axes[0].set_ylabel("GB/s (10⁹ bytes), AES-256-GCM")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, bbox_to_anchor=(0.5, -0.12))
    figure.tight_layout()
    return figure


def _single(result: Result, kernel: str) -> bool:
    return result.kernel == kernel and result.threads == 1 and result.processes == 1


def _points(results: Sequence[Result]) -> list[tuple[int, float, float, float]]:
    """Return page size, median, smallest and largest GB/s of the processes."""
    by_size: dict[int, list[float]] = {}
    for result in results:
        if result.gb_per_s:
            by_size.setdefault(result.page_bytes, []).append(result.gb_per_s)
    return [(page, median(values), min(values), max(values)) for page, values in sorted(by_size.items())]


def _line(axis: Any, points: Sequence[tuple[float, float, float, float]], label: str, colour: str, line: str) -> None:
    x, middle = [p[0] for p in points], [p[1] for p in points]
    errors = [[p[1] - p[2] for p in points], [p[3] - p[1] for p in points]]
    mark = "" if line == "--" else "o"
    axis.errorbar(
        x, middle, yerr=errors, label=label, color=colour, linestyle=line, marker=mark, markersize=4, capsize=2
    )


def latency(style: Style, _: Any, results: Mapping[str, Sequence[Result]]) -> Any:
    """p50, p99 and p99.9 of a read, where it comes from, beside the same without encryption."""
    found = [
        r for name in LATENCIES for r in results.get("store", ()) if r.name == name and r.page_bytes in (4096, 16384)
    ]
    found = [result for result in found if result.percentiles_s and result.plain_percentiles_s]
    if not found:
        return None
    figure, axis = plt.subplots(figsize=(9.4, 0.5 * len(found) + 1.6))
    for place, result in enumerate(reversed(found)):
        for values, colour, shift in (
            (result.percentiles_s or {}, style.series[0], 0.13),
            (result.plain_percentiles_s or {}, style.series[4], -0.13),
        ):
            points = [
                (values[name], mark) for name, mark in (("p50", "o"), ("p99", "|"), ("p99.9", "x")) if name in values
            ]
            axis.plot([x for x, _ in points], [place + shift] * len(points), color=colour, linewidth=1)
            for x, mark in points:
                axis.plot([x], [place + shift], marker=mark, color=colour, markersize=8 if mark != "o" else 6)
    axis.set_yticks(range(len(found)), [f"{LATENCIES[r.name]}, {size(r.page_bytes)}" for r in reversed(found)])
    axis.set_xscale("log")
    _time_axis(axis)
    axis.set_xlabel("a random read of one page; dot p50, bar p99, cross p99.9 where enough were read to tell")
    axis.plot([], [], color=style.series[0], label="keystore")
    axis.plot([], [], color=style.series[4], label="os.pread, no encryption")
    axis.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.18 if len(found) < 4 else 1.12))
    return figure


def overhead(style: Style, _: Any, results: Mapping[str, Sequence[Result]]) -> Any:
    """How many times as long as the same work without encryption."""
    wanted = [
        r
        for group in ("store", "node", "log")
        for r in results.get(group, ())
        if r.of_plain and not r.plain and r.page_bytes == 16384
    ]
    if not wanted:
        return None
    wanted.sort(key=lambda r: -(r.of_plain or 1))
    figure, axis = plt.subplots(figsize=(9.4, 0.33 * len(wanted) + 1.2))
    for place, result in enumerate(wanted):
        times = 1 / (result.of_plain or 1)
        low, high = result.range or (result.of_plain or 1, result.of_plain or 1)
        axis.plot([1, times], [place, place], color=style.series[0], linewidth=7, solid_capstyle="butt")
        axis.plot([1 / high, 1 / low], [place, place], color=style.text, linewidth=1)
        axis.annotate(
            f"{number(times)}x", (max(times, 1 / low, 1), place), xytext=(5, 0), textcoords="offset points", va="center"
        )
    axis.set_yticks(range(len(wanted)), [_label(r) for r in wanted])
    axis.grid(visible=False, axis="y")
    axis.set_xscale("log")
    axis.margins(x=0.12)
    least, most = axis.get_xlim()
    ticks = [t for t in (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100) if least <= t <= most]
    axis.set_xticks(ticks, [f"{t:g}x" for t in ticks])
    axis.minorticks_off()
    axis.axvline(1, color=style.text, linestyle="--", linewidth=1)
    axis.set_xlabel("time, as a multiple of the same work without encryption (dashed); 16 KiB pages")
    return figure


def _label(result: Result) -> str:
    return result.name if workers(result) == "1" else f"{result.name}, {workers(result)}"


def rotation(style: Style, runs: Mapping[str, Runs], _: Any) -> Any:
    """Time of a rotation of the master key by the size of the node."""
    by_size: dict[int, list[float]] = {}
    for run in runs.get("rotation", ()):
        for result in run:
            if result.counts and "node_bytes" in result.counts:
                by_size.setdefault(result.counts["node_bytes"], []).append(result.seconds * 1e3)
    if len(by_size) < 2:
        return None
    figure, axis = plt.subplots(figsize=(9.4, 2.8))
    points = [(node, median(values), min(values), max(values)) for node, values in sorted(by_size.items())]
    _line(axis, points, "rotation", style.series[0], "-")
    axis.set_xscale("log", base=2)
    axis.set_xticks(list(by_size), [f"{n >> 30} GiB" if n >= 1 << 30 else f"{n >> 20} MiB" for n in by_size])
    axis.minorticks_off()
    axis.set_ylim(0, max(point[3] for point in points) * 1.25)
    axis.set_xlabel("data in the node")
    axis.set_ylabel("rotation, ms")
    return figure


def peers(style: Style, _: Any, results: Mapping[str, Sequence[Result]]) -> Any:
    """MB/s of the same work by others."""
    found = results.get("peers", ())
    names = list(dict.fromkeys(result.name for result in found))
    if not names:
        return None
    groups = [[r for r in found if r.name == name] for name in names]
    figure, axes = plt.subplots(
        len(names), 1, figsize=(9.4, sum(len(g) for g in groups) * 0.3 + 0.6 * len(names)),
        gridspec_kw={"height_ratios": [len(g) for g in groups]},
    )  # fmt: skip
    for axis, name, group in zip([axes] if len(names) == 1 else axes, names, groups, strict=True):
        ordered = sorted(group, key=lambda r: r.gb_per_s or 0)
        for place, result in enumerate(ordered):
            colour = style.series[0] if result.kernel.startswith("keystore") else style.series[4]
            speed = (result.gb_per_s or 0) * 1e3
            axis.barh(place, speed, color=colour, height=0.7)
            axis.annotate(number(speed), (speed, place), xytext=(4, 0), textcoords="offset points", va="center")
        axis.set_yticks(range(len(ordered)), [r.kernel for r in ordered])
        axis.set_title(name.removeprefix("peer: "), loc="left", fontweight="bold", fontsize=10)
        axis.set_xlim(0, max((r.gb_per_s or 0) * 1e3 for r in group) * 1.12)
        axis.grid(visible=False, axis="y")
    last = axes if len(names) == 1 else axes[-1]
    last.set_xlabel("MB/s (10⁶ bytes), longer is faster; each has a scale of its own")
    figure.tight_layout()
    return figure


def _time_axis(axis: Any) -> None:
    ticks = [t for t in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1) if axis.get_xlim()[0] <= t <= axis.get_xlim()[1]]
    axis.set_xticks(ticks, [duration(t) for t in ticks])
    axis.minorticks_off()


Plot = Callable[[Style, Mapping[str, Runs], Mapping[str, Sequence[Result]]], Any]
PLOTS: dict[str, Plot] = {
    "throughput": throughput,
    "latency": latency,
    "overhead": overhead,
    "rotation": rotation,
    "peers": peers,
}
