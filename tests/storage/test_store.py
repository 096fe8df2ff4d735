"""The store: what is acknowledged is kept, whatever happens to the process; what cannot be kept is refused."""

import asyncio
import random
import subprocess
import sys

import anyio
import pytest

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.plugin_api import JournalSink
from mcp_orchestrator.storage import store as subject
from mcp_orchestrator.storage.reading import JournalReader
from mcp_orchestrator.storage.trouble import StorageError

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(place):
    opened = place.store()
    await opened.open()
    yield opened
    await opened.aclose()


def event(number=0, run="r"):
    return Event(EventKind.RUN_STARTED, float(number), run, {"n": number})


def numbers(store):
    with JournalReader(store._database) as reader:
        return [found.data["n"] for found in reversed(reader.events(limit=100_000))]


def count_batches(monkeypatch):
    sizes, write = [], subject._write

    def counted(batch, tell, file):
        sizes.append(len(batch))
        write(batch, tell, file)

    monkeypatch.setattr(subject, "_write", counted)
    return sizes


async def test_what_was_committed_is_there_for_others_to_read(store):
    assert isinstance(store, JournalSink)
    store.record(event(1))
    store.record(event(2))
    await store.commit()
    assert numbers(store) == [1, 2]
    assert (await store.verify()).rows == 2


async def test_commits_of_one_moment_share_one_transaction(store, monkeypatch):
    sizes = count_batches(monkeypatch)

    async def call(number):
        store.record(event(number))
        await store.commit()

    await asyncio.gather(*(call(number) for number in range(50)))
    assert sizes == [50]
    assert numbers(store) == list(range(50))


async def test_a_commit_during_a_write_waits_for_the_next_batch(store, monkeypatch):
    sizes = count_batches(monkeypatch)
    store.record(event(1))
    first = store.commit()
    await asyncio.sleep(0)  # one turn of the loop hands the batch to the writer
    assert store._writing
    store.record(event(2))
    await store.commit()
    assert first.done()
    assert sizes == [1, 1]
    assert numbers(store) == [1, 2]


async def test_a_commit_of_nothing_returns(store):
    with anyio.fail_after(5):
        await store.commit()


async def test_a_waiter_that_was_cancelled_harms_nobody(store):
    store.record(event(1))
    gone, stays = store.commit(), store.commit()
    gone.cancel()
    await stays
    assert numbers(store) == [1]


async def test_more_than_one_batch_is_written_in_turn(store, monkeypatch):
    monkeypatch.setattr(subject, "BATCH", 100)
    sizes = count_batches(monkeypatch)
    for number in range(350):
        store.record(event(number))
    await store.commit()
    assert sizes == [100, 100, 100, 50]
    assert numbers(store) == list(range(350))


async def test_what_nobody_commits_is_written_by_itself(store, monkeypatch):
    written, done = asyncio.Event(), store._written

    def noticed(error):
        done(error)
        written.set()

    monkeypatch.setattr(store, "_written", noticed)
    store.record(event(1))
    with anyio.fail_after(5):
        await written.wait()
    assert numbers(store) == [1]


async def test_what_was_recorded_before_opening_and_at_the_end_is_kept(place):
    store = place.store()
    store.record(event(1))
    with pytest.raises(StorageError, match="not open"):
        await store.commit()
    await store.open()
    await store.commit()
    assert numbers(store) == [1]
    store.record(event(2))
    await store.aclose()
    await store.aclose()
    assert numbers(store) == [1, 2]
    with pytest.raises(StorageError, match="closed"):
        await store.commit()
    with pytest.raises(StorageError, match="not open"):
        await store.load()


async def test_the_chain_goes_on_over_restarts(place):
    for number in range(3):
        store = place.store(Durability.FULL)
        await store.open()
        store.record(event(number))
        await store.aclose()
    with place.reader() as reader:
        verdict = reader.verify()
    assert (verdict.rows, verdict.fault) == (3, None)


async def test_several_gateways_write_one_journal_and_its_chain_holds(store, place):
    other = place.store()
    await other.open()
    for number in range(20):
        for writer, name in ((store, "a"), (other, "b")):
            for _ in range(1 + 70 * (number == 10)):  # once more than one statement takes
                writer.record(Event(EventKind.RUN_STARTED, float(number), f"{name}{number}"))
        await asyncio.gather(store.commit(), other.commit())
    await other.aclose()
    verdict = await store.verify()
    assert verdict.fault is None
    assert verdict.rows == 180


