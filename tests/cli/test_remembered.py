import pytest

from mcp_orchestrator.cli.remembered import Memory, recall
from mcp_orchestrator.config.compare import fingerprint
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.storage.sqlite import SqliteStore
from mcp_orchestrator.wiring import load_config

pytestmark = pytest.mark.anyio


@pytest.fixture
def snapshot(configured):
    return load_config(configured(mcpServers={"off": {"command": "x", "disabled": True}})).snapshot


def offers(name, era, *tools):
    definitions = tuple({"name": tool, "inputSchema": {"type": "object"}} for tool in tools)
    return Offers(name, era, "2026-07-28", tools=definitions)


def test_without_a_state_file_every_enabled_backend_is_unknown(snapshot):
    assert recall(snapshot).unknown == ("notes", "clock")


async def test_what_a_gateway_left_behind_is_recalled_while_the_file_is_in_use(snapshot):
    store = SqliteStore(snapshot.storage.path)
    await store.open()
    try:
        await store.save(fingerprint(snapshot.backends["clock"]), offers("clock", Era.LEGACY, "now"))
        memory = recall(snapshot)
    finally:
        await store.aclose()
    assert memory.unknown == ("notes",)
    assert memory.catalog(None).tool("clock__now") is not None
    assert memory.catalog("times").tool("clock.now") is not None


def test_plans_from_memory_have_the_form_of_the_gateways_own(snapshot):
    keys = {name: fingerprint(spec) for name, spec in snapshot.backends.items()}
    known = {
        (keys["notes"], "modern"): offers("notes", Era.MODERN, "add"),
        (keys["clock"], "legacy"): offers("clock", Era.LEGACY, "now"),
    }
    memory = Memory(snapshot, known)
    good = memory.plan("notes__add", {}, None)
    assert good["target"] == {"backend": "notes", "name": "add", "timeout": snapshot.backends["notes"].timeout}
    assert good["refusal"] is None
    assert [reason["step"] for reason in good["reasons"]][:2] == ["identity", "catalog"]
    unknown = memory.plan("nothing", {}, None)
    assert unknown["target"] is None
    assert unknown["refusal"]["error"]["kind"] == "unknown_name"
