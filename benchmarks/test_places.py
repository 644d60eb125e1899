"""A pack of 256 MiB written to a directory and read, beside a plain file on the same file system."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.test_kernel import best_s
from keystore.objects.opening import open_place
from keystore.objects.place import Place

PACK_BYTES = 256 << 20
STEP_BYTES = 4 << 20
NAMES = (f"packs/{number}" for number in range(1 << 20))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return open_place(str(tmp_path / "place"))


def write(place: Place, data: memoryview) -> str:
    name = next(NAMES)
    with place.create(name) as writer:
        for start in range(0, len(data), STEP_BYTES):
            writer.write(data[start : start + STEP_BYTES])
        writer.finish()
    return name


def read(place: Place, name: str) -> None:
    with place.open(name) as reader:
        for start in range(0, reader.byte_length, STEP_BYTES):
            reader.read_ranges([(start, STEP_BYTES)])


def copy_s(data: memoryview, directory: Path) -> tuple[float, float]:
    """Return how long a plain file takes: written and synced, and read."""
    path = directory / "plain"

    def plain_write() -> None:
        with path.open("wb") as file:
            file.write(data)
            os.fsync(file.fileno())

    def plain_read() -> None:
        with path.open("rb") as file, Path(os.devnull).open("wb") as sink:
            shutil.copyfileobj(file, sink, STEP_BYTES)

    return best_s(plain_write), best_s(plain_read)


def test_write_a_pack(benchmark: Any, place: Place, tmp_path: Path) -> None:
    data = memoryview(os.urandom(PACK_BYTES))
    plain_s, _ = copy_s(data, tmp_path)
    benchmark.pedantic(lambda: write(place, data), rounds=3, warmup_rounds=1)
    tell(benchmark, plain_s)


def test_read_a_pack(benchmark: Any, place: Place, tmp_path: Path) -> None:
    data = memoryview(os.urandom(PACK_BYTES))
    _, plain_s = copy_s(data, tmp_path)
    name = write(place, data)
    benchmark.pedantic(lambda: read(place, name), rounds=3, warmup_rounds=1)
    tell(benchmark, plain_s)


def tell(benchmark: Any, plain_s: float) -> None:
    took_s = benchmark.stats.stats.min
    benchmark.extra_info |= {
        "mb_per_s": round(PACK_BYTES / took_s / 1e6),
        "plain_mb_per_s": round(PACK_BYTES / plain_s / 1e6),
        "ratio": round(plain_s / took_s, 3),
    }
