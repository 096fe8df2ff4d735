"""Delegations: accepted on record first, one end each, within limits, for their owner alone."""

from dataclasses import replace

import anyio
import pytest
from delegating import ADA, BOB, DONE, Agent, House, answers, asks, deaf, spends, until, until_stopped

from mcp_orchestrator.core.translate.permissions import Option, decision, permission
from mcp_orchestrator.model.agent import AgentMode, CostSource, EndStatus, TroubleKind
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.delegation import Delegated, DelegationState
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import Secret
from mcp_orchestrator.runtime.attachments import child_of
from mcp_orchestrator.runtime.delegations import DelegationError

pytestmark = pytest.mark.anyio

OPTIONS = (Option("allow", "this once"), Option("deny", "not at all"))
MAY_IT = permission("worker", "run a command", "rm -rf build", OPTIONS)


async def test_a_delegation_ends_with_what_the_agent_said(tmp_path):
    house = House(tmp_path, Agent(work=answers("42")))
    ended = await house.ended(await house.begin("count"))
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "42")


async def test_it_is_on_record_before_anything_is_started(tmp_path):
    agent = Agent()
    house = House(tmp_path, agent)
    states = []
    opened = agent.open

    async def opening(one):
        states.append(house.store.rows["r1"].state)
        return await opened(one)

    agent.open = opening
    await house.ended(await house.begin())
    assert states == [DelegationState.STARTING]
    kinds = [event.kind.value for event in house.events("r1")]
    assert kinds[0] == "delegation.accepted"
    assert kinds[-1] == "delegation.ended"
    assert kinds.count("delegation.ended") == 1


async def test_nothing_is_begun_that_cannot_be_recorded(tmp_path):
    agent = Agent()
    house = House(tmp_path, agent)
    house.store.broken = True
    with pytest.raises(OSError, match="disk full"):
        await house.begin()
    assert agent.opened == []


async def test_the_raw_frame_is_journalled_beside_each_event(tmp_path):
    house = House(tmp_path, Agent())
    await house.ended(await house.begin())
    said = [event.data for event in house.events("r1") if event.data.get("type") == "text"]
    assert [(one["text"], one["raw"]) for one in said] == [("done", '{"frame": 1}')]


async def test_without_a_name_the_first_agent_with_the_labels_is_taken(tmp_path):
    house = House(tmp_path, Agent("plain"), Agent("critic", labels=("review", "fast")))
    delegation = await house.begin(labels=["review"])
    assert delegation.kept.agent == "critic"
    with pytest.raises(DelegationError, match="no agent has all of the labels paint"):
        await house.begin(labels=["paint"])


async def test_an_unknown_agent_is_refused_with_those_there_are(tmp_path):
    house = House(tmp_path, Agent("one"), Agent("two"))
    with pytest.raises(DelegationError, match="there is no agent 'three'; there are: one, two"):
        await house.begin(agent="three")


async def test_an_agent_that_may_only_read_is_not_given_work_that_writes(tmp_path):
    house = House(tmp_path, Agent(most_mode=AgentMode.READ))
    with pytest.raises(DelegationError, match="may only read"):
        await house.begin(agent="worker", mode=AgentMode.WRITE, workspace=str(tmp_path))


@pytest.mark.parametrize(
    ("workspace", "said"),
    [("relative", "not absolute"), ("/no/such/place", "no directory"), ("/", "outside of the allowed directories")],
)
async def test_a_workspace_must_be_an_allowed_directory(tmp_path, workspace, said):
    house = House(tmp_path, Agent())
    with pytest.raises(DelegationError, match=said):
        await house.begin(workspace=workspace)


async def test_a_link_does_not_lead_out_of_the_allowed_directories(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "out").symlink_to(tmp_path)
    house = House(tmp_path, Agent(), roots=(tmp_path / "inside",))
    with pytest.raises(DelegationError, match="outside"):
        await house.begin(workspace=str(tmp_path / "inside" / "out"))


