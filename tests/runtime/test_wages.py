"""Delegations are paid for: held when they begin, charged with what they used, for everybody above them."""

import contextlib
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest
from delegating import ADA, DONE, Agent, House, answers, spends, until_stopped

from mcp_orchestrator.core.budget import Budgets
from mcp_orchestrator.model.agent import AgentUsage, CostSource, EndStatus, TroubleKind, Used
from mcp_orchestrator.model.budget import (
    BudgetSpec,
    ModelPrice,
    OnExceeded,
    Prices,
    Unit,
    UnknownPrice,
    Window,
    WindowKind,
)
from mcp_orchestrator.model.delegation import DelegationState
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.runtime.attachments import child_of
from mcp_orchestrator.runtime.budgets import purse_of
from mcp_orchestrator.runtime.orders import DelegationError
from mcp_orchestrator.runtime.recovery import take_up
from mcp_orchestrator.runtime.wages import PriceList
from mcp_orchestrator.storage.ledger import MemoryLedger

pytestmark = pytest.mark.anyio

TOTAL = Window(WindowKind.TOTAL)
COST = {"cost": 60}


def money(limit=100, **changes):
    return BudgetSpec("money", {Unit.USD: limit}, **{"window": TOTAL, "where": "f.yaml:7", **changes})


def used(cost, **changes):
    return answers("done", usage=AgentUsage(cost=cost, cost_source=CostSource.REPORTED, **changes))


@contextlib.contextmanager
def paying(house, *specs, ledger=None):
    budgets, ledger = Budgets(specs), ledger or MemoryLedger(lambda: 1000.0)
    house.engine.purse = purse_of(house.engine, ledger, lambda: budgets)
    try:
        yield ledger
    finally:
        if house.engine.purse._tending is not None:
            house.engine.purse._tending.cancel()
        ledger.close()


async def accounts(ledger):
    return {(one.key, one.unit): (one.spent, one.reserved) for one in await ledger.balances()}


async def test_a_delegation_is_held_while_it_works_and_charged_with_what_it_used(tmp_path):
    agent = Agent(work=until_stopped)
    house = House(tmp_path, agent)
    with paying(house, money()) as ledger:
        delegation = await house.begin(limits=COST)
        assert await accounts(ledger) == {("", "usd"): (0, 60)}
        delegation.cancel("enough")
        await house.ended(delegation)
    house = House(tmp_path / "2", Agent(work=used(25)))
    with paying(house, money()) as ledger:
        await house.ended(await house.begin(limits=COST))
        assert await accounts(ledger) == {("", "usd"): (25, 0)}


async def test_one_that_no_budget_has_enough_left_for_is_not_begun(tmp_path):
    agent = Agent(work=until_stopped)
    house = House(tmp_path, agent)
    with paying(house, money()) as ledger:
        first = await house.begin(limits=COST)
        with pytest.raises(DelegationError, match=r"over budget: 'money' has \$0\.00004 left.*f\.yaml:7"):
            await house.begin(limits=COST)
        assert "r2" not in house.store.rows
        assert await accounts(ledger) == {("", "usd"): (0, 60)}
        first.cancel("enough")
        await house.ended(first)


async def test_one_whose_agent_never_began_costs_nothing(tmp_path):
    house = House(tmp_path, Agent())
    house.places.refuses = "no repository"
    with paying(house, money()) as ledger:
        assert (await house.ended(await house.begin(limits=COST))).status is EndStatus.FAILED
        assert await accounts(ledger) == {("", "usd"): (0, 0)}


async def test_one_that_cannot_be_recorded_gives_back_what_it_held(tmp_path):
    house = House(tmp_path, Agent())
    house.store.broken = True
    with paying(house, money()) as ledger:
        with pytest.raises(OSError, match="disk full"):
            await house.begin(limits=COST)
        assert await accounts(ledger) == {("", "usd"): (0, 0)}


