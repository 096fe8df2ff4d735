from dataclasses import replace

import anyio
import pytest
from delegating import ADA, DONE, Agent, Front, House, answers, asks, until, until_stopped

from mcp_orchestrator.core.translate.permissions import Option, permission
from mcp_orchestrator.model.agent import AgentMode, AgentUsage, CostSource, Ended, EndStatus, TroubleKind, Used
from mcp_orchestrator.model.agent_routes import AgentRoute, Verdict, Verify
from mcp_orchestrator.model.delegation import ChangedFile, Changes
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.runtime.recovery import take_up

pytestmark = pytest.mark.anyio


class Checks:
    """A `Verifier` that accepts the work of some agents, by the text of their workspaces' runs."""

    def __init__(self, house, *good):
        self.house = house
        self.good = good

    async def verify(self, command, workspace, seconds):
        agent = self.house.store.rows[workspace.run].agent
        return Verdict(passed=agent in self.good, said=f"{agent} was looked at")


def house(tmp_path, *agents, good=None, compare=2):
    made = House(tmp_path, *agents)
    verify = Verify(("x",)) if good is not None else None
    route = AgentRoute(
        "both", tuple(agent.spec.name for agent in agents), verify=verify, compare=compare, where="o.yaml:3"
    )
    made.delegations.configure(made.agents, made.rules, [route])
    made.delegations.steering.verifier = Checks(made, *(good or ()))
    return made


def paid(text, cost):
    usage = AgentUsage(cost=cost, cost_source=CostSource.REPORTED)

    async def work(session, turn, talk):
        talk.event(Used(usage))
        return replace(DONE, text=text, usage=usage)

    return work


async def test_the_agents_work_at_the_same_task_at_once_each_in_a_place_of_its_own(tmp_path):
    one, two = Agent("one", until_stopped), Agent("two", until_stopped)
    made = house(tmp_path, one, two)
    delegation = await made.begin("do it", mode=AgentMode.WRITE, workspace=str(tmp_path))
    with anyio.fail_after(5):
        await one.begun.wait()
        await two.begun.wait()
    assert one.opened[0].cwd != two.opened[0].cwd
    assert one.turns[0].prompt == two.turns[0].prompt == "do it"
    assert [made.delegations.working(name) for name in ("one", "two")] == [1, 1]
    await made.delegations.cancel(delegation.kept.id, ADA, "enough")
    assert delegation.kept.ended.status is EndStatus.CANCELLED
    assert [made.store.rows[run].ended.status for run in delegation.kept.compared] == [EndStatus.CANCELLED] * 2


async def test_the_first_of_the_route_whose_work_is_accepted_is_chosen(tmp_path):
    made = house(
        tmp_path, Agent("one"), Agent("two", paid("two's", 5)), Agent("three"), good=("two", "three"), compare=3
    )
    delegation = await made.begin(mode=AgentMode.WRITE, workspace=str(tmp_path))
    ended = await made.ended(delegation)
    kept = delegation.kept
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "two's")
    assert kept.compared[kept.chosen] == "two"
    assert "first whose work was accepted" in ended.evidence
    assert ended.usage.cost == 5
    verified = [one for one in made.journal.events if one.kind is EventKind.DELEGATION_VERIFIED]
    assert [(one.data["agent"], one.data["passed"]) for one in verified] == [
        ("one", False),
        ("two", True),
        ("three", True),
    ]
    made.places.changed = Changes((ChangedFile("a.txt", "update"),))
    assert (await made.delegations.changes(kept.id, ADA)).files
    assert (await made.delegations.apply(kept.id, ADA)).files == ("a.txt",)


async def test_without_a_verification_the_caller_chooses(tmp_path):
    made = house(tmp_path, Agent("one", answers("mine")), Agent("two", answers("better")))
    delegation = await made.begin(mode=AgentMode.WRITE, workspace=str(tmp_path))
    ended = await made.ended(delegation)
    assert (ended.status, delegation.kept.chosen) == (EndStatus.COMPLETED, "")
    assert "of one: completed: mine" in ended.text
    with pytest.raises(ValueError, match="choose one"):
        await made.delegations.apply(delegation.kept.id, ADA)
    second = list(delegation.kept.compared)[1]
    assert (await made.delegations.apply(second, ADA)).files == ("a.txt",)


