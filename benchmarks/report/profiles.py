"""Where the time of a case goes: sampled by perf, by Python's own profiler, and its system calls counted by strace.

`python -m benchmarks.report.profiles CASE quick|full` prints a JSON object. What is not installed, or not allowed, is
left out and said. The case runs in this process; perf and strace are attached to it for a while, after the preparation.
"""

import contextlib
import cProfile
import json
import os
import pstats
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

SAMPLED_S, SAMPLED_QUICK_S = 2.0, 0.5
ANSWER_MAX_S = 30.0
FREQUENCY = 1999
TOP = 8
PREPARED_BYTES = 64 << 20

Work = Callable[[], object]


# -- cases ------------------------------------------------------------------------------------------------------------


@contextmanager
def _scan(place: Path) -> Iterator[Work]:
    from keystore.bench.stores import pair

    with pair(place, 16384, PREPARED_BYTES) as made:
        yield lambda: [None for _ in made.store.scan()]


@contextmanager
def _random_read(place: Path) -> Iterator[Work]:
    from keystore.bench.stores import pair

    with pair(place, 4096, PREPARED_BYTES) as made:
        random, pages, read = Random(1), PREPARED_BYTES // 4096, made.store.read
        yield lambda: read(random.randrange(pages))


def _commit(count: int) -> Callable[[Path], Any]:
    @contextmanager
    def case(place: Path) -> Iterator[Work]:
        from keystore.bench.stores import pair

        with pair(place, 16384, PREPARED_BYTES) as made:
            random, pages, content = Random(1), PREPARED_BYTES // 16384, os.urandom(16384)
            yield lambda: made.store.commit(dict.fromkeys(random.sample(range(pages), count), content))

    return case


@contextmanager
def _node(place: Path) -> Iterator[Any]:
    from keystore.bench.stores import fill
    from keystore.kms.connect import connector
    from keystore.node.directory import Node
    from keystore.node.known_nodes import KnownNodes

    key = place / "key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(32))
    known = KnownNodes(place / "known_nodes")
    with Node.init(place / "node", f"local://{key}", connector(None), known_nodes=known) as node:
        with node.new_store("db", "file", 16384) as store:
            fill(store, PREPARED_BYTES)
        yield node, known


@contextmanager
def _snapshot(place: Path) -> Iterator[Work]:
    from keystore.node.snapshotting import snapshot
    from keystore.objects.directory import DirectoryPlace

    def work() -> None:
        snapshot(node, DirectoryPlace(place / "target"))
        shutil.rmtree(place / "target")

    with _node(place) as (node, _):
        yield work


@contextmanager
def _restore(place: Path) -> Iterator[Work]:
    from keystore.kms.connect import connector
    from keystore.node.restoring import restore
    from keystore.node.signers import Trust
    from keystore.node.snapshotting import snapshot
    from keystore.objects.directory import DirectoryPlace

    with _node(place) as (node, known):
        target = DirectoryPlace(place / "target")
        made = snapshot(node, target)

        def work() -> None:
            restore(target, made.snapshot_id, place / "restored", connector(None), trust=Trust(known))
            shutil.rmtree(place / "restored")

        yield work


def _kernel(what: str, page_bytes: int, kernel: str, threads: int) -> Callable[[Path], Any]:
    @contextmanager
    def case(_: Path) -> Iterator[Work]:
        from keystore.bench.kernels import BATCH_BYTES, BATCH_OF_THREADS_BYTES, Batch
        from keystore.crypto.kernel import choose

        chosen = choose(kernel)
        if kernel == "native":
            from keystore.crypto.native import NativeKernel

            chosen = NativeKernel(choose("portable"), threads)
        yield Batch(page_bytes, BATCH_BYTES if threads == 1 else BATCH_OF_THREADS_BYTES).work(what, chosen)

    return case


PORTABLE = ", portable"
"""How the name of a case ends that is run with KEYSTORE_KERNEL=portable."""
CASES: dict[str, Callable[[Path], Any]] = {
    **{f"kernel {what}, native, 4 KiB": _kernel(what, 4096, "native", 1) for what in ("seal", "open")},
    **{f"kernel {what}, native, 16 KiB": _kernel(what, 16384, "native", 1) for what in ("seal", "open")},
    **{f"kernel {what}, native, 2 threads": _kernel(what, 16384, "native", 2) for what in ("seal", "open")},
    **{f"kernel {what}, portable": _kernel(what, 4096, "portable", 1) for what in ("seal", "open")},
    "scan": _scan,
    "random read": _random_read,
    "random read, portable": _random_read,
    "commit 1 page": _commit(1),
    "commit 256 pages": _commit(256),
    "snapshot": _snapshot,
    "restore": _restore,
}


# -- looking at one ---------------------------------------------------------------------------------------------------


def profile(case: str, seconds: float) -> dict[str, Any]:
    """Return what all three tools say of a case, and how long one turn of it takes without them."""
    with tempfile.TemporaryDirectory(prefix="keystore-bench-") as root:
        place = Path(root)
        (place / "work").mkdir()
        with CASES[case](place / "work") as work:
            for _ in range(3):
                work()
            turns, took = _repeat(work, seconds / 2)
            return {
                "case": case,
                "seconds_a_turn": took / turns,
                "sampled": _by_perf(work, seconds, place / "perf.data"),
                "functions": _by_python(work, seconds / 2),
                "system_calls_a_turn": _by_strace(work, turns, place / "strace"),
            }


