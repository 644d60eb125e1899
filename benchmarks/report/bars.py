"""The bars: what was asked for, what was measured, and whether it is reached."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keystore.bench.result import Result, medians

Value = Callable[[Result], float | None]


@dataclass(frozen=True)
class Bar:
    """One figure that was asked for.

    Attributes:
        unit: what the figure is a fraction or a multiple of.
        at_most: whether less is better; else more is.
        aim: what one would like, where it is more than the bar.
        cases: results that it holds for, by name, kernel, page sizes and workers; the worst of them counts.
        profile: the case of `benchmarks.report.profiles` that shows what is in the way.
    """

    what: str
    unit: str
    limit: float
    names: tuple[str, ...]
    kernel: str
    value: Value
    page_bytes: tuple[int, ...] = ()
    threads: int = 1
    at_most: bool = False
    aim: float | None = None
    group: str = "kernel"
    profile: str = ""

    def matches(self, result: Result) -> bool:
        return (
            result.name in self.names
            and result.kernel == self.kernel
            and result.threads == self.threads
            and result.processes == 1
            and (not self.page_bytes or result.page_bytes in self.page_bytes)
        )

    def reached_by(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit


@dataclass(frozen=True)
class Verdict:
    """What came of a bar; `value` is None where nothing was measured, `span` of all processes and cases."""

    bar: Bar
    value: float | None
    span: tuple[float, float] | None

    @property
    def reached(self) -> bool | None:
        return None if self.value is None else self.bar.reached_by(self.value)


def _primitive(result: Result) -> float | None:
    return result.of_primitive


def _plain(result: Result) -> float | None:
    return result.of_plain


def _times_plain(result: Result) -> float | None:
    return 1 / result.of_plain if result.of_plain else None


def _library(result: Result) -> float | None:
    return result.of_library


def _one(result: Result) -> float | None:
    return result.of_one


def _touched(result: Result) -> float | None:
    return None if result.counts is None else float(result.counts["data_files_touched"])


SEAL, OPEN = ("kernel seal",), ("kernel open",)
LARGE = (16384, 32768, 65536)


def _kernel_bars() -> Iterator[Bar]:
    for names, verb in ((SEAL, "seal"), (OPEN, "open")):
        loop = "of the bare aws-lc-rs loop"
        yield Bar(
            f"native kernel, {verb}, 4 KiB",
            loop,
            0.85,
            names,
            "native",
            _primitive,
            (4096,),
            profile=f"kernel {verb}, native, 4 KiB",
        )
        yield Bar(
            f"native kernel, {verb}, 16 to 64 KiB",
            loop,
            0.95,
            names,
            "native",
            _primitive,
            LARGE,
            profile=f"kernel {verb}, native, 16 KiB",
        )
        library = "of one call a page through `cryptography`"
        yield Bar(
            f"native kernel, {verb}, 4 KiB",
            library,
            2.0,
            names,
            "native",
            _library,
            (4096,),
            profile=f"kernel {verb}, native, 4 KiB",
        )
        yield Bar(
            f"native kernel, {verb}, 2 threads on 2 physical cores, 16 to 64 KiB", "of one thread", 1.8, names,
            "native",
            _one, LARGE, threads=2, profile=f"kernel {verb}, native, 2 threads",
        )  # fmt: skip
        yield Bar(
            f"portable kernel, {verb}, 4 to 64 KiB", "of a bare loop over `cryptography`", 0.9, names, "portable",
            _primitive, profile=f"kernel {verb}, portable",
        )  # fmt: skip


def _store_bars(kernel: str) -> Iterator[Bar]:
    for threads, limit in ((1, 0.45), (2, 0.7)):
        yield Bar(
            f"scan, 16 KiB, in the system's cache, {threads} thread{'s' if threads > 1 else ''}", "of `preadv`", limit,
            ("scan",), kernel, _plain, (16384,), threads=threads, group="store", profile="scan",
        )  # fmt: skip
    reading = ("random read",), "times the time of `os.pread`"
    yield Bar(
        "random read, 4 KiB, not in our cache, native", reading[1], 5, reading[0], "native", _times_plain, (4096,),
        at_most=True, aim=3, group="store", profile="random read",
    )  # fmt: skip
    yield Bar(
        "random read, 4 KiB, not in our cache, portable", reading[1], 8, reading[0], "portable", _times_plain, (4096,),
        at_most=True, group="portable", profile="random read, portable",
    )  # fmt: skip
    for name, limit, aim in (("commit 1 page", 1.5, 1.15), ("commit 256 pages", 1.3, None)):
        yield Bar(
            f"durable {name}, 16 KiB", "times the time of `pwrite` of as much and 4 KiB, and `fdatasync`", limit,
            (name,), kernel, _times_plain, (16384,), at_most=True, aim=aim, group="store", profile=name,
        )  # fmt: skip


def bars(kernel: str) -> list[Bar]:
    """Return all bars; `kernel` is that of the stores and nodes."""
    copy = "of a plain copy with fsync"
    rotation = ("rotate master key, 4 GiB",)
    return [
        *_kernel_bars(),
        *_store_bars(kernel),
        Bar("snapshot", copy, 0.7, ("snapshot",), kernel, _plain, group="node", profile="snapshot"),
        Bar("restore, verified", copy, 0.7, ("restore, verified",), kernel, _plain, group="node", profile="restore"),
        Bar(
            "rotation, 4 GiB",
            "times the time at 1 MiB",
            1.5,
            rotation,
            kernel,
            _times_plain,
            at_most=True,
            group="rotation",
        ),
        Bar("rotation, 4 GiB", "data files written to", 0, rotation, kernel, _touched, at_most=True, group="rotation"),
    ]


def judge(
    chosen: Sequence[Bar], results: Mapping[str, Sequence[Result]], runs: Mapping[str, Sequence[Sequence[Result]]]
) -> list[Verdict]:
    """Compare every bar with the medians of its group, and say how far the single processes were apart."""
    verdicts = []
    for bar in chosen:
        matching = [bar.value(result) for result in results.get(bar.group, ()) if bar.matches(result)]
        values = [value for value in matching if value is not None]
        # each rounded as the medians are, so that none of these lies outside its own span
        alone = [result for run in runs.get(bar.group, ()) for result in medians([run]) if bar.matches(result)]
        single = [bar.value(result) for result in alone]
        seen = [value for value in single if value is not None]
        worst = (max if bar.at_most else min)(values) if values else None
        verdicts.append(Verdict(bar, worst, (min(seen), max(seen)) if seen else None))
    return verdicts


NOT_MEASURED: Final = "not measured"
