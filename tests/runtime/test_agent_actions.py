"""What the command line does with agents and delegations."""

import pytest
from delegating import ADA, Agent, House

from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.delegation import Applied, ChangedFile, Changes
from mcp_orchestrator.runtime.agent_actions import AgentActions

pytestmark = pytest.mark.anyio


def acting(house):
    table = AgentActions(lambda: house.delegations if house is not None else None).table()

    async def act(action, /, **args):
        return await table[action](args)

    return act


async def test_agents_are_listed_and_looked_at_only_when_asked_to(tmp_path):
    act = acting(House(tmp_path, Agent("one", labels=("fast",)), Agent("two")))
    one, two = await act("agents.list")
    assert (one["name"], one["labels"], one["working"], "facts" in one) == ("one", ["fast"], 0, False)
    assert [line["facts"]["version"] for line in await act("agents.list", probe=True)] == ["1", "1"]
    assert (await act("agents.show", name="two"))["facts"]["found"]
    assert two["kind"] == "scripted"
    with pytest.raises(LookupError, match="no agent named 'three'; there are: one, two"):
        await act("agents.show", name="three")


async def test_without_agents_there_are_none_and_no_delegations():
    act = acting(None)
    assert await act("agents.list") == []
    for action in ("agents.show", "delegations.show", "delegations.changes", "delegations.apply"):
        with pytest.raises(LookupError, match="no agents"):
            await act(action, run="r1", name="one")


async def test_the_operator_sees_and_applies_the_runs_of_all(tmp_path):
    house = House(tmp_path, Agent())
    act = acting(house)
    await house.ended(await house.begin("paint", mode=AgentMode.WRITE, workspace=str(tmp_path), owner=ADA))
    shown = await act("delegations.show", run="r1")
    assert (shown["status"], shown["task"], shown["owner"], shown["text"]) == ("completed", "paint", ADA.id, "done")
    house.places.changed = Changes((ChangedFile("a", "add", 1),), "+x")
    assert (await act("delegations.changes", run="r1"))["files"][0]["path"] == "a"
    house.places.applied = Applied((), {"a": "both"})
    assert await act("delegations.apply", run="r1") == {"applied": [], "conflicts": {"a": "both"}}
    with pytest.raises(LookupError, match="no run 'r7'"):
        await act("delegations.show", run="r7")