def _repeat(work: Work, seconds: float) -> tuple[int, float]:
    turns, start = 0, time.perf_counter()
    while (took := time.perf_counter() - start) < seconds or turns == 0:
        work()
        turns += 1
    return turns, took


def _by_perf(work: Work, seconds: float, data: Path) -> dict[str, Any] | str:
    """Return the shares of libraries, and of the functions in them, of all samples."""
    if shutil.which("perf") is None:
        return "perf is not installed"
    control, orders = os.pipe()
    answers, acknowledge = os.pipe()
    command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-p", str(os.getpid()), "-o", str(data)]
    command += ["-D", "-1", "--control", f"fd:{control},{acknowledge}"]
    sampler = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=(control, acknowledge)
    )
    os.close(control)
    os.close(acknowledge)
    with os.fdopen(orders, "wb", buffering=0) as order, os.fdopen(answers, "rb", buffering=0) as answer:
        with contextlib.suppress(BrokenPipeError):
            order.write(b"enable\n")
        if answer.read(1):  # nothing, where perf has ended because it is not allowed to
            _repeat(work, seconds)
        sampler.send_signal(signal.SIGINT)
        _, said = sampler.communicate(timeout=ANSWER_MAX_S)
    report = [
        "perf",
        "report",
        "-q",
        "-i",
        str(data),
        "--stdio",
        "--sort",
        "dso,symbol",
        "-F",
        "sample,dso,symbol",
        "-t",
        "\t",
    ]
    told = subprocess.run(report, capture_output=True, text=True, timeout=ANSWER_MAX_S, check=False).stdout
    libraries: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for line in told.splitlines():
        count, _, rest = line.strip().partition("\t")
        library, _, function = rest.partition("\t")
        if not count.strip().isdigit():
            continue
        name = function.strip().removeprefix("[.] ").removeprefix("[k] ").split(" ")[0].rstrip("-").strip()
        libraries[_plain_name(library.strip())] += int(count)
        if not name.startswith("0x"):  # a function that a stripped library has no name of
            functions[f"{name} ({_plain_name(library.strip())})"] += int(count)
    total = libraries.total()
    if not total:
        return f"perf took no sample: {' '.join(said.decode().split()) or 'it said nothing'}"
    return {
        "samples": total,
        "libraries": {name: round(count / total, 3) for name, count in libraries.most_common(TOP)},
        "functions": {name: round(count / total, 3) for name, count in functions.most_common(TOP)},
    }


def _plain_name(library: str) -> str:
    for part, name in (
        ("cmk_keystore_native", "the native kernel with AWS-LC"),
        ("_rust", "cryptography with OpenSSL"),
        ("libpython", "Python"),
        ("python3", "Python"),
        ("kernel.kallsyms", "the system"),
        ("multiarray", "numpy"),
        ("libc.so", "the C library"),
    ):
        if part in library:
            return name
    return library


def _by_python(work: Work, seconds: float) -> dict[str, float]:
    """Return the shares of functions, without those that they call; the profiler makes small ones look larger."""
    profiler = cProfile.Profile()
    profiler.enable()
    _repeat(work, seconds)
    profiler.disable()
    told: Any = pstats.Stats(profiler)
    own = {_where(place): values[2] for place, values in told.stats.items()}
    total = sum(own.values())
    return {name: round(took / total, 3) for name, took in Counter(own).most_common(TOP)}


def _where(place: tuple[str, int, str]) -> str:
    path, _, function = place
    if path.startswith("~"):
        return function
    parts = Path(path).parts
    start = next((at for at, part in enumerate(parts) if part in ("keystore", "benchmarks", "numpy")), len(parts) - 1)
    return f"{'/'.join(parts[start:])}: {function}"


def _by_strace(work: Work, turns: int, output: Path) -> dict[str, float] | str:
    """Return the system calls of one turn."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    command = ["strace", "-f", "-c", "-o", str(output), "-p", str(os.getpid())]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    if "attached" not in said:
        tracer.communicate(timeout=ANSWER_MAX_S)
        return f"strace is not allowed to look: {said.strip()}"
    counted = max(1, min(turns, 200))
    for _ in range(counted):
        work()
    tracer.send_signal(signal.SIGINT)
    tracer.communicate(timeout=ANSWER_MAX_S)
    found = {}
    for line in output.read_text().splitlines():
        words = line.split()
        if len(words) >= 5 and words[0].replace(".", "").isdigit() and words[-1] != "total":
            found[words[-1]] = round(int(words[3]) / counted, 2)
    ours = ("kill", "wait4")  # they end the tracer
    seen = [(name, count) for name, count in found.items() if count >= 0.05 and name not in ours]
    return dict(sorted(seen, key=lambda item: -item[1])[:TOP])


if __name__ == "__main__":
    print(json.dumps(profile(sys.argv[1], SAMPLED_QUICK_S if sys.argv[2] == "quick" else SAMPLED_S)))
