"""State in memory: a ring of events, and offers that forget with the process."""

import pytest

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.plugin_api import JournalSink
from mcp_orchestrator.storage.memory import MemoryStore, recalled
from mcp_orchestrator.storage.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


async def test_the_ring_keeps_the_newest_events():
    store = MemoryStore(ring=2)
    await store.open()
    for number in range(3):
        store.record(Event(EventKind.RUN_STARTED, float(number)))
    await store.commit()
    assert [event.at for event in store.events] == [1.0, 2.0]
    assert isinstance(store, JournalSink)
    await store.aclose()


async def test_offers_and_verdicts_are_kept_while_it_lives():
    store, offers = MemoryStore(), Offers("b", Era.LEGACY, "2025-11-25")
    await store.save("f", offers)
    await store.save_era("f", Era.MODERN, False)
    await store.save_era("f", Era.LEGACY, True)
    assert await store.load() == {("f", "legacy"): offers}
    assert await store.load_eras() == {"f": {Era.MODERN: False, Era.LEGACY: True}}


async def test_it_can_begin_with_what_a_state_file_remembers(tmp_path):
    path, offers = tmp_path / "state.db", Offers("b", Era.LEGACY, "2025-11-25")
    assert await (await recalled(path)).load() == {}
    store = SqliteStore(path)
    await store.open()
    await store.save("f", offers)
    await store.save_era("f", Era.MODERN, False)
    memory = await recalled(path)
    assert await memory.load() == {("f", "legacy"): offers}
    assert await memory.load_eras() == {"f": {Era.MODERN: False}}
    await store.aclose()


async def test_a_state_file_that_is_torn_remembers_nothing(tmp_path):
    path = tmp_path / "state.db"
    store = SqliteStore(path)
    await store.open()
    await store.save("f", Offers("b", Era.LEGACY, "2025-11-25", instructions="x" * 50_000))
    await store.aclose()
    torn = path.read_bytes()
    path.write_bytes(torn[:4096] + b"\xff" * (len(torn) - 4096))
    assert await (await recalled(path)).load() == {}
