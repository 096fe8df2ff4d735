"""What servers offered when they were last seen is read from the state file, if there is one."""

import pytest

from mcp_orchestrator.config.compare import fingerprint
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.snapshot import BackendSpec, Durability, HttpSpec, Snapshot, StorageSpec, TransportKind
from mcp_orchestrator.storage.sqlite import SqliteStore
from mcp_orchestrator.wiring_memory import remembered_tools

pytestmark = pytest.mark.anyio
SPEC = BackendSpec("s", TransportKind.STDIO, command="x")


def snapshot(path):
    return Snapshot("f", "0", {"s": SPEC}, {}, HttpSpec(), StorageSpec(path))


async def test_without_a_state_file_nothing_is_remembered(tmp_path):
    assert remembered_tools(snapshot(tmp_path / "state.db"))("s") is None


async def test_the_tools_of_the_newer_era_are_remembered_for_this_definition_alone(tmp_path):
    store = SqliteStore(tmp_path / "state.db", Durability.NORMAL)
    await store.open()
    for era, name in ((Era.LEGACY, "old"), (Era.MODERN, "new")):
        await store.save(fingerprint(SPEC), Offers("s", era, "", tools=({"name": name},)))
    await store.aclose()
    known = remembered_tools(snapshot(tmp_path / "state.db"))
    assert known("s") == ({"name": "new"},)
    other = BackendSpec("s", TransportKind.STDIO, command="y")
    assert (
        remembered_tools(Snapshot("f", "0", {"s": other}, {}, HttpSpec(), StorageSpec(tmp_path / "state.db")))("s")
        is None
    )


async def test_a_file_that_is_no_state_file_is_no_memory(tmp_path):
    path = tmp_path / "state.db"
    path.write_text("nothing of the kind" * 100)
    assert remembered_tools(snapshot(path))("s") is None