async def test_what_nobody_measured_is_charged_as_it_was_held(tmp_path):
    house = House(tmp_path, Agent(work=answers("done")))
    with paying(house, money()) as ledger:
        await house.ended(await house.begin(limits=COST))
        assert await accounts(ledger) == {("", "usd"): (60, 0)}


async def test_a_cost_that_nobody_knows_ahead_is_a_policy(tmp_path):
    house = House(tmp_path, Agent(work=used(25)))
    with paying(house, money()), pytest.raises(DelegationError, match=r"limits\.usd"):
        await house.begin()
    with paying(house, money(unknown=UnknownPrice.FLAT, price=40)) as ledger:
        await house.ended(await house.begin())
        assert await accounts(ledger) == {("", "usd"): (25, 0)}
    with paying(house, money(unknown=UnknownPrice.UNMEASURED, price=1)) as ledger:
        await house.ended(await house.begin())
        assert await accounts(ledger) == {("", "unmeasured"): (0, 0), ("", "usd"): (25, 0)}


async def test_tokens_and_time_and_calls_are_counted_too(tmp_path):
    house = House(tmp_path, Agent(work=used(None, input_tokens=700, output_tokens=30)))
    spec = BudgetSpec("all", {Unit.TOKENS: 20_000, Unit.CALLS: 5, Unit.SECONDS: 10**9}, window=TOTAL)
    with paying(house, spec) as ledger:
        await house.ended(await house.begin())
        found = await accounts(ledger)
        assert found["", "tokens"] == (730, 0)
        assert found["", "calls"] == (1, 0)
        assert found["", "seconds"][1] == 0


async def test_one_that_uses_more_than_a_budget_has_is_stopped_and_what_it_used_stays_spent(tmp_path):
    house = House(tmp_path, Agent(work=spends(50, 130)))
    with paying(house, money()) as ledger:
        ended = await house.ended(await house.begin(limits={"cost": 90}))
        assert (ended.status, ended.trouble) == (EndStatus.LIMIT, TroubleKind.BUDGET)
        assert await accounts(ledger) == {("", "usd"): (130, 0)}


async def test_a_budget_that_several_share_stops_whoever_uses_it_up(tmp_path):
    house = House(tmp_path, Agent(work=spends(30)), Agent("greedy", work=spends(95)))
    with paying(house, money(unknown=UnknownPrice.FLAT, price=10)) as ledger:
        first = await house.begin()
        ended = await house.ended(await house.begin(agent="greedy"))
        assert (ended.status, ended.trouble) == (EndStatus.LIMIT, TroubleKind.BUDGET)
        assert "budget 'money' is spent" in ended.message
        first.cancel("enough")
        await house.ended(first)
        assert await accounts(ledger) == {("", "usd"): (125, 0)}


async def test_what_an_agent_delegates_is_drawn_from_what_its_own_run_holds(tmp_path):
    house = House(tmp_path, Agent(work=until_stopped), Agent("helper", work=used(20)))
    per = money(per=("run",), limit=100)
    with paying(house, money(limit=60), replace(per, id="run")) as ledger:
        parent = await house.begin(limits=COST)
        order = house.order(agent="helper", owner=child_of(parent.kept), limits={"cost": 30})
        child = await house.delegations.begin(order)
        await house.ended(child)
        assert await accounts(ledger) == {("", "usd"): (20, 40), ("run=r1", "usd"): (20, 0)}
        parent.cancel("enough")
        await house.ended(parent)


async def test_a_delegation_of_an_agent_counts_for_the_client_at_the_top(tmp_path):
    house = House(tmp_path, Agent(work=until_stopped), Agent("helper", work=used(20)))
    spec = BudgetSpec("calls", {Unit.CALLS: 2}, ("caller",), window=TOTAL)
    with paying(house, spec) as ledger:
        parent = await house.begin()
        again = {"agent": "helper", "owner": child_of(parent.kept)}
        await house.ended(await house.delegations.begin(house.order(**again)))
        with pytest.raises(DelegationError, match="over budget"):
            await house.delegations.begin(house.order(**again))
        assert await accounts(ledger) == {(f"caller={ADA.id}", "calls"): (1, 1)}
        parent.cancel("enough")
        await house.ended(parent)


