import asyncio
from dataclasses import replace

import anyio
import pytest
from delegating import ADA, DONE, Agent, Front, House, answers, until, until_stopped

from mcp_orchestrator.model.agent import (
    AgentKind,
    AgentMode,
    AgentUsage,
    CostSource,
    Ended,
    EndStatus,
    FileChange,
    Text,
    ToolUse,
    TroubleKind,
    Used,
)
from mcp_orchestrator.model.agent_routes import AgentRoute, RouteMatch, Then, Verdict, Verify
from mcp_orchestrator.model.delegation import ChangedFile, Changes, DelegationState
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.runtime.recovery import take_up

pytestmark = pytest.mark.anyio


def quota(**fields):
    return Ended(EndStatus.FAILED, trouble=TroubleKind.QUOTA, message="nothing left", resets_at=5000.0, **fields)


def ends(ended, *events):
    """A turn that tells these events and ends so."""

    async def work(session, turn, talk):
        await talk.bound("n1")
        for event in events:
            talk.event(event)
        return ended

    return work


class Checks:
    """A `Verifier` that says what it is told, and remembers what it was asked."""

    def __init__(self, *verdicts):
        self.verdicts = list(verdicts)
        self.asked = []

    async def verify(self, command, workspace, seconds):
        self.asked.append((command, workspace.run, seconds))
        return self.verdicts.pop(0)


BAD, GOOD = Verdict(passed=False, said="2 tests failed"), Verdict(passed=True, said="all well")


def house(tmp_path, *agents, route=None, checks=None, kept=None, **fields):
    made = House(tmp_path, *agents, kept=kept)
    names = tuple(agent.spec.name for agent in agents)
    routes = [route or AgentRoute("r", names, where="o.yaml:7", **fields)]
    made.delegations.configure(made.agents, made.rules, routes)
    made.delegations.steering.verifier = checks
    return made


def kinds(house, run=None):
    return [event.kind for event in house.journal.events if run is None or event.run == run]


async def test_a_run_goes_to_the_next_agent_when_the_first_has_no_quota_and_has_done_nothing(tmp_path):
    first = Agent("first", ends(quota(), Text("let me see")))
    second = Agent("second", answers("done by the second"), native="n2")
    made = house(tmp_path, first, second)
    delegation = await made.begin()
    ended = await made.ended(delegation)
    kept = delegation.kept
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "done by the second")
    assert (kept.agent, kept.route, kept.native) == ("second", "r", "n2")
    assert [(one.agent, one.trouble) for one in kept.tried] == [("first", TroubleKind.QUOTA)]
    assert first.opened[0].cwd == second.opened[0].cwd, "the same workspace"
    assert second.opened[0].resume is None
    passed = next(event for event in made.events(kept.id) if event.kind is EventKind.DELEGATION_PASSED)
    assert (passed.data["from"], passed.data["to"], passed.data["trouble"]) == ("first", "second", "quota")
    assert [one.kind for one in made.events(kept.id)].count(EventKind.DELEGATION_ENDED) == 1


async def test_what_another_agent_is_given_is_durable_before_it_is_started(tmp_path):
    first, second = Agent("first", ends(quota())), Agent("second")
    made = house(tmp_path, first, second)
    await made.ended(await made.begin())
    states = [(one.agent, one.state, one.native) for one in made.store.history]
    handed = states.index(("second", DelegationState.ACCEPTED, None))
    assert states[handed + 1][:2] == ("second", DelegationState.STARTING)


@pytest.mark.parametrize(
    "done",
    [
        [ToolUse("t1", "shell", "shell")],
        [FileChange("a.txt")],
    ],
)
async def test_an_agent_that_has_used_a_tool_keeps_the_run(tmp_path, done):
    second = Agent("second")
    made = house(tmp_path, Agent("first", ends(quota(), *done)), second)
    ended = await made.ended(await made.begin())
    assert (ended.status, ended.trouble) == (EndStatus.FAILED, TroubleKind.QUOTA)
    assert "no other agent was tried: it has used tools" in ended.evidence
    assert not second.opened


async def test_a_changed_workspace_keeps_the_run_with_its_agent(tmp_path):
    second = Agent("second")
    made = house(tmp_path, Agent("first", ends(quota())), second)
    made.places.changed = Changes((ChangedFile("a.txt", "update"),))
    ended = await made.ended(await made.begin(mode=AgentMode.WRITE, workspace=str(tmp_path)))
    assert "its workspace was changed" in ended.evidence
    assert not second.opened


