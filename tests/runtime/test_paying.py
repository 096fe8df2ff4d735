"""Whatever is done is paid for from the same accounts: held before, settled after, given back when nothing was sent."""

import asyncio
import contextlib

import anyio
import pytest
from engines import MODERN, QUIET, Ear, FakeBackend, asking, tool_call, whole

from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.model.budget import BudgetSpec, OnExceeded, Prices, Unit, UnknownPrice, Window, WindowKind
from mcp_orchestrator.model.call import Call, CallKind, Era, Principal
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.model.routing import LogicalTool, Provider
from mcp_orchestrator.model.rules import Match
from mcp_orchestrator.runtime.budgets import explained, purse_of
from mcp_orchestrator.storage.ledger import MemoryLedger
from mcp_orchestrator.testing.fake_backend import tool

pytestmark = pytest.mark.anyio

TOTAL = Window(WindowKind.TOTAL)
CALLS = BudgetSpec("calls", {Unit.CALLS: 2}, window=TOTAL, where="f.yaml:3")


def money(limit, **changes):
    made = {"window": TOTAL, "where": "f.yaml:7", **changes}
    return BudgetSpec("money", {Unit.USD: limit}, **made)


@contextlib.asynccontextmanager
async def spending(tmp_path, *backends, budgets, prices=None, **changes):
    """A gateway over these backends with these budgets and a ledger in memory."""
    sections = {"budgets": tuple(budgets), "prices": prices or Prices({"*": 10}), **changes}
    async with whole(tmp_path, *backends, **sections) as made:
        ledger = MemoryLedger(lambda: 0.0)
        made.engine.purse = purse_of(made.engine, ledger, lambda: made.gateway.generation.rules.budgets)
        made.ledger = ledger
        yield made
        await made.engine.purse.aclose()
        ledger.close()


async def accounts(made):
    return {(one.budget, one.key, one.unit): (one.spent, one.reserved) for one in await made.ledger.balances()}


def backend(name="one", play=None, names=("do",)):
    made = FakeBackend(name) if play is None else FakeBackend(name, play=play)
    made.tools = [tool(word) for word in names]
    return made


async def test_a_call_is_held_while_it_runs_and_charged_by_its_price_afterwards(tmp_path):
    running, go_on = asyncio.Event(), asyncio.Event()

    async def play(_invocation, _talk):
        running.set()
        await go_on.wait()
        return Completed(encode({"content": []}), Era.LEGACY)

    async with spending(tmp_path, backend(play=play), budgets=[money(100)]) as made:
        run = made.gateway.start(tool_call("one__do"), Ear())
        with anyio.fail_after(5):
            await running.wait()
            assert await accounts(made) == {("money", "", "usd"): (0, 10)}
            go_on.set()
            assert isinstance(await run.outcome(), Completed)
        assert await accounts(made) == {("money", "", "usd"): (10, 0)}


async def test_a_call_over_its_budget_is_refused_and_says_what_where_how_much_and_until_when(tmp_path):
    spec = BudgetSpec("hourly", {Unit.CALLS: 2}, ("caller",), window=Window(WindowKind.HOUR), where="f.yaml:3")
    async with spending(tmp_path, backend(), budgets=[spec]) as made:
        for _ in range(2):
            assert isinstance(await made.call("one__do"), Completed)
        refused = await made.call("one__do")
        assert isinstance(refused, Failed)
        assert (refused.kind, refused.retryable) == (FailureKind.REFUSED, True)
        for word in ("'hourly'", "caller=local:t", "0 calls left of 2 calls", "f.yaml:3", "1970-01-01T01:00:00Z"):
            assert word in refused.message
        assert refused.data["left"] == 0
        assert len(made.backends["one"].sessions[0].invocations) == 2
        (event,) = [one for one in made.journal.events if one.kind is EventKind.BUDGET_REFUSED]
        assert event.data["budget"] == "hourly"
        assert await accounts(made) == {("hourly", "caller=local:t", "calls"): (2, 0)}


async def test_calls_at_the_same_time_are_admitted_up_to_the_cap(tmp_path):
    async with spending(tmp_path, backend(), budgets=[money(70)]) as made:
        outcomes = await asyncio.gather(*(made.call("one__do") for _ in range(20)))
        assert sum(isinstance(one, Completed) for one in outcomes) == 7
        assert await accounts(made) == {("money", "", "usd"): (70, 0)}


async def test_what_was_never_sent_is_given_back(tmp_path):
    async def play(_invocation, _talk):
        raise BackendError(FailureKind.UNAVAILABLE, "gone", sent=False)

    async with spending(tmp_path, backend(play=play), budgets=[money(100)]) as made:
        assert isinstance(await made.call("one__do"), Failed)
        assert await accounts(made) == {("money", "", "usd"): (0, 0)}


@pytest.mark.parametrize("kind", [FailureKind.DIED, FailureKind.TIMEOUT, FailureKind.BACKEND_ERROR])
async def test_what_may_have_had_effects_is_charged(tmp_path, kind):
    async def play(_invocation, _talk):
        return Failed(kind, -32000, "who knows", retryable=False)

    async with spending(tmp_path, backend(play=play), budgets=[money(100)]) as made:
        await made.call("one__do")
        assert await accounts(made) == {("money", "", "usd"): (10, 0)}


