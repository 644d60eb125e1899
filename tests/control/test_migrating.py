"""The tables and the steps that make them: they agree, former databases are taken over, newer ones are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import keystore.projects.tables
from keystore.control.database import Database, open_database
from keystore.control.migrating import steps
from keystore.control.tables import METADATA, control, runs
from keystore.errors import ControlSchemaError

FORMER = """
CREATE TABLE control (id INTEGER PRIMARY KEY, schema_version INTEGER, last_epoch BIGINT, clock_offset_ns BIGINT);
CREATE TABLE executors (epoch BIGINT PRIMARY KEY, name VARCHAR(64) UNIQUE, beat BIGINT);
CREATE TABLE clusters (id INTEGER PRIMARY KEY);
INSERT INTO control VALUES (1, {version}, 42, 0);
"""


def test_what_the_steps_make_is_what_the_tables_say(database: Database) -> None:
    assert keystore.projects.tables.projects.metadata is METADATA
    with database.read() as connection:
        # Each difference is named as what would have to be done: change tables and steps alike.
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_there_is_one_last_step() -> None:
    assert steps().get_heads() == [steps().get_current_head()]


def test_a_newer_schema_is_refused_and_stays_as_it_is(database: Database, database_url: str) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        runs.drop(connection)
    with pytest.raises(ControlSchemaError, match=r"version 9999.*use the newer program"):
        open_database(database_url)
    with database.read() as connection:
        assert not sa.inspect(connection).has_table("runs")


def _make_former(url: str, version: int) -> Database:
    made = Database(sa.make_url(url).set(drivername="sqlite"))
    with made.write() as connection:
        for statement in FORMER.format(version=version).strip().split(";\n"):
            connection.exec_driver_sql(statement)
    return made


def test_a_database_from_before_there_were_steps_is_taken_over(
    tmp_path: Path, opened: Callable[[str], Database]
) -> None:
    url = f"sqlite:///{tmp_path / 'control.db'}"
    _make_former(url, 1).close()
    with opened(url).read() as connection:
        assert connection.execute(sa.select(control)).one() == (1, 42, 0)
        assert sa.inspect(connection).has_table("projects")


def test_one_that_counted_further_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'control.db'}"
    made = _make_former(url, 7)
    with pytest.raises(ControlSchemaError, match="version 0007"):
        open_database(url)
    with made.read() as connection:
        assert sorted(sa.inspect(connection).get_table_names()) == ["clusters", "control", "executors"]
    made.close()
