"""Carrying out: stopped at any step, within what is left, and one end whatever is killed or broken meanwhile."""

import asyncio
from dataclasses import replace

import anyio
import pytest
from delegating import ADA, Agent, House, answers, until_stopped

from mcp_orchestrator.model.agent import AgentMode, AgentUsage, CostSource, EndStatus, TroubleKind
from mcp_orchestrator.model.delegation import ChangedFile, Changes, DelegationState
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.runtime.recovery import take_up

pytestmark = pytest.mark.anyio


async def test_a_run_that_is_stopped_while_its_place_is_made_starts_no_agent(tmp_path):
    agent = Agent()
    house = House(tmp_path, agent)
    making, go = asyncio.Event(), asyncio.Event()
    prepare = house.places.prepare

    async def slow(*given):
        making.set()
        await go.wait()
        return await prepare(*given)

    house.places.prepare = slow
    delegation = await house.begin()
    await making.wait()
    delegation.cancel("enough")
    go.set()
    ended = await house.ended(delegation)
    assert (ended.status, ended.evidence, agent.opened) == (EndStatus.CANCELLED, "it had not been started yet", [])


async def test_a_run_that_is_stopped_while_its_agent_starts_does_not_wait_for_it(tmp_path):
    agent, opening, ended_opening = Agent(), asyncio.Event(), []

    async def never(_opening):
        opening.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended_opening.append(True)

    agent.open = never
    house = House(tmp_path, agent)
    delegation = await house.begin()
    await opening.wait()
    delegation.cancel("enough")
    ended = await house.ended(delegation)
    assert (ended.status, ended.evidence, ended_opening) == (EndStatus.CANCELLED, "it was being started", [True])


async def test_an_agent_that_is_not_ready_in_time_has_failed(tmp_path):
    agent = Agent(start_timeout=0.01)

    async def never(_opening):
        await asyncio.Event().wait()

    agent.open = never
    house = House(tmp_path, agent)
    ended = await house.ended(await house.begin())
    assert (ended.status, ended.retryable) == (EndStatus.FAILED, True)
    assert "startTimeout" in ended.message


async def test_a_place_that_the_system_refuses_is_told_as_that(tmp_path):
    house = House(tmp_path, Agent())

    async def full(*_given):
        raise OSError(28, "No space left on device")

    house.places.prepare = full
    ended = await house.ended(await house.begin())
    assert (ended.status, ended.trouble) == (EndStatus.FAILED, TroubleKind.INVALID)
    assert "no workspace could be made" in ended.message


async def test_what_is_thrown_away_of_a_run_that_may_only_read_is_said_before_its_end(tmp_path):
    house = House(tmp_path, Agent())
    house.places.changed = Changes(tuple(ChangedFile(f"f{number}", "update") for number in range(12)))
    delegation = await house.begin(workspace=str(tmp_path))
    await house.ended(delegation)
    (warning,) = delegation.warnings
    assert "12 files: f0, f1," in warning
    assert warning.endswith("f9, ...)")
    assert house.events("r1")[-1].kind.value == "delegation.ended"
    house.places.changed = Changes()
    quiet = await house.begin(workspace=str(tmp_path))
    await house.ended(quiet)
    assert quiet.warnings == []


async def test_the_agent_gets_what_is_left_of_the_money_after_a_restart(tmp_path):
    agent = Agent(work=until_stopped)
    house = House(tmp_path, agent)
    await house.begin(limits={"cost": 100_000})
    await agent.begun.wait()
    await house.delegations.stop()
    spent = AgentUsage(cost=30_000, cost_source=CostSource.REPORTED)
    again = House(tmp_path, second := Agent(), kept=house.store)
    house.store.rows["r1"] = replace(house.store.rows["r1"], usage=spent)
    await take_up(again.delegations)
    await again.ended(again.delegations.live("r1", None))
    assert second.turns[0].max_cost == 70_000


async def test_who_has_spent_everything_before_a_restart_is_not_started_again(tmp_path):
    agent = Agent(work=until_stopped)
    house = House(tmp_path, agent)
    await house.begin(limits={"cost": 100_000})
    await agent.begun.wait()
    await house.delegations.stop()
    again = House(tmp_path, second := Agent(), kept=house.store)
    usage = AgentUsage(cost=100_000, cost_source=CostSource.REPORTED)
    house.store.rows["r1"] = replace(house.store.rows["r1"], usage=usage)
    await take_up(again.delegations)
    ended = await again.ended(again.delegations.live("r1", None))
    assert (ended.status, ended.trouble, second.opened) == (EndStatus.LIMIT, TroubleKind.BUDGET, [])
    assert ended.usage.cost == 100_000


