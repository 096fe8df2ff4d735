"""What an earlier gateway left open: nothing is begun twice, and what is not known is asked."""

import anyio
import pytest
from delegating import ADA, Agent, House, Kept, answers, until

from mcp_orchestrator.model.agent import AgentMode, AgentUsage, CostSource, EndStatus, TroubleKind
from mcp_orchestrator.model.delegation import Delegated, DelegationState, Workspace
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.runtime.recovery import take_up

pytestmark = pytest.mark.anyio


def left(tmp_path, state, **changes):
    workspace = Workspace("r9", str(tmp_path), str(tmp_path), AgentMode.READ)
    kept = {"workspace": workspace, "created": 1.0, "attempts": 1, **changes}
    return Delegated("r9", "worker", "scripted", "paint it", AgentMode.READ, ADA.id, state, **kept)


async def taken_up(tmp_path, agent, kept):
    house = House(tmp_path, agent, kept=Kept(kept))
    assert await take_up(house.delegations) == 1
    return house, house.delegations.live("r9", None)


async def test_what_was_accepted_and_never_started_is_started_now(tmp_path):
    agent = Agent(work=answers("painted"))
    house, delegation = await taken_up(tmp_path, agent, left(tmp_path, DelegationState.ACCEPTED, workspace=None))
    assert (await house.ended(delegation)).text == "painted"
    assert (agent.opened[0].resume, agent.turns[0].prompt) == (None, "paint it")


async def test_what_was_working_goes_on_in_the_agents_own_session(tmp_path):
    agent = Agent(work=answers("painted"))
    kept = left(tmp_path, DelegationState.WORKING, native="n5", turn="t5")
    house, delegation = await taken_up(tmp_path, agent, kept)
    assert (await house.ended(delegation)).status is EndStatus.COMPLETED
    assert agent.opened[0].resume == "n5"
    assert agent.turns[0].rejoin == "t5"
    assert agent.turns[0].prompt.startswith("You were interrupted")
    assert agent.turns[0].prompt.endswith("paint it")


async def test_a_session_that_cannot_be_taken_up_is_asked_about_and_without_an_answer_unknown(tmp_path):
    agent = Agent(fails=FailureKind.UNAVAILABLE)
    kept = left(tmp_path, DelegationState.WORKING, native="n5")
    house, delegation = await taken_up(tmp_path, agent, kept)
    await until(delegation, lambda: delegation.open)
    assert "could not be taken up again" in delegation.open["q1"].question.params["message"]
    delegation.answer(None, "accept", option="give_up", content=None, by="ada")
    ended = await house.ended(delegation)
    assert (ended.status, ended.trouble, ended.retryable) == (EndStatus.UNKNOWN, TroubleKind.SESSION, False)
    assert "not known" in ended.evidence


async def test_what_was_being_started_is_asked_about_and_nothing_is_started_meanwhile(tmp_path):
    agent = Agent(work=answers("painted"))
    house, delegation = await taken_up(tmp_path, agent, left(tmp_path, DelegationState.STARTING))
    await until(delegation, lambda: delegation.open)
    assert agent.opened == []
    assert "paint it" in delegation.open["q1"].question.params["message"]
    delegation.answer(None, "accept", option="start_again", content=None, by="ada")
    assert (await house.ended(delegation)).text == "painted"


async def test_a_question_about_it_that_nobody_answers_ends_as_unknown(tmp_path):
    agent = Agent()
    house = House(tmp_path, agent, kept=Kept(left(tmp_path, DelegationState.STARTING)))
    house.engine.question_expiry = 0.01
    await take_up(house.delegations)
    ended = await house.ended(house.delegations.live("r9", None))
    assert (ended.status, ended.trouble) == (EndStatus.UNKNOWN, TroubleKind.CRASH)
    assert agent.opened == []
    assert house.store.rows["r9"].ended.status is EndStatus.UNKNOWN


async def test_after_many_attempts_a_person_is_asked(tmp_path):
    agent = Agent()
    kept = left(tmp_path, DelegationState.WORKING, native="n5", attempts=5)
    _, delegation = await taken_up(tmp_path, agent, kept)
    await until(delegation, lambda: delegation.open)
    assert agent.opened == []
    delegation.answer(None, "accept", option="give_up", content=None, by="ada")
    with anyio.fail_after(10):
        await delegation.over.wait()


async def test_money_that_was_spent_before_stays_spent(tmp_path):
    spent = AgentUsage(input_tokens=10, cost=70_000, cost_source=CostSource.REPORTED)
    more = AgentUsage(input_tokens=1, cost=5_000, cost_source=CostSource.REPORTED)
    agent = Agent(work=answers("painted", usage=more))
    kept = left(tmp_path, DelegationState.WORKING, native="n5", usage=spent)
    house, delegation = await taken_up(tmp_path, agent, kept)
    ended = await house.ended(delegation)
    assert (ended.usage.cost, ended.usage.input_tokens) == (75_000, 11)