async def test_agents_that_do_not_tell_what_they_do_are_followed_by_another_only_if_they_never_began(tmp_path):
    second = Agent("second")
    made = house(tmp_path, Agent("first", ends(quota()), kind=AgentKind.CLI), second)
    ended = await made.ended(await made.begin())
    assert "agents of the kind cli do not tell" in ended.evidence
    made = house(tmp_path / "x", Agent("first", kind=AgentKind.CLI, fails=FailureKind.UNAVAILABLE), second)
    assert (await made.ended(await made.begin(workspace=None))).status is EndStatus.COMPLETED


@pytest.mark.parametrize(
    ("ended", "fields"),
    [
        (quota(), {"on_quota": Then.FAIL}),
        (Ended(EndStatus.FAILED, trouble=TroubleKind.AUTH), {"on_missing": Then.FAIL}),
        (Ended(EndStatus.FAILED, trouble=TroubleKind.MODEL), {}),
        (Ended(EndStatus.REFUSED), {}),
        (Ended(EndStatus.FAILED, trouble=TroubleKind.CRASH), {"on_failed": Then.NEXT}),
        (Ended(EndStatus.UNKNOWN, trouble=TroubleKind.AUTH), {"on_failed": Then.NEXT}),
    ],
)
async def test_where_the_route_does_not_say_next_the_run_ends(tmp_path, ended, fields):
    second = Agent("second")
    made = house(tmp_path, Agent("first", ends(ended)), second, **fields)
    assert (await made.ended(await made.begin())).status is ended.status
    assert not second.opened


async def test_a_model_that_fails_or_declines_is_followed_by_the_next_where_the_route_says_so(tmp_path):
    for number, ended in enumerate((Ended(EndStatus.FAILED, trouble=TroubleKind.MODEL), Ended(EndStatus.REFUSED))):
        made = house(tmp_path / str(number), Agent("first", ends(ended)), Agent("second"), on_failed=Then.NEXT)
        assert (await made.ended(await made.begin())).status is EndStatus.COMPLETED


async def test_an_agent_that_was_named_is_the_only_one(tmp_path):
    second = Agent("second")
    made = house(tmp_path, Agent("first", ends(quota())), second)
    ended = await made.ended(await made.begin(agent="first"))
    assert ended.trouble is TroubleKind.QUOTA
    assert not second.opened


async def test_an_agent_without_quota_is_left_out_until_its_reset_and_that_is_journalled(tmp_path):
    first = Agent("first", ends(quota()))
    made = house(tmp_path, first, Agent("second"))
    await made.ended(await made.begin())
    benched = next(event for event in made.journal.events if event.kind is EventKind.AGENT_BENCHED)
    assert (benched.data["agent"], benched.data["until"]) == ("first", 5000.0)
    delegation = await made.begin()
    await made.ended(delegation)
    assert len(first.opened) == 1
    assert "first is passed over: on the bench" in str(delegation.kept.decision)
    changed = Agent("first", answers("mended"), model="another")
    made.delegations.configure(
        {"first": changed, "second": made.agents["second"]}, made.rules, [AgentRoute("r", ("first",))]
    )
    assert (await made.ended(await made.begin())).text == "mended", "an agent that was changed is tried again"


async def test_without_routes_a_failure_is_the_end_as_ever(tmp_path):
    second = Agent("second")
    made = House(tmp_path, Agent("first", ends(quota())), second)
    ended = await made.ended(await made.begin())
    assert ended.trouble is TroubleKind.QUOTA
    assert not second.opened


async def test_what_all_agents_used_counts_together_and_so_does_the_time(tmp_path):
    spent = AgentUsage(input_tokens=5, cost=600_000, cost_source=CostSource.REPORTED)
    first = Agent("first", ends(quota(usage=spent), Used(spent)))
    second = Agent("second", ends(replace(DONE, usage=spent), Used(spent)))
    made = house(tmp_path, first, second)
    delegation = await made.begin(limits={"cost": 5_000_000, "seconds": 100})
    ended = await made.ended(delegation)
    assert ended.usage.cost == 1_200_000
    assert delegation.kept.limits["seconds"] < 100
    made = house(tmp_path / "x", first, second)
    ended = await made.ended(await made.begin(limits={"cost": 600_000}))
    assert (ended.status, ended.trouble) == (EndStatus.LIMIT, TroubleKind.BUDGET)


