"""PostgreSQL: what is lost with a connection, what comes back by itself, and what is never written twice."""

import errno

import anyio
import pytest
from postgres_kit import PASSWORD, PostgresServer

from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage import postgres as subject
from mcp_orchestrator.storage.postgres import lock_key, numbered
from mcp_orchestrator.storage.postgres_database import is_held
from mcp_orchestrator.storage.store import Store
from mcp_orchestrator.storage.trouble import StorageError, TakenError, UnreachableError
from mcp_orchestrator.storage.writer import JournalFile

pytestmark = [pytest.mark.anyio, pytest.mark.real]


@pytest.fixture
def server(postgres_programs):
    """A server of a test's own, to be killed."""
    made = PostgresServer(postgres_programs)
    yield made
    made.close()


@pytest.fixture
def at_once(monkeypatch):
    """Connections that were refused are tried again at once."""
    monkeypatch.setattr(subject, "AGAIN", 0.0)


def event(number=0, run="r"):
    return Event(EventKind.RUN_STARTED, float(number), run, {"n": number})


def kept(place):
    with place.reader() as reader:
        assert reader.verify().fault is None
        return [found.data["n"] for found, _ in reader.walk()]


async def is_kept(store):
    try:
        await store.commit()
    except OSError:
        return False
    return True


def test_values_are_numbered_in_the_words_of_postgresql():
    assert numbered("SELECT ? FROM x WHERE a = ?") == "SELECT $1 FROM x WHERE a = $2"
    assert numbered("SELECT 1") == "SELECT 1"


def test_a_key_that_is_taken_is_told_as_such_and_the_connection_goes_on(on_postgres):
    connection = on_postgres.file().connection
    connection.execute("INSERT INTO anchor VALUES (?, ?, ?, ?)", (1, b"x", 1, 1.0))
    with pytest.raises(TakenError):
        connection.execute("INSERT INTO anchor VALUES (?, ?, ?, ?)", (1, b"x", 1, 1.0))
    assert connection.execute("SELECT count(*) FROM anchor").fetchone() == (1,)
    connection.close()
    connection.close()
    with pytest.raises(StorageError, match="is closed"):
        connection.execute("SELECT 1")


def test_a_transaction_that_failed_is_no_transaction_that_was_kept(on_postgres):
    connection = on_postgres.file().connection
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError):
        connection.execute("SELECT nothing FROM nowhere")
    with pytest.raises(StorageError, match="undone"):
        connection.execute("COMMIT")
    assert not connection.in_transaction
    connection.close()


def test_a_text_that_postgresql_cannot_hold_is_refused_as_an_error_of_the_storage(on_postgres):
    connection = on_postgres.file().connection
    for text in ("a\0b", "a\ud800"):
        with pytest.raises(StorageError):
            connection.execute("INSERT INTO era VALUES (?, ?, ?, ?)", (text, "modern", 1, 1.0))
    connection.close()


def test_a_reader_cannot_write(on_postgres):
    on_postgres.file().connection.close()
    reader = on_postgres.database().open_reader()
    with pytest.raises(StorageError, match="can only be read") as told:
        reader.execute("DELETE FROM event")
    assert told.value.errno == errno.EROFS
    reader.close()


def test_a_wrong_password_is_told_without_it(postgres):
    with pytest.raises(StorageError, match="mend user and password") as told:
        postgres.database("postgres", "hunter2").open_writer(Durability.NORMAL)
    assert "hunter2" not in str(told.value)
    assert PASSWORD not in str(told.value)
    with pytest.raises(StorageError, match="createdb"):
        postgres.database("nothing").open_writer(Durability.NORMAL)


def test_a_batch_that_was_kept_though_we_did_not_hear_of_it_is_not_written_again(on_postgres, monkeypatch):
    file = on_postgres.file()
    execute = type(file.connection).execute

    def lost(self, sql, parameters=()):
        found = execute(self, sql, parameters)
        if sql.startswith("INSERT INTO event") or sql == "COMMIT":
            self._drop()
            raise self._gone("the line was cut")
        return found

    for size in (1, 200):  # in one statement, and in a transaction of several
        monkeypatch.setattr(type(file.connection), "execute", lost)
        batch = [event(number) for number in range(size)]
        if size == 1:
            with pytest.raises(UnreachableError):
                file.append(batch)
        monkeypatch.setattr(type(file.connection), "execute", execute)
        file.append([*batch, event(1000 + size)])
    file.connection.close()
    assert kept(on_postgres) == [0, 1001, *range(200), 1200]