async def test_a_call_that_is_cancelled_after_it_was_sent_is_charged(tmp_path):
    running = asyncio.Event()

    async def play(_invocation, _talk):
        running.set()
        await asyncio.Event().wait()

    async with spending(tmp_path, backend(play=play), budgets=[money(100)]) as made:
        run = made.gateway.start(tool_call("one__do"), Ear())
        with anyio.fail_after(5):
            await running.wait()
            run.cancel("enough")
            await run.outcome()
        assert await accounts(made) == {("money", "", "usd"): (10, 0)}


async def test_every_kind_of_call_counts_against_the_same_account(tmp_path):
    spec = BudgetSpec("all", {Unit.CALLS: 4}, window=TOTAL)
    made_backend = backend()
    made_backend.prompts = [{"name": "p"}]
    made_backend.resources = [{"uri": "x://a", "name": "a"}]
    who = Principal("local:t")
    asked = [
        tool_call("one__do"),
        Call(CallKind.PROMPT, "prompts/get", "one__p", {"name": "one__p"}, {}, MODERN, who),
        Call(CallKind.RESOURCE, "resources/read", "x://a", {"uri": "x://a"}, {}, MODERN, who),
        Call(
            CallKind.COMPLETION,
            "completion/complete",
            "one__p",
            {"ref": {"type": "ref/prompt", "name": "one__p"}, "argument": {"name": "a", "value": ""}},
            {},
            MODERN,
            who,
        ),
        tool_call("one__do"),
    ]
    async with spending(tmp_path, made_backend, budgets=[spec]) as made:
        outcomes = [await made.gateway.start(call, Ear()).outcome() for call in asked]
        kinds = [one.kind if isinstance(one, Failed) else None for one in outcomes]
        assert kinds == [None, None, None, None, FailureKind.REFUSED]
        assert await accounts(made) == {("all", "", "calls"): (4, 0)}


async def test_budgets_that_do_not_concern_a_call_cost_it_nothing(tmp_path):
    spec = money(1, match=Match(server=("other",)))
    async with spending(tmp_path, backend(), budgets=[spec]) as made:
        assert made.gateway.plan(tool_call("one__do")).terms is None
        assert isinstance(await made.call("one__do"), Completed)
        assert await accounts(made) == {}


async def test_an_unknown_price_is_refused_by_the_plan_and_says_how_to_mend_it(tmp_path):
    async with spending(tmp_path, backend(), budgets=[money(100)], prices=Prices()) as made:
        decided = made.gateway.plan(tool_call("one__do"))
        assert isinstance(decided.refusal, Failed)
        assert decided.refusal.kind is FailureKind.REFUSED
        assert "prices.tools" in decided.refusal.message
        assert (decided.reasons[-1].rule, decided.reasons[-1].where) == ("money", "f.yaml:7")


async def test_an_unknown_price_may_be_flat_or_so_many_calls_and_a_price_of_nothing_is_one(tmp_path):
    flat = money(100, unknown=UnknownPrice.FLAT, price=60)
    async with spending(tmp_path, backend(), budgets=[flat], prices=Prices()) as made:
        assert isinstance(await made.call("one__do"), Completed)
        assert isinstance(await made.call("one__do"), Failed)
    few = money(100, unknown=UnknownPrice.UNMEASURED, price=2)
    async with spending(tmp_path, backend(), budgets=[few], prices=Prices()) as made:
        for _ in range(2):
            assert isinstance(await made.call("one__do"), Completed)
        refused = await made.call("one__do")
        assert "calls of unknown price" in refused.message
    async with spending(tmp_path, backend(), budgets=[money(1)], prices=Prices({"one.*": 0})) as made:
        for _ in range(3):
            assert isinstance(await made.call("one__do"), Completed)


async def test_what_an_agent_calls_counts_for_its_owner_and_for_every_run_above_it(tmp_path):
    per_run = BudgetSpec("run", {Unit.CALLS: 2}, ("run",), window=TOTAL)
    per_caller = BudgetSpec("caller", {Unit.CALLS: 9}, ("caller",), Match(principal=("local:ada",)), TOTAL)
    agent = Principal("agent:x:r2", "agent", run="r2", depth=2, owner="local:ada", lineage=("r2", "r1"))
    async with spending(tmp_path, backend(), budgets=[per_run, per_caller]) as made:
        for _ in range(3):
            call = tool_call("one__do")
            call.principal = agent
            last = await made.gateway.start(call, Ear()).outcome()
        assert isinstance(last, Failed)
        assert await accounts(made) == {
            ("caller", "caller=local:ada", "calls"): (2, 0),
            ("run", "run=r1", "calls"): (2, 0),
            ("run", "run=r2", "calls"): (2, 0),
        }


