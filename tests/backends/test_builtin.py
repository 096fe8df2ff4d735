"""The tools of delegation through the gateway: every kind of client gets its result, its questions and a way on."""

import json

import anyio
import pytest
from delegating import ADA, BOB, DONE, Agent, Front, answers, asks, spends, until, until_stopped
from engines import MODERN, Ear, tool_call

from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.translate.permissions import Option, decision, permission
from mcp_orchestrator.model.agent import AgentUsage, CostSource, EndStatus, TroubleKind
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.delegation import Applied, ChangedFile, Changes
from mcp_orchestrator.model.outcome import ToolRefusal
from mcp_orchestrator.model.snapshot import ProfileSpec
from mcp_orchestrator.plugin_api import View
from mcp_orchestrator.runtime.attachments import child_of

pytestmark = pytest.mark.anyio

OPTIONS = (Option("allow", "this once"), Option("deny", "not at all"))
MAY_IT = permission("worker", "run a command", "rm -rf build", OPTIONS)
FORMS = {"elicitation": {"form": {}}}
ASKABLE = ClientFace(Era.MODERN, "2026-07-28", FORMS)
TASKED = ClientFace(Era.MODERN, "2026-07-28", {**FORMS, "extensions": {"io.modelcontextprotocol/tasks": {}}})
LEGACY = ClientFace(Era.LEGACY, "2025-11-25", {"elicitation": {}}, {"name": "c"}, "s1")
DUMB = ClientFace(Era.LEGACY, "2025-06-18", {}, {"name": "c"}, "s2")


def chooses(option):
    return Answer({"action": "accept", "content": {"decision": option}})


def tells(chosen):
    """A turn that asks for permission and tells what was decided."""

    def then(answer):
        chosen.append(decision(answer, OPTIONS))
        return DONE

    return asks(MAY_IT, then)


async def test_the_tools_are_listed_under_their_own_names_with_the_agents_described(tmp_path):
    async with Front(tmp_path, Agent("one", labels=("review",), description="Finds bugs."), Agent("two")) as front:
        offers = front.gateway.generation.catalog(Era.MODERN, None).offers(OfferKind.TOOL)
        names = ["delegate", "run_list", "run_status", "run_answer", "run_cancel", "run_changes", "run_apply"]
        assert [offer.public for offer in offers] == [offer.dotted for offer in offers] == names
        agent = offers[0].definition["inputSchema"]["properties"]["agent"]
        assert agent["enum"] == ["one", "two"]
        assert "one [review]: Finds bugs." in agent["description"]


async def test_a_short_piece_of_work_comes_back_whole(tmp_path):
    usage = AgentUsage(input_tokens=10, output_tokens=2, cost=1500, cost_source=CostSource.REPORTED)
    async with Front(tmp_path, Agent(work=answers("42", usage=usage))) as front:
        result = await front.result("delegate", task="count")
        shown = result["structuredContent"]
        assert (shown["status"], shown["agent"], shown["text"]) == ("completed", "worker", "42")
        assert shown["usage"] == {"inputTokens": 10, "outputTokens": 2}
        assert shown["cost"] == {"usd": 0.0015, "source": "reported"}
        assert "42" in result["content"][0]["text"]
        assert not result.get("isError")


async def test_what_nobody_measured_costs_no_false_zero(tmp_path):
    async with Front(tmp_path, Agent()) as front:
        assert (await front.shown("delegate", task="count"))["cost"] == {"usd": None, "source": "unmeasured"}


async def test_longer_work_gives_a_run_to_ask_about(tmp_path):
    async with Front(tmp_path, Agent(work=until_stopped)) as front:
        shown = await front.shown("delegate", task="count", wait=0.05)
        assert shown["status"] == "working"
        run = shown["run"]
        assert (await front.shown("run_status", run=run))["status"] == "working"
        assert [(one["run"], one["status"]) for one in (await front.shown("run_list"))["runs"]] == [(run, "working")]
        assert (await front.shown("run_cancel", run=run))["status"] == "cancelled"
        assert (await front.shown("run_list", open=True))["runs"] == []