async def test_a_workspace_that_cannot_be_had_ends_the_run_with_the_reason(tmp_path):
    house = House(tmp_path, Agent())
    house.places.refuses = "it has no commit yet"
    ended = await house.ended(await house.begin(mode=AgentMode.WRITE, workspace=str(tmp_path)))
    assert (ended.status, ended.trouble, ended.message) == (
        EndStatus.FAILED,
        TroubleKind.INVALID,
        "it has no commit yet",
    )


async def test_what_was_only_to_be_read_is_thrown_away(tmp_path):
    house = House(tmp_path, Agent())
    await house.ended(await house.begin(workspace=str(tmp_path)))
    await house.ended(await house.begin(workspace=str(tmp_path), mode=AgentMode.WRITE))
    assert house.places.discarded == ["r1"]


async def test_a_question_is_answered_once_and_the_second_hears_by_whom(tmp_path):
    chosen = []

    def then(answer):
        chosen.append(decision(answer, OPTIONS))
        return DONE

    house = House(tmp_path, Agent(work=asks(MAY_IT, then)))
    delegation = await house.begin()
    await until(delegation, lambda: delegation.open)
    assert delegation.status == "input_required"
    delegation.answer(None, "accept", option="allow", content=None, by="bob")
    with pytest.raises(LookupError, match=r"was answered already \(by bob\)"):
        delegation.answer("q1", "accept", option="deny", content=None, by="eve")
    await house.ended(delegation)
    assert chosen == ["allow"]
    with pytest.raises(LookupError, match="answered already"):
        delegation.answer("q1", "decline", option=None, content=None, by="eve")


async def test_an_option_that_was_not_offered_is_refused(tmp_path):
    house = House(tmp_path, Agent(work=asks(MAY_IT)))
    delegation = await house.begin()
    await until(delegation, lambda: delegation.open)
    with pytest.raises(ValueError, match="no option 'everything'; there are: allow, deny"):
        delegation.answer("q1", "accept", option="everything", content=None, by="bob")
    assert delegation.open
    await house.delegations.cancel("r1", ADA, "enough")


async def test_an_expired_question_is_a_refusal(tmp_path):
    chosen = []

    def then(answer):
        chosen.append((decision(answer, OPTIONS), answer.by))
        return DONE

    house = House(tmp_path, Agent(work=asks(MAY_IT, then)))
    house.engine.question_expiry = 0.01
    await house.ended(await house.begin())
    assert chosen == [(None, "time")]


async def test_cancel_answers_the_open_question_and_stops_the_agent(tmp_path):
    actions = []

    async def work(session, turn, talk):
        answer = await talk.ask(MAY_IT)
        actions.append(answer.result["action"])
        return await until_stopped(session, turn, talk)

    agent = Agent(work=work)
    house = House(tmp_path, agent)
    delegation = await house.begin()
    await until(delegation, lambda: delegation.open)
    kept = await house.delegations.cancel("r1", ADA, "enough")
    assert (kept.ended.status, kept.ended.message) == (EndStatus.CANCELLED, "enough")
    assert actions == ["cancel"]
    assert (agent.interrupted, agent.closed) == (1, 1)


async def test_an_agent_that_ignores_the_interrupt_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("mcp_orchestrator.runtime.carrying.GRACE", 0.01)
    agent = Agent(work=deaf)
    house = House(tmp_path, agent)
    delegation = await house.begin()
    await agent.begun.wait()
    kept = await house.delegations.cancel("r1", ADA, "enough")
    assert kept.ended.status is EndStatus.CANCELLED
    assert kept.ended.evidence == "the process ended"
    assert agent.closed >= 1
    assert delegation.over.is_set()


async def test_time_ends_a_run_as_a_limit_and_not_while_a_person_is_asked(tmp_path):
    house = House(tmp_path, Agent(work=until_stopped))
    ended = await house.ended(await house.begin(limits={"seconds": 0.02}))
    assert (ended.status, ended.trouble) == (EndStatus.LIMIT, TroubleKind.TIMEOUT)

    house = House(tmp_path / "two", Agent(work=asks(MAY_IT)))
    delegation = await house.begin(limits={"seconds": 0.02})
    with anyio.move_on_after(0.2):
        await delegation.over.wait()
    assert delegation.status == "input_required"
    delegation.answer("q1", "accept", option="allow", content=None, by="bob")
    assert (await house.ended(delegation)).status is EndStatus.COMPLETED