async def test_a_plan_that_is_only_asked_for_looks_at_the_ledger_and_refuses_as_the_call_would(tmp_path):
    async with spending(tmp_path, backend(), budgets=[CALLS]) as made:
        decided = await explained(made.gateway, tool_call("one__do"))
        assert decided.target is not None
        assert "2 calls left of 2 calls" in decided.reasons[-1].text
        for _ in range(2):
            await made.call("one__do")
        decided = await explained(made.gateway, tool_call("one__do"))
        assert isinstance(decided.refusal, Failed)
        assert decided.refusal.kind is FailureKind.REFUSED
        assert decided.reasons[-1].where == "f.yaml:3"


async def test_a_budget_that_reroutes_sends_a_logical_tool_to_a_cheaper_provider(tmp_path):
    providers = (Provider("one.do", price=80), Provider("two.do", price=10))
    schema = {"type": "object", "properties": {}}
    changes = {"tools": {"both": LogicalTool("both", "Does.", schema, providers)}}
    spec = money(100, on_exceeded=OnExceeded.REROUTE)
    async with spending(tmp_path, backend("one"), backend("two"), budgets=[spec], **changes) as made:
        for _ in range(3):
            assert isinstance(await made.call("both"), Completed)
        calls = {name: sum(len(s.invocations) for s in known.sessions) for name, known in made.backends.items()}
        assert calls == {"one": 1, "two": 2}
        refused = await made.call("both")
        assert isinstance(refused, Failed)
        assert refused.kind is FailureKind.REFUSED
        assert await accounts(made) == {("money", "", "usd"): (100, 0)}


async def test_a_budget_that_asks_lets_an_approver_raise_it_for_a_while(tmp_path):
    spec = BudgetSpec(
        "calls", {Unit.CALLS: 1}, window=TOTAL, on_exceeded=OnExceeded.ASK, approvers=("local:t",), raised=1.0
    )
    yes = Answer({"action": "accept", "content": {"decision": "allow"}})
    async with spending(tmp_path, backend(), budgets=[spec]) as made:
        client = asking("s")
        assert isinstance(await made.call("one__do", client, Ear(yes)), Completed)
        ear = Ear(yes)
        assert isinstance(await made.call("one__do", client, ear), Completed)
        (question,) = ear.asked
        assert "raise it by 1 call for 3600 s" in question.params["message"]
        no = Ear(Answer({"action": "decline"}))
        refused = await made.call("one__do", client, no)
        assert isinstance(refused, Failed)
        assert "Nobody agreed" in refused.message
        (event,) = [one for one in made.journal.events if one.kind is EventKind.BUDGET_RAISED]
        assert (event.data["by"], event.data["more"]) == ("local:t", 1)


async def test_a_budget_that_is_nearly_used_up_is_told_once(tmp_path):
    async with spending(tmp_path, backend(), budgets=[money(100, soft=0.5)]) as made:
        for _ in range(8):
            await made.call("one__do")
        (event,) = [one for one in made.journal.events if one.kind is EventKind.BUDGET_SOFT]
        assert event.data["spent"] + event.data["reserved"] == 50


async def test_what_a_server_samples_counts_in_its_own_kind_and_is_declined_when_there_is_nothing_left(tmp_path):
    said = []

    async def play(_invocation, talk):
        for _ in range(2):
            asked = {"messages": [], "maxTokens": 60}
            said.append(await talk.ask(Question("sampling/createMessage", asked)))
        return Completed(encode({"content": []}), Era.LEGACY)

    spec = BudgetSpec("sampling", {Unit.TOKENS: 100}, match=Match(kind=("sampling",)), window=TOTAL)
    answer = Answer({"role": "assistant", "content": {"type": "text", "text": "x"}, "model": "m"})
    async with spending(tmp_path, backend(play=play), budgets=[spec]) as made:
        assert isinstance(await made.call("one__do", asking("s"), Ear(answer)), Completed)
        assert said[0] == answer
        assert said[1].result is None
        assert "over budget" in said[1].message
        ((spent, reserved),) = (await accounts(made)).values()
        assert 60 <= spent <= 65
        assert reserved == 0


async def test_time_that_calls_take_is_charged_as_it_was(tmp_path):
    async with spending(tmp_path, backend(), budgets=[BudgetSpec("t", {Unit.SECONDS: 60_000}, window=TOTAL)]) as made:
        assert isinstance(await made.call("one__do", QUIET), Completed)
        ((spent, reserved),) = (await accounts(made)).values()
        assert spent < 10_000
        assert reserved == 0


async def test_a_window_that_ends_under_load_admits_each_window_up_to_its_own_limit(tmp_path):
    spec = BudgetSpec("minute", {Unit.CALLS: 5}, window=Window(WindowKind.EVERY, 60))
    now = 0.0
    async with spending(tmp_path, backend(), budgets=[spec]) as made:
        made.engine.now = lambda: now
        made.engine.purse.now = made.engine.now
        admitted = []
        for _ in range(4):
            outcomes = await asyncio.gather(*(made.call("one__do") for _ in range(9)))
            admitted.append(sum(isinstance(one, Completed) for one in outcomes))
            now += 30.0
        assert admitted == [5, 0, 5, 0]
