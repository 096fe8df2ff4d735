"""Delegations as listeners of other protocols see them."""

import anyio
import pytest
from delegating import ADA, BOB, DONE, Agent, House, answers, asks, until, until_stopped

from mcp_orchestrator.core.translate.permissions import Option, permission
from mcp_orchestrator.model.agent import AgentMode, EndStatus
from mcp_orchestrator.runtime.delegation_door import DelegationFront

pytestmark = pytest.mark.anyio
MAY_IT = permission("worker", "run a command", "rm x", (Option("allow", "once"),))


def front(tmp_path, *agents, **rules):
    house = House(tmp_path, *agents, **rules)
    return house, DelegationFront(house.delegations)


async def over(door, seen):
    with anyio.fail_after(5):
        while seen.kept.ended is None:
            await seen.changed.wait()
            seen = await door.look(seen.kept.id, ADA)
    return seen


async def test_what_is_begun_here_is_a_delegation_like_any_other(tmp_path):
    house, door = front(tmp_path, Agent(work=answers("42"), labels=("x",)))
    assert [spec.name for spec in door.agents] == ["worker"]
    seen = await over(door, await door.begin("count", ADA, labels=["x"], context="c1"))
    assert (seen.kept.ended.text, seen.text, seen.kept.context, seen.kept.owner) == ("42", "42", "c1", ADA.id)
    assert house.store.rows[seen.kept.id].ended is not None


async def test_what_cannot_be_begun_is_told(tmp_path):
    _, door = front(tmp_path, Agent())
    with pytest.raises(ValueError, match="no agent 'other'"):
        await door.begin("x", ADA, agent="other")
    with pytest.raises(ValueError, match="workspace"):
        await door.begin("x", ADA, mode=AgentMode.WRITE)


async def test_a_question_is_seen_answered_and_then_open_no_more(tmp_path):
    house, door = front(tmp_path, Agent(work=asks(MAY_IT, lambda answer: DONE)))
    seen = await door.begin("x", ADA)
    delegation = house.delegations.live(seen.kept.id, ADA)
    await until(delegation, lambda: delegation.open)
    seen = await door.look(seen.kept.id, ADA)
    assert list(seen.questions) == ["q1"]
    with pytest.raises(LookupError):
        door.answer(seen.kept.id, BOB, "q1", "decline")
    assert door.answer(seen.kept.id, ADA, "q1", "accept", option="allow") == "q1"
    assert (await door.look(seen.kept.id, ADA)).questions == {}
    assert (await over(door, seen)).kept.ended.status is EndStatus.COMPLETED


async def test_a_run_is_its_owners_alone(tmp_path):
    _, door = front(tmp_path, Agent())
    seen = await over(door, await door.begin("x", ADA))
    with pytest.raises(LookupError):
        await door.look(seen.kept.id, BOB)
    assert await door.recent(BOB, 10) == []
    assert [one.kept.id for one in await door.recent(ADA, 10)] == [seen.kept.id]
    with pytest.raises(ValueError, match="no workspace"):
        await door.changes(seen.kept.id, ADA)


async def test_what_only_the_store_knows_is_seen_too(tmp_path):
    house, door = front(tmp_path, Agent(work=answers("old")))
    seen = await over(door, await door.begin("x", ADA))
    later, new = front(tmp_path, Agent())
    later.store.rows = house.store.rows
    again = await new.look(seen.kept.id, ADA)
    assert (again.text, again.questions) == ("old", {})
    assert (await new.recent(ADA, 5))[0].text == "old"


async def test_a_run_is_stopped(tmp_path):
    _, door = front(tmp_path, Agent(work=until_stopped))
    seen = await door.begin("x", ADA)
    with anyio.fail_after(5):
        seen = await door.cancel(seen.kept.id, ADA, "enough")
    assert seen.kept.ended.status is EndStatus.CANCELLED