async def test_a_spent_budget_stops_the_run_in_the_middle_and_stays_spent(tmp_path):
    house = House(tmp_path, Agent(work=spends(40_000, 110_000)))
    ended = await house.ended(await house.begin(limits={"cost": 100_000}))
    assert (ended.status, ended.trouble) == (EndStatus.LIMIT, TroubleKind.BUDGET)
    assert (ended.usage.cost, ended.usage.cost_source) == (110_000, CostSource.REPORTED)


async def test_the_answer_is_checked_against_the_schema_whatever_the_agent_claims(tmp_path):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    agent = Agent(work=answers("all is well", structured={"n": "two"}))
    house = House(tmp_path, agent)
    ended = await house.ended(await house.begin(schema=schema))
    assert (ended.status, ended.trouble) == (EndStatus.FAILED, TroubleKind.INVALID)
    assert "does not fit the output schema" in ended.message
    assert len(agent.turns) == 2, "it was asked once more"

    agent.work = answers('here: ```json\n{"n": 2}\n```')
    ended = await house.ended(await house.begin(schema=schema))
    assert (ended.status, ended.structured) == (EndStatus.COMPLETED, {"n": 2})


async def test_at_most_so_many_run_at_once_and_the_rest_wait(tmp_path):
    agent = Agent(work=until_stopped, max_runs=1)
    house = House(tmp_path, agent)
    first, second = await house.begin(), await house.begin()
    await agent.begun.wait()
    assert (first.status, second.status) == ("working", "queued")
    await house.delegations.cancel("r1", ADA, "enough")
    agent.work = answers("mine")
    assert (await house.ended(second)).text == "mine"


async def test_one_that_waits_for_its_turn_can_be_cancelled(tmp_path):
    agent = Agent(work=until_stopped, max_runs=1)
    house = House(tmp_path, agent)
    await house.begin()
    await house.begin()
    kept = await house.delegations.cancel("r2", ADA, "not needed")
    assert (kept.ended.status, len(agent.opened)) == (EndStatus.CANCELLED, 1)
    await house.delegations.cancel("r1", ADA, "enough")


async def test_a_run_is_its_owners_alone(tmp_path):
    house = House(tmp_path, Agent())
    await house.ended(await house.begin())
    for act in (house.delegations.find, house.delegations.changes, house.delegations.apply):
        with pytest.raises(LookupError, match="there is no run 'r1' of yours"):
            await act("r1", BOB)
    assert (await house.delegations.find("r1", None)).id == "r1", "the operator sees all"
    assert await house.delegations.recent(BOB, 10) == []


async def test_what_an_agent_delegates_is_one_deeper_and_hangs_under_its_run(tmp_path):
    house = House(tmp_path, Agent(work=until_stopped), depth=2)
    first = await house.begin(trace="t1")
    child = child_of(first.kept)
    second = await house.begin(owner=child)
    assert (second.kept.depth, second.kept.parent) == (2, "r1")
    with pytest.raises(DelegationError, match="agents may delegate 2 deep"):
        await house.begin(owner=child_of(second.kept))
    await house.delegations.cancel("r1", ADA, "enough")
    await second.over.wait()
    assert second.kept.ended.status is EndStatus.CANCELLED, "what a run delegated ends with it"


async def test_an_agent_that_may_read_cannot_have_another_write(tmp_path):
    house = House(tmp_path, Agent(work=until_stopped))
    first = await house.begin(workspace=str(tmp_path))
    with pytest.raises(DelegationError, match="you may only read"):
        await house.begin(owner=child_of(first.kept), mode=AgentMode.WRITE, workspace=str(tmp_path))
    await house.delegations.cancel("r1", ADA, "enough")