async def test_a_run_that_is_cancelled_goes_to_nobody_else(tmp_path):
    second = Agent("second")

    async def work(session, turn, talk):
        await until_stopped(session, turn, talk)
        return quota()

    first = Agent("first", work)
    made = house(tmp_path, first, second)
    delegation = await made.begin()
    with anyio.fail_after(5):
        await first.begun.wait()
    await made.delegations.cancel(delegation.kept.id, ADA, "enough")
    assert delegation.kept.ended.status is EndStatus.CANCELLED
    assert not second.opened


async def test_work_is_verified_in_the_workspace_and_what_was_said_is_journalled(tmp_path):
    checks = Checks(GOOD)
    made = house(tmp_path, Agent("first"), checks=checks, verify=Verify(("make", "test"), 12.0))
    delegation = await made.begin()
    ended = await made.ended(delegation)
    assert ended.status is EndStatus.COMPLETED
    assert "verified by route 'r'" in ended.evidence
    assert checks.asked == [(("make", "test"), delegation.kept.id, 12.0)]
    event = next(one for one in made.journal.events if one.kind is EventKind.DELEGATION_VERIFIED)
    assert (event.data["passed"], event.data["said"], event.data["where"]) == (True, "all well", "o.yaml:7")


async def test_work_that_is_not_good_fails_with_the_evidence(tmp_path):
    made = house(tmp_path, Agent("first"), Agent("second"), checks=Checks(BAD), verify=Verify(("x",)))
    ended = await made.ended(await made.begin())
    assert (ended.status, ended.trouble) == (EndStatus.FAILED, TroubleKind.VERIFY)
    assert "route 'r' (o.yaml:7) did not accept the work: 2 tests failed" in ended.message
    assert ended.text == "done", "what the agent said is kept"


async def test_with_escalate_the_next_agent_goes_on_with_what_the_verification_said(tmp_path):
    second = Agent("second", answers("better"))
    checks = Checks(BAD, GOOD)
    made = house(
        tmp_path,
        Agent("first", ends(DONE, ToolUse("t", "edit"))),
        second,
        checks=checks,
        verify=Verify(("x",)),
        escalate=True,
    )
    delegation = await made.begin("mend it")
    assert (await made.ended(delegation)).text == "better"
    prompt = second.turns[0].prompt
    assert "2 tests failed" in prompt
    assert prompt.endswith("mend it")
    assert [one.agent for one in delegation.kept.tried] == ["first"]
    assert {run for _, run, _ in checks.asked} == {delegation.kept.id}


async def test_when_nobody_is_left_the_last_verification_is_the_end(tmp_path):
    made = house(
        tmp_path, Agent("first"), Agent("second"), checks=Checks(BAD, BAD), verify=Verify(("x",)), escalate=True
    )
    delegation = await made.begin()
    ended = await made.ended(delegation)
    assert ended.trouble is TroubleKind.VERIFY
    assert delegation.kept.agent == "second"


async def test_an_agent_that_is_named_is_verified_as_well_and_nobody_goes_on(tmp_path):
    second = Agent("second")
    made = house(tmp_path, Agent("first"), second, checks=Checks(BAD), verify=Verify(("x",)), escalate=True)
    ended = await made.ended(await made.begin(agent="first"))
    assert ended.trouble is TroubleKind.VERIFY
    assert not second.opened


async def test_a_schema_is_asked_of_the_agent_and_what_does_not_fit_escalates(tmp_path):
    schema = {"type": "object", "required": ["n"]}
    first, second = Agent("first", answers("words")), Agent("second", answers('{"n": 1}'))
    made = house(tmp_path, first, second, verify=Verify(schema=schema), escalate=True)
    ended = await made.ended(await made.begin())
    assert (ended.status, ended.structured) == (EndStatus.COMPLETED, {"n": 1})
    assert first.turns[0].schema == schema
    assert len(first.turns) == 2, "it is asked once more first"


async def test_the_schema_of_a_call_and_that_of_the_route_must_both_fit(tmp_path):
    made = house(tmp_path, Agent("first", answers('{"m": 1}')), verify=Verify(schema={"required": ["n"]}))
    ended = await made.ended(await made.begin(schema={"type": "object", "required": ["m"]}))
    assert ended.trouble is TroubleKind.VERIFY