def test_a_commit_that_was_kept_though_we_did_not_hear_of_it_is_not_repeated(on_postgres, monkeypatch):
    file = on_postgres.file()
    execute = type(file.connection).execute

    def lost(self, sql, parameters=()):
        found = execute(self, sql, parameters)
        if sql == "COMMIT":
            self._drop()
            raise self._gone("the line was cut")
        return found

    batch = [event(number) for number in range(200)]
    monkeypatch.setattr(type(file.connection), "execute", lost)
    with pytest.raises(UnreachableError):
        file.append(batch)
    monkeypatch.setattr(type(file.connection), "execute", execute)
    file.append([*batch, event(7)])
    file.connection.close()
    assert kept(on_postgres) == [*range(200), 7]


def test_a_batch_that_was_not_kept_is_written_when_it_comes_again(on_postgres, monkeypatch):
    file = on_postgres.file()
    execute = type(file.connection).execute

    def lost(self, sql, parameters=()):
        if sql.startswith("INSERT INTO event"):
            self._drop()
            raise self._gone("the line was cut")
        return execute(self, sql, parameters)

    monkeypatch.setattr(type(file.connection), "execute", lost)
    with pytest.raises(UnreachableError):
        file.append([event(1)])
    monkeypatch.setattr(type(file.connection), "execute", execute)
    file.append([event(1), event(2)])
    file.connection.close()
    assert kept(on_postgres) == [1, 2]


async def test_a_server_that_is_killed_refuses_every_commit_and_everything_is_kept_when_it_is_back(server, at_once):
    store = Store(server.database("postgres"))
    await store.open()
    store.record(event(1))
    await store.commit()
    server.kill()
    for number in (2, 3):
        store.record(event(number))
        with anyio.fail_after(10), pytest.raises(OSError, match="cannot be reached"):
            await store.commit()
    with pytest.raises(OSError, match="cannot be reached"):
        await store.load()
    server.start()
    store.record(event(4))
    with anyio.fail_after(10):
        while not await is_kept(store):  # a batch may have been on its way into the refusal
            continue
    verdict = await store.verify()
    assert (verdict.rows, verdict.fault) == (4, None)
    await store.aclose()


async def test_the_locks_of_a_gateway_are_held_again_after_its_connection_was_lost(on_postgres, postgres, at_once):
    one, two = on_postgres.store(), on_postgres.store()
    await one.open()
    await two.open()
    keeper = lock_key(f"keeper {one.delegations.keeper}")
    await one._ask(lambda _connection: one.delegations._keeper.hold())
    assert await two._ask(lambda connection: is_held(connection, keeper))
    postgres.ask(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'mcp-orchestrator' AND pid <> pg_backend_pid()",
    )
    with pytest.raises(OSError, match="cannot be reached"):
        await one.load()
    await one.load()
    with pytest.raises(OSError, match="cannot be reached"):
        await two.load()
    assert await two._ask(lambda connection: is_held(connection, keeper))
    await one.aclose()
    assert not await two._ask(lambda connection: is_held(connection, keeper))
    await two.aclose()


def test_what_is_left_of_a_lost_connection_gives_way_to_its_owner(on_postgres):
    one, other = on_postgres.file(), on_postgres.file()
    key = lock_key("keeper of a test")
    other.connection.hold(key)  # as the server sees a connection whose machine has gone
    one.connection._locks.append(key)
    one.connection._drop()
    one.connection.execute("SELECT 1")
    assert is_held(one.connection, key)
    with pytest.raises(UnreachableError):
        other.connection.execute("SELECT 1")
    one.connection.close()
    other.connection._locks.clear()
    other.connection.close()


def test_gateways_that_append_at_once_wait_for_each_other(on_postgres):
    one, two = on_postgres.file(), on_postgres.file()
    for number in range(5):
        one.append([event(number)])
        two.append([event(number + 100)])
    assert kept(on_postgres) == [number + add for number in range(5) for add in (0, 100)]
    one.connection.close()
    two.connection.close()


def test_one_that_appends_in_the_moment_after_we_looked_is_followed(on_postgres, monkeypatch):
    one, two = on_postgres.file(), on_postgres.file()
    two.append([event(0)])
    begin = JournalFile._appended_alone
    turns = []

    def disturbed(self, events):
        turns.append(len(events))
        if len(turns) == 1:
            raise TakenError(errno.EEXIST, "somebody was faster", "here")
        begin(self, events)

    monkeypatch.setattr(JournalFile, "_appended_alone", disturbed)
    one.append([event(1)])
    assert turns == [1, 1]
    assert kept(on_postgres) == [0, 1]
    one.connection.close()
    two.connection.close()