async def test_an_agent_hands_on_no_more_than_it_has_left(tmp_path):
    house = House(tmp_path, Agent(work=spends(30_000)))
    first = await house.begin(limits={"cost": 100_000, "seconds": 60})
    await until(first, lambda: first.total.cost is not None)
    second = await house.begin(owner=child_of(first.kept), limits={"cost": 500_000})
    assert second.kept.limits["cost"] == 70_000
    assert second.kept.limits["seconds"] == 60
    await house.delegations.cancel("r1", ADA, "enough")
    await second.over.wait()


async def test_what_the_agent_of_an_agent_asks_goes_up_to_the_first_caller(tmp_path):
    chosen = []

    def then(answer):
        chosen.append(decision(answer, OPTIONS))
        return DONE

    house = House(tmp_path, Agent("boss", work=until_stopped), Agent("hand", work=asks(MAY_IT, then)))
    boss = await house.begin(agent="boss")
    hand = await house.begin(agent="hand", owner=child_of(boss.kept))
    await until(boss, lambda: boss.open)
    assert "r2" in boss.open["q1"].question.params["message"]
    boss.answer("q1", "accept", option="deny", content=None, by="ada")
    await house.ended(hand)
    assert chosen == ["deny"]
    await house.delegations.cancel("r1", ADA, "enough")


async def test_an_agent_that_never_came_back_to_us_is_told_of(tmp_path):
    house = House(tmp_path, Agent())
    delegation = await house.begin()
    await house.ended(delegation)
    assert delegation.warnings == [], "nobody listens: nothing was offered to it"


async def test_a_failed_opening_says_that_nothing_was_done(tmp_path):
    house = House(tmp_path, Agent(fails=FailureKind.UNAVAILABLE))
    ended = await house.ended(await house.begin())
    assert (ended.status, ended.trouble, ended.retryable) == (EndStatus.FAILED, TroubleKind.MISSING, True)


async def test_a_bug_in_an_adapter_ends_its_run_alone(tmp_path):
    async def broken(session, turn, talk):
        raise RuntimeError("oh")

    house = House(tmp_path, Agent(work=broken), Agent("other"))
    ended = await house.ended(await house.begin())
    assert (ended.status, ended.trouble) == (EndStatus.UNKNOWN, TroubleKind.INTERNAL)
    assert (await house.ended(await house.begin(agent="other"))).status is EndStatus.COMPLETED


async def test_secrets_of_an_agent_are_not_kept(tmp_path):
    house = House(tmp_path, Agent(work=answers("the key is sk-12345"), confidential=(Secret("sk-12345"),)))
    delegation = await house.begin()
    await house.ended(delegation)
    assert "sk-12345" not in repr([event.data for event in house.events("r1")])
    assert delegation.text == "the key is <secret>"


async def test_the_end_of_the_gateway_leaves_the_record_open(tmp_path):
    agent = Agent(work=until_stopped)
    house = House(tmp_path, agent)
    delegation = await house.begin()
    await agent.begun.wait()
    await house.delegations.stop()
    assert agent.closed == 1
    assert house.store.rows["r1"].ended is None
    assert (await house.store.unfinished())[0].native == "n1"
    assert delegation.kept.ended is None


def test_the_principal_of_an_agent_is_its_own():
    kept = Delegated("r7", "codex", "codex", "x", AgentMode.READ, "local:ada", depth=2, trace="t")
    assert child_of(kept) == Principal("agent:codex:r7", "agent", "r7", 2, "t")
    assert child_of(replace(kept, id="r8")) != child_of(kept)


async def test_what_binds_a_caller_binds_the_agents_that_work_for_it(tmp_path):
    house = House(tmp_path, Agent("boss", work=until_stopped), Agent("hand", work=until_stopped))
    caller = Principal("token:ci", "token", groups=("interns",), team="t", scopes=("delegate",))
    first = await house.begin(owner=caller)
    child = child_of(first.kept)
    assert (child.groups, child.team, child.scopes) == (("interns",), "t", ("delegate",))
    second = await house.begin(owner=child)
    assert child_of(second.kept).scopes == ("delegate",)
    await house.delegations.stop()