async def test_a_failed_run_is_an_error_of_the_tool_with_its_reason(tmp_path):
    work = answers("", status=EndStatus.FAILED, trouble=TroubleKind.AUTH, message="not signed in")
    async with Front(tmp_path, Agent(work=work)) as front:
        result = await front.result("delegate", task="count")
        assert result["isError"]
        assert result["structuredContent"]["error"] == {"kind": "auth", "message": "not signed in", "retryable": False}


async def test_a_wrong_order_is_refused_before_anything_begins(tmp_path):
    agent = Agent()
    async with Front(tmp_path, agent) as front:
        assert isinstance(await front.outcome("delegate", task="count", agent="nobody"), ToolRefusal)
        assert isinstance(await front.outcome("delegate"), ToolRefusal)
        refused = await front.result("delegate", task="count", mode="write")
        assert refused["isError"]
        assert "needs a workspace" in refused["content"][0]["text"]
        assert agent.opened == []


async def test_a_legacy_client_is_asked_in_place(tmp_path):
    chosen = []
    port = Ear(chooses("allow"))
    async with Front(tmp_path, Agent(work=tells(chosen))) as front:
        assert (await front.shown("delegate", LEGACY, port, task="x"))["status"] == "completed"
        (question,) = port.asked
        assert "rm -rf build" in question.params["message"]
        assert chosen == ["allow"]


@pytest.mark.parametrize("nothing", [Answer({"action": "cancel"}), Answer(code=-32601, message="no"), None])
async def test_what_a_client_dismisses_or_cannot_ask_stays_open_and_ends_the_call(tmp_path, nothing):
    chosen = []
    async with Front(tmp_path, Agent(work=tells(chosen))) as front:
        shown = await front.shown("delegate", LEGACY, Ear(nothing), task="x")
        assert (shown["status"], chosen) == ("input_required", [])
        again = await front.shown("run_status", LEGACY, Ear(nothing), run=shown["run"], wait=20)
        assert again["question"]["id"] == shown["question"]["id"]
        await front.shown("run_answer", LEGACY, run=shown["run"], option="allow")
        assert (await front.shown("run_status", LEGACY, run=shown["run"], wait=20))["status"] == "completed"
        assert chosen == ["allow"]


async def test_what_a_client_declines_is_refused(tmp_path):
    chosen = []
    async with Front(tmp_path, Agent(work=tells(chosen))) as front:
        declines = Ear(Answer({"action": "decline"}))
        assert (await front.shown("delegate", LEGACY, declines, task="x"))["status"] == "completed"
        assert chosen == [None]


async def test_a_modern_client_is_asked_by_its_result_and_comes_back(tmp_path):
    chosen = []
    async with Front(tmp_path, Agent(work=tells(chosen))) as front:
        asked = await front.result("delegate", ASKABLE, task="x")
        assert asked["resultType"] == "input_required"
        (key,) = asked["inputRequests"]
        back = Call(
            CallKind.TOOL,
            "tools/call",
            "delegate",
            {
                "name": "delegate",
                "arguments": {"task": "x"},
                "requestState": asked["requestState"],
                "inputResponses": {key: chooses("deny").result},
            },
            {},
            ASKABLE,
            ADA,
        )
        with anyio.fail_after(20):
            outcome = await front.gateway.start(back, Ear()).outcome()
        assert json.loads(outcome.result)["structuredContent"]["status"] == "completed"
        assert chosen == ["deny"]


async def test_a_client_that_carries_tasks_gets_one_and_answers_on_it(tmp_path):
    chosen = []
    async with Front(tmp_path, Agent(work=tells(chosen))) as front:
        made = await front.result("delegate", TASKED, task="x")
        assert made["resultType"] == "task"

        async def ask(method, **params):
            call = Call(CallKind.TASK, method, made["taskId"], {"taskId": made["taskId"], **params}, {}, TASKED, ADA)
            return json.loads((await front.gateway.start(call, Ear()).outcome()).result)

        with anyio.fail_after(20):
            shown = await ask("tasks/get")
            (delegation,) = front.house.delegations._live.values()
            while shown["status"] != "input_required":
                await until(delegation, lambda: delegation.open)
                await anyio.lowlevel.checkpoint()
                shown = await ask("tasks/get")
            (key,) = shown["inputRequests"]
            await ask("tasks/update", inputResponses={key: chooses("allow").result})
            await delegation.over.wait()
            while shown["status"] != "completed":
                await anyio.lowlevel.checkpoint()
                shown = await ask("tasks/get")
        assert shown["result"]["structuredContent"]["status"] == "completed"
        assert chosen == ["allow"]