async def test_the_usage_of_an_answer_that_did_not_fit_is_counted_too(tmp_path):
    usage = AgentUsage(cost=5, cost_source=CostSource.REPORTED)
    house = House(tmp_path, Agent(work=answers("no", usage=usage)))
    ended = await house.ended(await house.begin(schema={"type": "object"}))
    assert ended.usage.cost == 10


@pytest.mark.parametrize("told", [False, True])
async def test_an_end_that_was_kept_but_not_told_is_told_once_by_the_next_gateway(tmp_path, told):
    house = House(tmp_path, Agent())
    await house.ended(await house.begin())
    row = house.store.rows["r1"]
    house.store.rows["r1"] = replace(row, state=DelegationState.WORKING)
    again = House(tmp_path, agent := Agent(), kept=house.store)
    again.journal.events += house.journal.events if told else []
    await take_up(again.delegations)
    await again.ended(again.delegations.live("r1", None))
    assert agent.opened == []
    assert [event.kind.value for event in again.events("r1")].count("delegation.ended") == 1
    assert again.store.rows["r1"].state is DelegationState.ENDED


async def test_a_run_whose_parent_is_over_is_over_after_a_restart(tmp_path):
    house = House(tmp_path, Agent(work=until_stopped))
    delegation = await house.begin()
    await house.delegations.agents["worker"].begun.wait()
    await house.delegations.stop()
    house.store.rows["r1"] = replace(delegation.kept, parent="r0", owner="agent:boss:r0")
    again = House(tmp_path, agent := Agent(), kept=house.store)
    await take_up(again.delegations)
    ended = await again.ended(again.delegations.live("r1", None))
    assert (ended.status, agent.opened) == (EndStatus.CANCELLED, [])
    assert "r0" in ended.message


async def test_the_work_of_an_agent_that_is_no_longer_there_is_unknown_after_a_restart(tmp_path):
    house = House(tmp_path, Agent(work=until_stopped))
    await house.begin()
    await house.delegations.agents["worker"].begun.wait()
    await house.delegations.stop()
    again = House(tmp_path, Agent("other"), kept=house.store)
    await take_up(again.delegations)
    ended = await again.ended(again.delegations.live("r1", None))
    assert (ended.status, ended.trouble) == (EndStatus.UNKNOWN, TroubleKind.MISSING)


async def test_somebody_may_have_a_run_started_again_whose_session_is_lost(tmp_path):
    house = House(tmp_path, Agent(work=until_stopped))
    await house.begin()
    await house.delegations.agents["worker"].begun.wait()
    await house.delegations.stop()
    agent = Agent(work=answers("painted"))
    opened = agent.open

    async def only_new(opening):
        if opening.resume is not None:
            raise BackendError(FailureKind.UNAVAILABLE, "no such session")
        return await opened(opening)

    agent.open = only_new
    again = House(tmp_path, agent, kept=house.store)
    await take_up(again.delegations)
    delegation = again.delegations.live("r1", None)
    with anyio.fail_after(5):
        while not delegation.open:
            await delegation.changed.wait()
    delegation.answer(None, "accept", option="start_again", content=None, by="ada")
    assert (await again.ended(delegation)).text == "painted"
    assert again.store.rows["r1"].attempts == 1, "a new beginning has all its attempts"


async def test_an_end_that_cannot_be_kept_is_still_the_end_here(tmp_path):
    house = House(tmp_path, agent := Agent(work=until_stopped))
    delegation = await house.begin(mode=AgentMode.READ)
    await agent.begun.wait()
    house.store.broken = True
    with anyio.fail_after(5):
        kept = await house.delegations.cancel("r1", ADA, "enough")
    assert kept.ended.status is EndStatus.CANCELLED
    assert delegation.over.is_set()


async def test_a_run_is_begun_though_who_ordered_it_has_left_and_ended_if_it_was_called_off(tmp_path):
    house = House(tmp_path, Agent(work=answers("done")))
    saved, gate = house.store.save, asyncio.Event()

    async def slow(kept):
        await gate.wait()
        await saved(kept)

    house.store.save = slow
    runs = []
    for reason in ("", "stop"):
        order = house.order()
        ordering = asyncio.ensure_future(house.delegations.begin(order))
        await asyncio.sleep(0)
        ordering.cancel()
        await asyncio.wait({ordering})
        assert ordering.cancelled()
        if reason:
            house.delegations.call_off(order.run, reason)
        runs.append(order.run)
    gate.set()
    ends = []
    for run in runs:
        with anyio.fail_after(5):
            while house.delegations.live(run, None) is None:  # noqa: ASYNC110 - nobody waits for it any more
                await asyncio.sleep(0)
        ends.append((await house.ended(house.delegations.live(run, None))).status)
    assert ends == [EndStatus.COMPLETED, EndStatus.CANCELLED]
