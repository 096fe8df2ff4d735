"""The schema in PostgreSQL: made once, brought up to date, refused when it is newer."""

import errno
import threading

import pytest

from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage import postgres_database as subject
from mcp_orchestrator.storage.migrations.steps import SCHEMA, STEPS
from mcp_orchestrator.storage.postgres_database import translated
from mcp_orchestrator.storage.trouble import StorageError

pytestmark = pytest.mark.real


def versions(place):
    return [number for (number,) in place.ask("SELECT number FROM version ORDER BY number")]


def test_statements_are_put_into_the_words_of_postgresql():
    assert translated("CREATE TABLE t (a INTEGER PRIMARY KEY, b REAL, c BLOB) WITHOUT ROWID") == (
        "CREATE TABLE t (a BIGINT PRIMARY KEY, b DOUBLE PRECISION, c BYTEA)"
    )


def test_nothing_of_ours_is_there_before_a_gateway_was(on_postgres):
    with pytest.raises(StorageError, match="has not run") as told:
        on_postgres.reader()
    assert told.value.errno == errno.ENOENT


def test_two_gateways_that_start_at_once_make_the_schema_once(on_postgres):
    made = []

    def start():
        made.append(on_postgres.database().open_writer(Durability.NORMAL))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert versions(on_postgres) == list(range(1, SCHEMA + 1))
    for connection in made:
        connection.close()


def test_an_older_schema_is_brought_up_to_date_and_keeps_what_is_in_it(on_postgres, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(subject, "SCHEMA", 1)
        on_postgres.file().connection.close()
        on_postgres.ask("INSERT INTO era VALUES ('f', 'modern', 1, 1.0)")
    assert versions(on_postgres) == [1]
    with pytest.raises(StorageError, match="older schema") as told:
        on_postgres.reader()
    assert told.value.errno == errno.EINVAL
    on_postgres.file().connection.close()
    assert versions(on_postgres) == list(range(1, SCHEMA + 1))
    assert on_postgres.ask("SELECT fingerprint FROM era") == [("f",)]


def test_a_step_that_fails_leaves_the_last_whole_schema(on_postgres, monkeypatch):
    broken = (*STEPS[:-1], (*STEPS[-1], "CREATE TABLE no such thing"))
    with monkeypatch.context() as patch:
        patch.setattr(subject, "STEPS", broken)
        with pytest.raises(StorageError):
            on_postgres.file()
    assert versions(on_postgres) == list(range(1, SCHEMA))
    on_postgres.file().connection.close()
    assert versions(on_postgres) == list(range(1, SCHEMA + 1))


def test_a_newer_schema_is_refused(on_postgres):
    on_postgres.file().connection.close()
    on_postgres.ask(f"INSERT INTO version VALUES ({SCHEMA + 1})")  # noqa: S608 - a number
    for opening in (on_postgres.file, on_postgres.reader):
        with pytest.raises(StorageError, match="newer mcp-orchestrator"):
            opening()


def test_a_gateway_is_known_to_live_by_the_lock_of_its_runs(on_postgres):
    file = on_postgres.file()
    start = {"pid": 1, "runs": "abcdefghij"}
    file.append([Event(EventKind.GATEWAY_STARTED, 1.0, None, start)])
    database = on_postgres.database()
    reader = database.open_reader()
    assert database.living(reader, [start, {"runs": "another"}]) == {"abcdefghij"}
    file.connection.close()
    assert database.living(reader, [start]) == frozenset()
    reader.close()