async def test_cancelling_the_task_cancels_the_run(tmp_path):
    agent = Agent(work=until_stopped)
    async with Front(tmp_path, agent) as front:
        made = await front.result("delegate", TASKED, task="x")
        with anyio.fail_after(20):
            await agent.begun.wait()
            (delegation,) = front.house.delegations._live.values()
            call = Call(CallKind.TASK, "tasks/cancel", made["taskId"], {"taskId": made["taskId"]}, {}, TASKED, ADA)
            await front.gateway.start(call, Ear()).outcome()
            await delegation.over.wait()
        assert delegation.kept.ended.status is EndStatus.CANCELLED


async def test_a_client_that_cannot_be_asked_hears_the_question_at_once_and_answers_by_tool(tmp_path):
    chosen = []
    async with Front(tmp_path, Agent(work=tells(chosen))) as front:
        shown = await front.shown("delegate", DUMB, task="x")
        assert shown["status"] == "input_required"
        assert shown["question"]["options"] == ["allow", "deny"]
        answered = await front.shown("run_answer", DUMB, run=shown["run"], option="allow")
        assert answered["status"] == "answered"
        ended = await front.shown("run_status", DUMB, run=shown["run"], wait=10)
        assert ended["status"] == "completed"
        assert chosen == ["allow"]
        late = await front.result("run_answer", DUMB, run=shown["run"], option="deny")
        assert late["isError"]


async def test_somebody_else_of_the_same_owner_may_answer_what_one_client_was_asked(tmp_path):
    chosen = []
    async with Front(tmp_path, Agent(work=tells(chosen))) as front:
        asked = await front.result("delegate", ASKABLE, task="x")
        assert asked["resultType"] == "input_required"
        (run,) = (one["run"] for one in (await front.shown("run_list", DUMB))["runs"])
        await front.shown("run_answer", DUMB, run=run, option="deny")
        assert (await front.shown("run_status", DUMB, run=run, wait=10))["status"] == "completed"
        assert chosen == ["deny"]


async def test_strangers_neither_see_nor_answer_nor_cancel(tmp_path):
    async with Front(tmp_path, Agent(work=tells([]))) as front:
        run = (await front.shown("delegate", DUMB, task="x"))["run"]
        assert (await front.shown("run_list", who=BOB))["runs"] == []
        for tool, more in (
            ("run_status", {}),
            ("run_answer", {"option": "allow"}),
            ("run_cancel", {}),
            ("run_changes", {}),
            ("run_apply", {}),
        ):
            result = await front.result(tool, who=BOB, run=run, **more)
            assert result["isError"], tool
            assert "there is no run" in result["content"][0]["text"]
        await front.shown("run_cancel", run=run)


async def test_an_agent_does_not_answer_what_its_own_agent_asks(tmp_path):
    async with Front(tmp_path, Agent("boss", work=until_stopped), Agent("hand", work=tells([]))) as front:
        boss = (await front.shown("delegate", DUMB, task="x", agent="boss", wait=0))["run"]
        who = child_of(front.house.delegations.live(boss, ADA).kept)
        shown = await front.shown("delegate", who=who, task="y", agent="hand", wait=0)
        refused = await front.result("run_answer", who=who, run=shown["run"], option="allow")
        assert "a person must answer" in refused["content"][0]["text"]
        await front.shown("run_cancel", run=boss)


async def test_a_client_that_goes_leaves_the_run_one_that_cancels_ends_it(tmp_path):
    agent = Agent(work=until_stopped)
    async with Front(tmp_path, agent) as front:
        call = front.start("delegate", task="x")
        with anyio.fail_after(20):
            await agent.begun.wait()
            call.cancel("client disconnected")
            await call.outcome()
        (delegation,) = front.house.delegations._live.values()
        assert not delegation.stop.is_set()
        agent.begun.clear()
        call = front.start("delegate", task="y")
        with anyio.fail_after(20):
            await agent.begun.wait()
            call.cancel("the user pressed escape")
            await call.outcome()
            second = next(one for one in front.house.delegations._live.values() if one.kept.task == "y")
            await second.over.wait()
        assert second.kept.ended.status is EndStatus.CANCELLED
        assert not delegation.stop.is_set()