async def test_a_workspace_counts_as_the_directory_that_it_was_made_from(tmp_path):
    """What an agent hands on of its own copy is still under the route of the directory."""
    seen = []
    helper, other = Agent("helper"), Agent("other")

    async def delegates(session, turn, talk):
        seen.append(made.delegations.live("r1", None))
        await session.stop.wait()
        return DONE

    outer = Agent("outer", delegates)
    routes = [
        AgentRoute("secret", ("helper",), match=RouteMatch(workspace=(f"{tmp_path}/src*",))),
        AgentRoute("rest", ("other",)),
    ]
    made = House(tmp_path, outer, helper, other)
    made.delegations.configure(made.agents, made.rules, routes)
    (tmp_path / "src").mkdir()
    parent = await made.begin(agent="outer", workspace=str(tmp_path / "src"))
    with anyio.fail_after(5):
        await outer.begun.wait()
    child = made.order("part of it", owner=replace(ADA, id="agent:outer:r1", run=parent.kept.id, depth=1))
    inner = await made.delegations.begin(child)
    await made.ended(inner)
    assert inner.kept.agent == "helper"
    await made.delegations.cancel(parent.kept.id, ADA, "done")


async def test_a_run_that_was_handed_on_is_taken_up_with_its_new_agent(tmp_path):
    first, second = Agent("first", ends(quota())), Agent("second")
    made = house(tmp_path, first, second)
    delegation = await made.begin()
    await made.ended(delegation)
    handed = next(one for one in made.store.history if one.agent == "second" and one.state is DelegationState.ACCEPTED)
    again = house(tmp_path / "x", Agent("first"), Agent("second", answers("after the restart")))
    again.store.rows = {handed.id: handed}
    assert await take_up(again.delegations) == 1
    ended = await again.ended(again.delegations.live(handed.id, None))
    assert ended.text == "after the restart"


async def test_a_run_that_was_taken_up_in_the_middle_goes_to_nobody_else(tmp_path):
    made = house(tmp_path, Agent("first", until_stopped), Agent("second"))
    delegation = await made.begin()
    await until(delegation, lambda: delegation.kept.state is DelegationState.WORKING)
    kept = delegation.kept
    await made.delegations.stop()
    second = Agent("second")
    again = house(tmp_path / "x", Agent("first", ends(quota())), second)
    again.store.rows = {kept.id: kept}
    await take_up(again.delegations)
    ended = await again.ended(again.delegations.live(kept.id, None))
    assert ended.trouble is TroubleKind.QUOTA
    assert "taken up again in the middle" in ended.evidence
    assert not second.opened


async def test_the_result_tells_the_route_and_who_has_tried(tmp_path):
    async with Front(tmp_path, Agent("first", ends(quota())), Agent("second")) as front:
        made = front.house
        made.delegations.configure(made.agents, made.rules, [AgentRoute("r", ("first", "second"), where="o.yaml:7")])
        shown = await front.shown("delegate", task="x")
        assert (shown["agent"], shown["route"], shown["status"]) == ("second", "r", "completed")
        assert shown["tried"] == [{"agent": "first", "kind": "quota", "message": "nothing left", "usd": None}]


async def test_work_that_could_not_be_verified_before_the_run_was_stopped_is_not_done(tmp_path):
    looking = asyncio.Event()

    class Slow:
        ended = False

        async def verify(self, command, workspace, seconds):
            looking.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.ended = True

    checks = Slow()
    made = house(tmp_path, Agent("first"), checks=checks, verify=Verify(("x",)))
    delegation = await made.begin()
    with anyio.fail_after(5):
        await looking.wait()
        await made.delegations.cancel(delegation.kept.id, ADA, "enough")
    ended = delegation.kept.ended
    assert (ended.status, ended.message) == (EndStatus.CANCELLED, "enough")
    assert "before its work was verified" in ended.evidence
    assert checks.ended


async def test_a_run_keeps_its_route_when_the_configuration_loses_it(tmp_path):
    go = asyncio.Event()

    async def work(session, turn, talk):
        await go.wait()
        return DONE

    made = house(tmp_path, Agent("first", work), checks=Checks(BAD), verify=Verify(("x",)))
    delegation = await made.begin()
    made.delegations.configure(made.agents, made.rules, [])
    go.set()
    assert (await made.ended(delegation)).trouble is TroubleKind.VERIFY


async def test_after_a_restart_without_the_route_the_end_tells_that_nothing_was_verified(tmp_path):
    made = house(tmp_path, Agent("first", until_stopped), verify=Verify(("x",)))
    delegation = await made.begin()
    await until(delegation, lambda: delegation.kept.attempts == 1)
    await delegation.bound("n1")
    kept = delegation.kept
    await made.delegations.stop()
    again = House(tmp_path / "x", Agent("first"))
    again.store.rows = {kept.id: kept}
    await take_up(again.delegations)
    ended = await again.ended(again.delegations.live(kept.id, None))
    assert "nothing was verified" in ended.evidence
