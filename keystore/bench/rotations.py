"""Rotation of the master key against the size of the node: its time, and what it does; resealing, for comparison."""

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random
from statistics import median

from keystore.bench.result import Result
from keystore.bench.stores import fill
from keystore.bench.timing import percentiles, timed
from keystore.crypto.kernel import KERNEL
from keystore.crypto.secret import SecretKey
from keystore.kms.connect import connector
from keystore.kms.protocol import KeyDescription, Kms, WrappedKey
from keystore.node.directory import Node
from keystore.node.known_nodes import KnownNodes

SIZES_BYTES, SIZES_QUICK_BYTES = (1 << 20, 64 << 20, 1 << 30, 4 << 30), (1 << 20, 16 << 20)
PAGE_BYTES = 16384
TURNS = 9
READS = 20000
READS_QUICK = 2000
DATABASE, FILE = "db", "file"
COUNTERS = Path("/proc/self/io")
"""Where Linux counts what a process writes."""


class _CountedKms:
    """A client of a KMS that counts the calls of all, and passes them on."""

    calls = 0

    def __init__(self, inner: Kms) -> None:
        self._inner = inner

    def describe(self) -> KeyDescription:
        _CountedKms.calls += 1
        return self._inner.describe()

    def wrap(self, secret: SecretKey, context: Mapping[str, str]) -> WrappedKey:
        _CountedKms.calls += 1
        return self._inner.wrap(secret, context)

    def unwrap(self, wrapped: WrappedKey, context: Mapping[str, str]) -> SecretKey:
        _CountedKms.calls += 1
        return self._inner.unwrap(wrapped, context)

    def close(self) -> None:
        self._inner.close()


def _connect(uri: str) -> Kms:
    return _CountedKms(connector(None)(uri))


def measure(place: Path, *, quick: bool) -> Iterator[Result]:
    """Yield rotations by size, which take turns, and reads while the master key rotates all the time.

    The nodes are made in `place` by the first process that finds none there.
    """
    sizes = SIZES_QUICK_BYTES if quick else SIZES_BYTES
    with ExitStack() as stack:
        nodes = {size: stack.enter_context(_node(place, size)) for size in sizes}
        seconds: dict[int, list[float]] = {size: [] for size in sizes}
        written, asked = dict.fromkeys(sizes, 0), dict.fromkeys(sizes, 0)
        before = _data_files(place)
        for _ in range(TURNS):
            for size, node in nodes.items():
                start, calls = _written_bytes(), _CountedKms.calls
                seconds[size].append(timed(node.rotate_master)())
                written[size], asked[size] = _written_bytes() - start, _CountedKms.calls - calls
        after = _data_files(place)
        for size in sizes:
            touched = sum(1 for path, told in before.items() if size_of(path) == size and after[path] != told)
            counts = {"node_bytes": size, "data_files_touched": touched, "bytes_written": written[size]}
            counts["kms_calls"] = asked[size]
            took = median(seconds[size])
            yield Result(
                f"rotate master key, {_text(size)}", KERNEL.name, PAGE_BYTES, 1, took,
                of_plain=median(seconds[sizes[0]]) / took, counts=counts, plain=f"that of {_text(sizes[0])}",
            )  # fmt: skip
        yield _reads_meanwhile(nodes[sizes[1]], READS_QUICK if quick else READS)
        yield _reseal(nodes[sizes[1]])


def _text(size: int) -> str:
    return f"{size >> 30} GiB" if size >= 1 << 30 else f"{size >> 20} MiB"


def size_of(path: Path) -> int:
    """Return the size of the node that a data file belongs to."""
    return int(next(part for part in path.parts if part.startswith("node-")).partition("-")[2])


def _node(place: Path, size: int) -> Node:
    directory, key = place / f"node-{size}", place / "key"
    if directory.exists():
        return Node.open(directory, _connect)
    if not key.exists():
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(32))
    known = KnownNodes(place / "known_nodes")
    node = Node.init(directory, f"local://{key}", _connect, known_nodes=known)
    with node.new_store(DATABASE, FILE, PAGE_BYTES) as store:
        fill(store, size)
    return node


def _data_files(place: Path) -> dict[Path, tuple[int, int, int]]:
    """Return inode, length and time of the last change of every file that has pages."""
    found = {}
    for path in place.glob("node-*/databases/**/*.store"):
        told = path.stat()
        found[path] = (told.st_ino, told.st_size, told.st_mtime_ns)
    return found


def _written_bytes() -> int:
    """Return the bytes that this process gave to write calls so far; 0 where the system does not count them."""
    if not COUNTERS.exists():
        return 0
    return int(next(line for line in COUNTERS.read_text().splitlines() if line.startswith("wchar")).split()[1])


def _reads_meanwhile(node: Node, count: int) -> Result:
    """Random reads, first with nothing else, then while another thread rotates the master key without a pause."""
    done, rotations = threading.Event(), 0

    def rotate() -> None:
        nonlocal rotations
        while not done.is_set():
            node.rotate_master()
            rotations += 1

    with node.using_store(DATABASE, FILE) as store:
        numbers = Random(1).choices(range(store.page_count), k=count)

        def each() -> list[float]:
            times = []
            for number in numbers:
                start = time.perf_counter()
                store.read(number)
                times.append(time.perf_counter() - start)
            return times

        each()
        alone = each()
        thread = threading.Thread(target=rotate)
        thread.start()
        try:
            meanwhile = each()
        finally:
            done.set()
            thread.join()
    mine, theirs = percentiles(meanwhile), percentiles(alone)
    return Result(
        "random read during rotations", KERNEL.name, PAGE_BYTES, 1, mine["p50"],
        of_plain=theirs["p50"] / mine["p50"], percentiles_s=mine, plain_percentiles_s=theirs,
        counts={"rotations": rotations, "reads": count}, plain="those without rotations",
    )  # fmt: skip


def _reseal(node: Node) -> Result:
    """Seal every page anew under a new data key."""
    node.new_data_key(DATABASE)
    with node.using_store(DATABASE, FILE) as store:
        total = store.page_count * store.page_size
        seconds = timed(store.reseal)()
    return Result("reseal under a new data key", KERNEL.name, PAGE_BYTES, 1, seconds, total / seconds / 1e9)
