"""pandas and Polars on the file system; they are too large for every run of the tests."""

from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from keystore.engines.filesystem import KeystoreFileSystem
from keystore.kms.connect import connector
from keystore.node.directory import Node
from tests.key_files import cmk as cmk

pytestmark = pytest.mark.system
ROWS = {"number": list(range(10_000)), "text": [f"row {number % 100}" for number in range(10_000)]}


@pytest.fixture
def options(tmp_path: Path, cmk: str) -> dict[str, Any]:
    Node.init(tmp_path / "node", cmk, connector()).close()
    return {"node": str(tmp_path / "node")}


def test_pandas_writes_and_reads_by_url(options: dict[str, Any]) -> None:
    import pandas as pd

    frame = pd.DataFrame(ROWS)
    frame.to_parquet("cmk://d/t.parquet", storage_options=options)
    frame.to_csv("cmk://d/t.csv", index=False, storage_options=options)
    frame.to_csv("cmk://d/t.csv.gz", index=False, storage_options=options)
    for found in (
        pd.read_parquet("cmk://d/t.parquet", storage_options=options),
        pd.read_csv("cmk://d/t.csv", storage_options=options),
        pd.read_csv("cmk://d/t.csv.gz", storage_options=options),
    ):
        assert found.to_dict("list") == ROWS
    fs = KeystoreFileSystem(**options)
    assert fs.find("") == ["d/t.csv", "d/t.csv.gz", "d/t.parquet"]
    fs.close()


def test_polars_reads_and_writes_open_files_and_datasets(options: dict[str, Any]) -> None:
    import polars as pl

    fs, frame = KeystoreFileSystem(**options), pl.DataFrame(ROWS)
    with fs.open("d/t.parquet", "wb") as file:
        frame.write_parquet(file)
    with fs.open("d/t.csv", "wb") as file:
        frame.write_csv(file)
    with fs.open("d/t.parquet", "rb") as file:
        assert pl.read_parquet(file).equals(frame)
    with fs.open("d/t.csv", "rb") as file:
        assert pl.read_csv(file).equals(frame)
    with fs.open("d/t.parquet", "rb") as file:
        assert pl.scan_parquet(file).filter(pl.col("number") >= 9_990).collect().equals(frame[9_990:])
    with pytest.raises(FileNotFoundError):
        pl.read_parquet("cmk://d/t.parquet", storage_options=options)
    scanned = pl.scan_pyarrow_dataset(ds.dataset("d/t.parquet", filesystem=fs))
    assert scanned.filter(pl.col("number") >= 9_990).collect().equals(frame[9_990:])
    fs.close()