async def test_a_budget_that_reroutes_gives_the_work_to_a_cheaper_agent(tmp_path):
    dear, cheap = Agent("dear", max_cost=200), Agent("cheap", max_cost=50, work=used(20))
    house = House(tmp_path, dear, cheap)
    with paying(house, money(on_exceeded=OnExceeded.REROUTE)) as ledger:
        delegation = await house.begin()
        await house.ended(delegation)
        assert delegation.kept.agent == "cheap"
        assert dear.opened == []
        assert await accounts(ledger) == {("", "usd"): (20, 0)}
        with pytest.raises(DelegationError, match="over budget"):
            await house.begin(agent="dear")


async def test_what_was_spent_before_a_crash_stays_spent_and_the_next_gateway_settles_it(tmp_path):
    async def work(session, turn, talk):
        await talk.bound("n1")
        return await spends(50)(session, turn, talk)

    house = House(tmp_path, Agent(work=work))
    ledger = MemoryLedger(lambda: 1000.0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(paying(house, money(), ledger=ledger))
        delegation = await house.begin(limits={"cost": 55})
        with anyio.fail_after(5):
            while delegation.kept.usage.cost != 50:
                await anyio.lowlevel.checkpoint()
        await house.delegations.stop()
        assert await accounts(ledger) == {("", "usd"): (0, 55)}
        assert delegation.kept.state is DelegationState.WORKING
        again = House(tmp_path / "2", Agent(work=used(1)), kept=house.store)
        stack.enter_context(paying(again, money(), ledger=ledger))
        assert await take_up(again.delegations) == 1
        with anyio.fail_after(5):
            await again.delegations.all_live[0].over.wait()
        assert await accounts(ledger) == {("", "usd"): (51, 0)}


async def test_tokens_without_money_are_priced_by_the_configuration_or_the_table_and_say_so(tmp_path):
    async def work(session, turn, talk):
        usage = AgentUsage(input_tokens=1000, output_tokens=100, cached_tokens=200)
        talk.event(Used(usage))
        return replace(DONE, usage=usage)

    house = House(tmp_path, Agent(work=work, model="mine"))
    house.delegations.wages.list = PriceList(Prices(models={"mi*": ModelPrice(3_000_000, 15_000_000, 300_000)}))
    ended = await house.ended(await house.begin())
    assert (ended.usage.cost, ended.usage.cost_source) == (3960, CostSource.COMPUTED)

    house = House(tmp_path / "2", Agent(work=work, model="theirs"))
    read = []

    async def reading():
        read.append(True)

    table = lambda usage, model: 7 if model == "theirs" else None  # noqa: E731 - one line
    house.delegations.wages.list = PriceList(Prices(), table, lambda: bool(read), reading)
    ended = await house.ended(await house.begin())
    assert (ended.usage.cost, ended.usage.cost_source) == (7, CostSource.COMPUTED)

    house = House(tmp_path / "3", Agent(work=work, model="nobody's"))
    house.delegations.wages.list = PriceList(Prices(), table)
    ended = await house.ended(await house.begin())
    assert (ended.usage.cost, ended.usage.cost_source) == (None, CostSource.UNMEASURED)


async def test_what_an_agent_reports_itself_is_never_computed(tmp_path):
    house = House(tmp_path, Agent(work=used(5, input_tokens=10**6), model="mine"))
    house.delegations.wages.list = PriceList(Prices(models={"*": ModelPrice(3_000_000, 0)}))
    ended = await house.ended(await house.begin())
    assert (ended.usage.cost, ended.usage.cost_source) == (5, CostSource.REPORTED)


async def test_a_refusal_is_journalled(tmp_path):
    house = House(tmp_path, Agent())
    with paying(house, money(limit=1)), pytest.raises(DelegationError):
        await house.begin(limits=COST)
    assert [one.kind for one in house.events("r1")] == [EventKind.BUDGET_REFUSED]