async def test_changes_are_shown_and_applied_or_the_conflicts_named(tmp_path):
    async with Front(tmp_path, Agent()) as front:
        front.house.places.changed = Changes((ChangedFile("a.txt", "update", 1, 1),), "--- a\n+++ b\n")
        shown = await front.shown("delegate", task="x", mode="write", workspace=str(tmp_path))
        assert [one["path"] for one in shown["changes"]["files"]] == ["a.txt"]
        changes = await front.shown("run_changes", run=shown["run"])
        assert changes["diff"] == "--- a\n+++ b\n"
        assert (await front.shown("run_apply", run=shown["run"]))["applied"] == ["a.txt"]
        front.house.places.applied = Applied((), {"a.txt": "both changed line 3"})
        refused = await front.result("run_apply", run=shown["run"])
        assert refused["isError"]
        assert "a.txt: both changed line 3" in refused["content"][0]["text"]


async def test_a_run_in_mode_read_has_nothing_to_apply(tmp_path):
    async with Front(tmp_path, Agent()) as front:
        run = (await front.shown("delegate", task="x", workspace=str(tmp_path)))["run"]
        assert "keeps no changes" in (await front.result("run_apply", run=run))["content"][0]["text"]


async def test_the_budget_of_a_call_is_the_limit_of_the_run(tmp_path):
    async with Front(tmp_path, Agent(work=spends(2_000_000))) as front:
        result = await front.result("delegate", task="x", budget={"usd": 1.5, "minutes": 2, "turns": 3})
        shown = result["structuredContent"]
        assert (shown["status"], shown["error"]["kind"]) == ("limit", "budget")
        kept = await front.house.delegations.find(shown["run"], ADA)
        assert dict(kept.limits) == {"seconds": 120, "turns": 3, "cost": 1_500_000}


async def test_heartbeats_tell_a_waiting_client_that_the_agent_is_alive(tmp_path, monkeypatch):
    monkeypatch.setattr("mcp_orchestrator.backends.builtin.HEARTBEAT", 0.01)
    port = Ear()
    async with Front(tmp_path, Agent(work=until_stopped)) as front:
        call = tool_call("delegate", MODERN, task="x", wait=0.1)
        call.wants_progress = True
        call.principal = ADA
        with anyio.fail_after(20):
            outcome = await front.gateway.start(call, port).outcome()
        assert json.loads(outcome.result)["structuredContent"]["status"] == "working"
        beats = [params["progress"] for method, params in port.heard if method == "notifications/progress"]
        assert beats == sorted(set(beats))
        assert len(beats) >= 2


async def test_tools_are_described_anew_when_the_agents_change(tmp_path):
    async with Front(tmp_path, Agent("one")) as front:
        heard = []
        changed = anyio.Event()

        def hear(event):
            heard.append(event)
            changed.set()

        front.gateway.watch(View(Era.MODERN), None, hear)
        front.house.delegations.configure({"two": Agent("two")}, front.house.rules)
        front.builtin.changed()
        with anyio.fail_after(20):
            await changed.wait()
        offers = front.gateway.generation.catalog(Era.MODERN, None).offers(OfferKind.TOOL)
        assert offers[0].definition["inputSchema"]["properties"]["agent"]["enum"] == ["two"]


async def test_a_profile_shows_the_tools_of_ours_by_their_bare_names(tmp_path):
    async with Front(tmp_path, Agent()) as front:
        sources = front.gateway.generation.sources(Era.MODERN)
        shown = Catalog(
            Era.MODERN, ProfileSpec("p", include=("files.*", "delegate", "run_*"), exclude=("run_apply",)), sources
        )
        names = {offer.public for offer in shown.offers(OfferKind.TOOL)}
        assert "delegate" in names
        assert "run_apply" not in names
