"""Parquet by pyarrow and DuckDB on encrypted files, beside the same on plain files of the same file system.

`python -m benchmarks.analytics FOLDER` measures and keeps the figures there, as JSON and Markdown.

Both take turns in one process. What is written is synced on both sides: a file of a node is durable when it is closed.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.emulator import Figures, folder_parser, keep, machine, machine_line
from keystore.bench.timing import in_turns, timed
from keystore.engines.filesystem import KeystoreFileSystem
from keystore.kms.connect import connector
from keystore.kms.local import create_key_file
from keystore.node.directory import Node

ROWS = 2_000_000
ROW_GROUP_ROWS = 100_000
BUDGET_S = 8.0
VERSIONS = ("cmk-keystore", "fsspec", "pyarrow", "duckdb", "cryptography")
QUERY = "select day, sum(amount), max(note) from '{}' group by day"


def rows() -> pa.Table:
    """Return the table that is written: whole numbers, amounts, and texts of which there are a thousand."""
    numbers = range(ROWS)
    return pa.table(
        {
            "day": [number // 10_000 for number in numbers],
            "amount": [number * 7919 % 100_003 / 100 for number in numbers],
            "note": [f"note {number % 1000}" for number in numbers],
        }
    )


def synced(path: Path) -> None:
    """Make a plain file durable."""
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def cases(
    fs: KeystoreFileSystem, place: Path, duck: duckdb.DuckDBPyConnection, table: pa.Table
) -> Iterator[tuple[str, Callable[[], object], Callable[[], object]]]:
    """Yield each work: its name, ours, and the same on plain files."""
    plain, copy = place / "t.parquet", place / "u.parquet"

    def plain_write() -> None:
        pq.write_table(table, plain, row_group_size=ROW_GROUP_ROWS)
        synced(plain)

    def plain_copy() -> None:
        duck.sql(f"copy (from '{plain}') to '{copy}' (format parquet)")
        synced(copy)

    yield (
        "pyarrow: write the table",
        lambda: pq.write_table(table, "d/t.parquet", filesystem=fs, row_group_size=ROW_GROUP_ROWS),
        plain_write,
    )
    yield (
        "pyarrow: read it all",
        lambda: pq.read_table("d/t.parquet", filesystem=fs),
        lambda: pq.read_table(plain),
    )
    yield (
        "pyarrow: one column of one row group",
        lambda: one_column(fs.open("d/t.parquet", "rb")),
        lambda: one_column(plain.open("rb")),
    )
    yield (
        "DuckDB: sums by group",
        lambda: duck.sql(QUERY.format("cmk://d/t.parquet")).fetchall(),
        lambda: duck.sql(QUERY.format(plain)).fetchall(),
    )
    yield (
        "DuckDB: COPY into another file",
        lambda: duck.sql("copy (from 'cmk://d/t.parquet') to 'cmk://d/u.parquet' (format parquet)"),
        plain_copy,
    )


def one_column(file: Any) -> None:
    with file:
        pq.ParquetFile(file).read_row_group(7, ["amount"])


def measure(place: Path, budget_s: float = BUDGET_S) -> Figures:
    """Return medians in seconds, ours and plain, and our speed as a fraction of plain."""
    create_key_file(place / "cmk.key")
    table, found = rows(), []
    with Node.init(place / "node", f"local://{place / 'cmk.key'}", connector()) as node, duckdb.connect() as duck:
        node.keep_stores_open(8)
        fs = KeystoreFileSystem.on(node)
        duck.execute("set enable_external_file_cache = false")  # it would read no file twice, on either side
        duck.register_filesystem(fs)
        for name, ours, plain in cases(fs, place, duck, table):
            turns = in_turns({"ours": timed(ours), "plain": timed(plain)}, budget_s)
            found.append(_row(name, turns.seconds, turns.ratio("ours", "plain")))
        bytes_read = fs.size("d/t.parquet")
    return {"machine": machine(VERSIONS), "rows": ROWS, "file_mb": round(bytes_read / 1e6, 1), "works": found}


def _row(name: str, seconds: Mapping[str, Any], ratio: float) -> dict[str, Any]:
    return {
        "work": name,
        "ours_ms": round(median(seconds["ours"]) * 1e3, 1),
        "plain_ms": round(median(seconds["plain"]) * 1e3, 1),
        "of_plain": round(ratio, 3),
    }


def as_markdown(figures: Figures) -> str:
    """Return the figures as a page to read."""
    lines = [
        "# Parquet on encrypted files",
        "",
        machine_line(figures["machine"]),
        "",
        f"{figures['rows']:,} rows in {figures['file_mb']} MB of Parquet, pages of 16 KiB, files in the page cache; "
        "medians of turns. `of plain` is our speed as a fraction of the same work on plain files, durable on both "
        "sides.",
        "",
        "| work | encrypted, ms | plain, ms | of plain |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {each['work']} | {each['ours_ms']} | {each['plain_ms']} | {each['of_plain']} |" for each in figures["works"]
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    folder: Path = folder_parser("analytics", __doc__).parse_args().folder
    with tempfile.TemporaryDirectory() as place:
        figures = measure(Path(place))
    keep(folder, "analytics", figures, as_markdown(figures))
    print(as_markdown(figures))


if __name__ == "__main__":
    main()