async def test_when_no_work_is_good_the_run_has_failed_with_what_became_of_each(tmp_path):
    bad = Ended(EndStatus.FAILED, trouble=TroubleKind.CRASH, message="gone")

    async def fails(session, turn, talk):
        return bad

    made = house(tmp_path, Agent("one", fails), Agent("two"), good=())
    ended = await made.ended(await made.begin())
    assert (ended.status, ended.trouble) == (EndStatus.FAILED, TroubleKind.VERIFY)
    assert "of one: failed: gone" in ended.text
    assert "two was looked at" in ended.text


async def test_the_budget_of_the_run_is_for_all_agents_together(tmp_path):
    async def spends(session, turn, talk):
        talk.event(Used(AgentUsage(cost=600, cost_source=CostSource.REPORTED)))
        return await until_stopped(session, turn, talk)

    made = house(tmp_path, Agent("one", spends), Agent("two", spends))
    delegation = await made.begin(limits={"cost": 1000})
    ended = await made.ended(delegation)
    assert (ended.status, ended.trouble) == (EndStatus.LIMIT, TroubleKind.BUDGET)


async def test_questions_go_up_to_the_caller_of_the_run_that_compares(tmp_path):
    options = (Option("yes", "go on"), Option("no", "do not"))
    question = permission("agent", "write", "rm", options)
    made = house(tmp_path, Agent("one", asks(question)), Agent("two"))
    delegation = await made.begin()
    await until(delegation, lambda: bool(delegation.open))
    delegation.answer(None, "accept", option="yes", content=None, by="ada")
    assert (await made.ended(delegation)).status is EndStatus.COMPLETED


async def test_a_comparison_is_gone_on_with_after_a_restart(tmp_path):
    made = house(tmp_path, Agent("one", paid("first", 7)), Agent("two", until_stopped), good=("one", "two"))
    delegation = await made.begin()
    two = made.agents["two"]
    with anyio.fail_after(5):
        await two.begun.wait()
    one, other = delegation.kept.compared
    await made.ended(made.delegations.live(one, None))
    live = made.delegations.live(other, None)
    await until(live, lambda: live.kept.native is not None or bool(live.kept.attempts))
    await live.bound("n1")
    await made.delegations.stop()
    again = house(tmp_path / "x", Agent("one"), Agent("two", answers("later")), good=("one", "two"))
    again.store.rows = dict(made.store.rows)
    assert await take_up(again.delegations) == 2
    taken = again.delegations.live(delegation.kept.id, None)
    ended = await again.ended(taken)
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "first")
    assert not again.agents["one"].opened, "what was done is not done again"
    assert ended.usage.cost == 7


async def test_the_result_lists_each_with_its_changes_and_cost(tmp_path):
    async with Front(tmp_path, Agent("one", paid("mine", 2_000_000)), Agent("two")) as front:
        made = front.house
        route = AgentRoute("both", ("one", "two"), compare=2)
        made.delegations.configure(made.agents, made.rules, [route])
        made.places.changed = Changes((ChangedFile("a.txt", "update", 1, 2),))
        shown = await front.shown("delegate", task="x", mode="write", workspace=str(tmp_path))
        assert [(line["agent"], line["status"], line["chosen"]) for line in shown["compared"]] == [
            ("one", "completed", False),
            ("two", "completed", False),
        ]
        assert shown["compared"][0]["cost"] == {"usd": 2.0, "source": "reported"}
        assert shown["compared"][0]["changes"]["files"][0]["path"] == "a.txt"
        assert shown["cost"]["usd"] == 2.0
        chosen = shown["compared"][1]["run"]
        assert (await front.shown("run_apply", run=chosen))["applied"] == ["a.txt"]
        refused = await front.result("run_apply", run=shown["run"])
        assert refused["isError"]
        assert "choose one" in refused["content"][0]["text"]


async def test_an_agent_that_is_gone_before_it_could_begin_is_told_and_the_others_go_on(tmp_path):
    made = house(tmp_path, Agent("one"), Agent("two", answers("alone")))
    delegation = await made.begin()
    kept = delegation.kept
    await made.delegations.stop()
    again = House(tmp_path / "x", Agent("two", answers("alone")))
    again.store.rows = {kept.id: replace(kept, ended=None)}
    await take_up(again.delegations)
    ended = await again.ended(again.delegations.live(kept.id, None))
    assert ended.status is EndStatus.COMPLETED
    assert "of one: failed: there is no agent 'one' in the configuration any more" in ended.text
    assert "of two: completed: alone" in ended.text
