"""What is true of files alone: a full disk, a file that goes away, a file that is none."""

import pytest

from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.storage.reading import JournalReader
from mcp_orchestrator.storage.sqlite import SqliteStore
from mcp_orchestrator.storage.trouble import StorageError

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path):
    opened = SqliteStore(tmp_path / "state" / "state.db")
    await opened.open()
    yield opened
    await opened.aclose()


def event(number=0, run="r"):
    return Event(EventKind.RUN_STARTED, float(number), run, {"n": number})


def numbers(store):
    with JournalReader(store.path) as reader:
        return [found.data["n"] for found in reversed(reader.events(limit=100_000))]


async def test_a_file_that_cannot_be_used_is_refused_every_time(tmp_path):
    path = tmp_path / "state.db"
    path.write_bytes(b"no database at all" * 500)
    for _again in range(2):
        with pytest.raises(StorageError, match="move it away"):
            await SqliteStore(path).open()
    assert path.read_bytes().startswith(b"no database")


def full_disk(store):
    """Make the disk full for this store, for real: the file may not grow any more. Returns the way back."""

    def limit(pages):
        def set_limit(connection):
            (used,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {used if pages is None else pages}")

        return lambda: store._writer.ask(set_limit)

    return limit(None), limit(2**30)


async def test_a_full_disk_refuses_every_commit_and_keeps_the_records_for_later(store):
    fill, free = full_disk(store)
    await fill()
    large = "x" * 200_000
    store.record(Event(EventKind.RUN_STARTED, 1.0, "a", {"n": 1, "large": large}))
    waiters = [store.commit(), store.commit()]
    for waiter in waiters:
        with pytest.raises(StorageError, match="free some disk space"):
            await waiter
    store.record(Event(EventKind.RUN_STARTED, 2.0, "b", {"n": 2}))
    with pytest.raises(OSError, match="no space left"):
        await store.commit()
    await free()
    store.record(event(3))
    await store.commit()
    assert numbers(store) == [1, 2, 3]
    assert (await store.verify()).fault is None


async def test_a_file_that_is_removed_refuses_commits_and_closing_says_what_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("mcp_orchestrator.storage.writer.LOOK_EVERY", 0.0)
    store = SqliteStore(tmp_path / "state.db")
    await store.open()
    store.path.unlink()
    store.record(event(1))
    with pytest.raises(StorageError, match="removed or replaced"):
        await store.commit()
    with pytest.raises(StorageError, match="removed or replaced"):
        await store.aclose()
    again = SqliteStore(store.path)
    await again.open()
    await again.aclose()
