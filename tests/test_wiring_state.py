"""The state of a gateway: kept where the configuration says, or forgotten with the process."""

from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from engines import snapshot

from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.snapshot import Captured, ObserveSpec
from mcp_orchestrator.storage.memory import MemoryStore
from mcp_orchestrator.wiring_state import make_capture, make_sealer, open_store

pytestmark = pytest.mark.anyio


async def test_a_store_is_opened_and_closed_with_its_stack(tmp_path):
    made = snapshot(tmp_path, [])
    async with AsyncExitStack() as stack:
        store, journal, prune = await open_store(made, stack, persistent=True)
        assert journal is store
        journal.record(Event(EventKind.GATEWAY_STOPPED, 1.0))
        await journal.commit()
        assert await prune(max_rows=0) == 1
    with pytest.raises(OSError, match="closed"):
        await store.commit()


async def test_without_a_journal_events_are_only_in_memory_and_without_a_store_all_is(tmp_path):
    made = replace(snapshot(tmp_path, []), observe=ObserveSpec(journal=False))
    async with AsyncExitStack() as stack:
        store, journal, _prune = await open_store(made, stack, persistent=True)
        assert isinstance(journal, MemoryStore)
        assert journal is not store
        memory, kept, none = await open_store(made, stack, persistent=False)
        assert isinstance(memory, MemoryStore)
        assert (kept, none) == (memory, None)


def test_states_that_are_sealed_open_after_a_restart_where_state_is_kept(tmp_path):
    made = snapshot(tmp_path, [])
    made.storage.path.parent.mkdir(parents=True, exist_ok=True)
    sealed = make_sealer(made, persistent=True).seal(b"inside", b"bond")
    assert make_sealer(made, persistent=True).unseal(sealed, b"bond") == b"inside"
    with pytest.raises(ValueError, match="not ours"):
        make_sealer(made, persistent=False).unseal(sealed, b"bond")


def test_arguments_are_captured_where_the_configuration_says_so(tmp_path):
    made = snapshot(tmp_path, [])
    assert make_capture(made) is None
    capture = make_capture(replace(made, observe=ObserveSpec(capture=Captured.REDACTED)))
    assert capture({"a": 1, "password": "x"}, str) == {"a": 1, "password": "[removed]"}
