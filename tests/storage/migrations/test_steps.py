"""Schema steps: applied once, in order, and never to a file that is not ours."""

import sqlite3
from pathlib import Path

import pytest

from mcp_orchestrator.storage.migrations import steps
from mcp_orchestrator.storage.migrations.steps import APPLICATION_ID, SCHEMA, migrate, schema_of
from mcp_orchestrator.storage.trouble import StorageError

PATH = Path("state.db")


@pytest.fixture
def connection():
    opened = sqlite3.connect(":memory:", isolation_level=None)
    yield opened
    opened.close()


def tables(connection):
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_an_empty_file_gets_every_table_and_our_mark(connection):
    migrate(connection, PATH)
    assert tables(connection) >= {"event", "anchor", "offers", "era"}
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert schema_of(connection, PATH) == SCHEMA


def test_a_file_of_the_first_schema_is_brought_up_to_date(connection, monkeypatch):
    monkeypatch.setattr(steps, "SCHEMA", 1)
    migrate(connection, PATH)
    assert "delegation" not in tables(connection)
    monkeypatch.setattr(steps, "SCHEMA", SCHEMA)
    migrate(connection, PATH)
    assert "delegation" in tables(connection)


def test_a_second_time_changes_nothing(connection):
    migrate(connection, PATH)
    before = connection.total_changes
    migrate(connection, PATH)
    assert connection.total_changes == before


def test_a_newer_schema_is_refused_in_words(connection):
    migrate(connection, PATH)
    connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(StorageError, match="newer mcp-orchestrator"):
        migrate(connection, PATH)


def test_the_database_of_another_program_is_left_alone(connection):
    connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StorageError, match="another program"):
        migrate(connection, PATH)
    assert tables(connection) == {"theirs"}


def test_a_step_that_fails_leaves_the_schema_before_it(connection, monkeypatch):
    migrate(connection, PATH)
    monkeypatch.setattr(steps, "STEPS", (*steps.STEPS, ("CREATE TABLE extra (x)", "NONSENSE")))
    monkeypatch.setattr(steps, "SCHEMA", SCHEMA + 1)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, PATH)
    assert "extra" not in tables(connection)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
