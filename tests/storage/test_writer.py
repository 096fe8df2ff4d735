"""The writer's thread: batches are whole or not at all, questions run in transactions, and its end is told."""

import asyncio
import sqlite3
from collections import deque

import anyio
import pytest

from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage import writer as subject
from mcp_orchestrator.storage.chain import Link
from mcp_orchestrator.storage.connecting import open_writer, prepare_place
from mcp_orchestrator.storage.trouble import StorageError
from mcp_orchestrator.storage.writer import ONE_STATEMENT, JournalFile, Writer, chain_end

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "state.db"
    prepare_place(place)
    return place


def events(count, run="r"):
    return [Event(EventKind.RUN_STARTED, 1.0, run, {"n": number}) for number in range(count)]


def count(file):
    return file.connection.execute("SELECT count(*), max(seq) FROM event").fetchone()


@pytest.mark.parametrize("size", [1, ONE_STATEMENT, ONE_STATEMENT + 1, 3 * ONE_STATEMENT + 7])
async def test_a_batch_of_any_size_is_written_in_order(path, size):
    file = JournalFile(path, Durability.NORMAL)
    file.append(events(size))
    file.append(events(2))
    assert count(file) == (size + 2, size + 2)
    numbers = [n for (n,) in file.connection.execute("SELECT json_extract(data, '$.n') FROM event ORDER BY seq")]
    assert numbers == [*range(size), 0, 1]
    file.connection.close()


@pytest.mark.parametrize("size", [1, 3 * ONE_STATEMENT])
async def test_a_batch_that_fails_leaves_no_row_and_can_be_tried_again(path, size):
    file = JournalFile(path, Durability.NORMAL)
    file.append(events(1))
    last = size + 1
    file.connection.execute(
        f"CREATE TRIGGER full BEFORE INSERT ON event WHEN new.seq = {last} BEGIN SELECT raise(ABORT, 'x'); END"
    )
    with pytest.raises(StorageError):
        file.append(events(size))
    assert count(file) == (1, 1)
    file.connection.execute("DROP TRIGGER full")
    file.append(events(size))
    assert count(file) == (size + 1, size + 1)
    file.connection.close()


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_a_file_that_goes_away_is_noticed(path, how, monkeypatch):
    file = JournalFile(path, Durability.NORMAL)
    monkeypatch.setattr(subject, "LOOK_EVERY", 0.0)
    file.append(events(1))
    path.rename(path.with_name("elsewhere"))
    if how == "replaced":
        path.touch()
    with pytest.raises(StorageError, match="removed or replaced"):
        file.append(events(1))
    file.connection.close()


async def test_the_chain_goes_on_where_it_stood(path):
    file = JournalFile(path, Durability.NORMAL)
    assert chain_end(file.connection, path) == Link()
    file.append(events(3))
    end = chain_end(file.connection, path)
    file.connection.close()
    again = open_writer(path, Durability.NORMAL)
    assert chain_end(again, path) == end
    again.execute("DELETE FROM event")
    again.execute("INSERT INTO anchor VALUES (3, ?, 3, 0)", (end.hash,))
    assert chain_end(again, path) == end
    again.execute("INSERT INTO event VALUES (4, 0, 'k', NULL, '{}', 'text')")
    with pytest.raises(StorageError, match="no hash"):
        chain_end(again, path)
    again.close()
    with pytest.raises(StorageError, match="no hash"):
        JournalFile(path, Durability.NORMAL)


async def test_a_file_that_cannot_be_opened_is_told_to_who_starts(path):
    path.write_bytes(b"no database" * 1000)
    writer = Writer(path, Durability.NORMAL, lambda: None)
    with anyio.fail_after(5):
        with pytest.raises(StorageError, match="damaged"):
            await writer.start()
        await writer.stop()


async def test_a_question_is_a_transaction(path):
    writer = Writer(path, Durability.NORMAL, lambda: None)

    def half(connection):
        connection.execute("INSERT INTO era VALUES ('f', 'modern', 1, 0)")
        connection.execute("INSERT INTO nowhere VALUES (1)")

    def rows(connection):
        return connection.execute("SELECT count(*) FROM era").fetchone()[0]

    with anyio.fail_after(5):
        await writer.start()
        with pytest.raises(StorageError):
            await writer.ask(half)
        assert await writer.ask(rows) == 0
        await writer.stop()
        await writer.stop()
        with pytest.raises(StorageError, match="closed"):
            await writer.ask(rows)


async def test_a_thread_that_ends_by_itself_is_told(path, monkeypatch):
    told, noticed = asyncio.Event(), deque()
    monkeypatch.setattr(subject.threading, "excepthook", noticed.append)
    writer = Writer(path, Durability.NORMAL, told.set)

    def bug(_connection):
        raise RuntimeError("a bug")

    with anyio.fail_after(5):
        await writer.start()
        with pytest.raises(StorageError):
            await writer.ask(bug)
        await told.wait()
        await writer.stop()
    writer._thread.join(5)
    assert isinstance(noticed[0].exc_value, RuntimeError)
    sqlite3.connect(path).close()


async def test_a_loop_that_is_gone_hears_nothing(path):
    writer = Writer(path, Durability.NORMAL, lambda: None)
    loop = asyncio.new_event_loop()
    loop.close()
    writer._loop = loop
    writer.tell(lambda: None)
