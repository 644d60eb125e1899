"""DuckDB and pyarrow on the file system: what they write they read, and it is what plain files give."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from keystore.engines.filesystem import KeystoreFileSystem
from keystore.node.directory import Node
from keystore.node.layout import Layout

ROWS = 200_000
QUERY = "select day, sum(amount), count(*), max(note) from '{}' group by day order by day"


@pytest.fixture(scope="module")
def table() -> pa.Table:
    numbers = range(ROWS)
    return pa.table(
        {
            "day": [number // 1000 for number in numbers],
            "amount": [number * 7919 % 10_007 for number in numbers],
            "note": [f"a-secret-note-{number % 5000}" for number in numbers],
        }
    )


@pytest.fixture
def duck(fs: KeystoreFileSystem, table: pa.Table) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set threads = 4")
        connection.register_filesystem(fs)
        connection.register("rows", table)
        yield connection


def test_what_pyarrow_writes_is_read_by_all_and_is_nowhere_in_clear(
    fs: KeystoreFileSystem, node: Node, duck: duckdb.DuckDBPyConnection, table: pa.Table, tmp_path: Path
) -> None:
    pq.write_table(table, "d/t.parquet", filesystem=fs, row_group_size=50_000, compression="none")
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=50_000, compression="none")
    assert fs.cat("d/t.parquet") == (tmp_path / "t.parquet").read_bytes()
    assert pq.read_table("d/t.parquet", filesystem=fs).equals(table)
    assert pq.read_table("d/t.parquet", filesystem=fs, columns=["day"], filters=[("day", "<", 3)]).num_rows == 3000
    encrypted, plain = (QUERY.format(path) for path in ("cmk://d/t.parquet", tmp_path / "t.parquet"))
    assert duck.execute(encrypted).fetchall() == duck.execute(plain).fetchall()
    for path in Layout(node.directory).root.rglob("*"):
        assert path.is_dir() or b"secret-note" not in path.read_bytes()


def test_one_row_group_costs_the_pages_that_it_needs(fs: KeystoreFileSystem, table: pa.Table) -> None:
    pq.write_table(table, "d/t.parquet", filesystem=fs, row_group_size=10_000)
    read: list[int] = []
    with fs.open("d/t.parquet", "rb") as file:
        readinto = type(file)._read_at

        def counted(start: int, view: memoryview) -> int:
            read.append(count := readinto(file, start, view))
            return int(count)

        file._read_at = counted
        assert pq.ParquetFile(file).read_row_group(7, ["day"]).num_rows == 10_000
    assert sum(read) < fs.size("d/t.parquet") / 5


def test_duckdb_copies_in_and_out_and_over_what_it_reads(
    fs: KeystoreFileSystem, duck: duckdb.DuckDBPyConnection, table: pa.Table, tmp_path: Path
) -> None:
    duck.sql("copy (from rows) to 'cmk://d/t.parquet' (format parquet, row_group_size 20000)")
    assert fs.find("d") == ["d/t.parquet"]
    assert pq.read_table("d/t.parquet", filesystem=fs).equals(table)
    for _ in range(3):
        duck.sql("copy (select day, amount + 1 as amount, note from 'cmk://d/t.parquet') to 'cmk://d/t.parquet'")
    (found,) = duck.sql("select sum(amount) from 'cmk://d/t.parquet'").fetchall()
    assert found == (sum(table["amount"].to_pylist()) + 3 * ROWS,)
    assert duck.sql("select count(*) from 'cmk://d/*.parquet'").fetchall() == [(ROWS,)]
    duck.sql("copy (from 'cmk://d/t.parquet') to 'cmk://d/t.csv'")
    assert duck.sql("select count(*), sum(amount) from 'cmk://d/t.csv'").fetchall() == [(ROWS, *found)]
    with pytest.raises(duckdb.Error, match=r"nobody\.parquet"):
        duck.sql("from 'cmk://d/nobody.parquet'")


def test_partitions_are_written_and_read_by_both(
    fs: KeystoreFileSystem, duck: duckdb.DuckDBPyConnection, table: pa.Table
) -> None:
    duck.sql("copy (select *, day % 3 as part from rows) to 'cmk://d/parts' (format parquet, partition_by (part))")
    assert [path.rpartition("/")[0] for path in fs.find("d")] == [f"d/parts/part={number}" for number in range(3)]
    read = ds.dataset("d/parts", filesystem=fs, partitioning="hive").to_table(filter=ds.field("part") == 1)
    assert read.num_rows == sum(1 for day in table["day"].to_pylist() if day % 3 == 1)
    ds.write_dataset(read, "d/again", filesystem=fs, format="parquet", partitioning=["part"])
    assert duck.sql("select count(*) from 'cmk://d/again/*/*.parquet'").fetchall() == [(read.num_rows,)]


def test_a_database_of_duckdb_is_read_where_it_lies_and_not_made_there(
    fs: KeystoreFileSystem, duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with duckdb.connect(str(tmp_path / "plain.duckdb")) as plain:
        plain.execute("create table t as select range as n from range(50_000)")
    fs.put(str(tmp_path / "plain.duckdb"), "d/t.duckdb")
    duck.execute("attach 'cmk://d/t.duckdb' as stored (read_only)")
    assert duck.execute("select count(*), sum(n) from stored.t").fetchall() == [(50_000, 1_249_975_000)]
    duck.execute("detach stored")
    with pytest.raises(duckdb.Error):
        duck.execute("attach 'cmk://d/new.duckdb' as made")
    assert fs.find("d") == ["d/t.duckdb"]