async def test_a_disk_that_does_not_keep_up_refuses_commits_and_then_counts_what_it_drops(place):
    store = place.store(capacity=10, clock=lambda: 77.0)
    for number in range(11):
        store.record(event(number))
    await store.open()
    with pytest.raises(StorageError, match="11 records wait"):
        await store.commit()
    for number in range(11, 25):
        store.record(event(number))
    await store.aclose()
    with place.reader() as reader:
        (gap,) = reader.events([EventKind.JOURNAL_GAP])
        assert (gap.data, gap.at) == ({"lost": 5}, 77.0)
        assert len(reader.run("r")) == 20


async def test_a_writer_that_ends_by_a_bug_refuses_every_commit(place, monkeypatch):
    monkeypatch.setattr("threading.excepthook", lambda _args: None)
    store = place.store()
    await store.open()

    def bug(_file):
        raise RuntimeError("a bug")

    thread = store._writer._thread
    store._writer.submit(bug)
    with anyio.fail_after(5):
        store.record(event(1))
        with pytest.raises(StorageError, match="ended unexpectedly"):
            await store.commit()
        with pytest.raises(StorageError, match="ended unexpectedly"):
            await store.commit()
        with pytest.raises(StorageError, match="ended unexpectedly"):
            await store.aclose()
    thread.join(5)  # what is raised in it is told while we are the ones who hear it


async def test_pruning_goes_on_beside_commits_and_the_chain_verifies(store, monkeypatch):
    monkeypatch.setattr("mcp_orchestrator.storage.retention.STEP", 10)
    for number in range(95):
        store.record(event(number))
    await store.commit()

    async def commit():
        store.record(event(99))
        await store.commit()

    removed, *_rest = await asyncio.gather(store.prune(older_than=50.0, max_rows=40), commit())
    assert removed >= 55
    verdict = await store.verify()
    assert verdict.fault is None
    assert verdict.end.seq == 96


async def test_a_damaged_row_is_named(store, place):
    for number in range(5):
        store.record(event(number))
    await store.commit()
    place.ask("""UPDATE event SET data = '{"n":7}' WHERE seq = 3""")
    assert (await store.verify()).fault.seq == 3


async def test_offers_are_remembered_over_restarts(store, place):
    schema = {"type": "object", "properties": {f"p{n}": {"type": "string", "description": "d" * 40} for n in range(5)}}
    tools = tuple({"name": f"tool{n}", "description": "d" * 200, "inputSchema": schema} for n in range(100))
    for number in range(10):
        await store.save(f"f{number}", Offers(f"b{number}", Era.MODERN, "2026-07-28", tools=tools))
    await store.save_era("f1", Era.LEGACY, False)
    await store.aclose()
    again = place.store()
    await again.open()
    loaded = await again.load()
    assert len(loaded) == 10
    assert loaded["f3", "modern"].tools == tools
    assert await again.load_eras() == {"f1": {Era.LEGACY: False}}
    await again.aclose()


CHILD = """
import asyncio, sys
from pathlib import Path
from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.storage.choice import database_of
from mcp_orchestrator.storage.store import Store
from mcp_orchestrator.model.snapshot import Secret, StorageSpec

async def call(store, name):
    number = 0
    while True:
        number += 1
        run = f"{name}.{number}"
        store.record(Event(EventKind.RUN_STARTED, 1.0, run, {"n": number}))
        store.record(Event(EventKind.RUN_ENDED, 2.0, run, {"status": "completed"}))
        await store.commit()
        sys.stdout.write(run + "\\n")
        sys.stdout.flush()

async def main():
    url = Secret(sys.argv[1]) if sys.argv[1].startswith("postgresql:") else None
    store = Store(database_of(StorageSpec(Path(sys.argv[3]) / "state" / "state.db", url=url)))
    await store.open()
    await asyncio.gather(*(call(store, f"{sys.argv[2]}.{n}") for n in range(8)))

asyncio.run(main())
"""


def kill_while_acknowledging(place, directory, name, acknowledgements):
    """Let a child acknowledge runs and kill -9 it after so many; returns every run it acknowledged."""
    command = [sys.executable, "-c", CHILD, place.word, name, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        acknowledged = [child.stdout.readline().strip() for _ in range(acknowledgements)]
        child.kill()
        rest = child.stdout.read()
    return acknowledged + rest.split("\n")[:-1]


async def test_every_acknowledged_record_survives_kill_9(place, tmp_path):
    dice, acknowledged = random.Random(5), set()  # noqa: S311 - dice for a test
    for turn in range(8):
        acknowledged |= set(kill_while_acknowledging(place, tmp_path, f"t{turn}", dice.randint(1, 400)))
    with place.reader() as reader:
        verdict = reader.verify()
        kept = {found.run for found in reader.events([EventKind.RUN_ENDED], limit=1_000_000)}
    assert verdict.fault is None
    assert len(acknowledged) > 8
    assert acknowledged - kept == set()
