"""A run pays for what its agent delegates as well."""

import pytest
from delegating import Agent, House, spends, until

from mcp_orchestrator.runtime.attachments import child_of
from mcp_orchestrator.runtime.orders import DelegationError
from mcp_orchestrator.runtime.spending import left_of, overspent, spent

pytestmark = pytest.mark.anyio


async def test_what_children_use_counts_while_they_work_and_when_they_have_ended(tmp_path):
    house = House(tmp_path, Agent("boss", work=spends(10_000)), Agent("hand", work=spends(30_000)))
    boss = await house.begin(agent="boss", limits={"cost": 100_000, "turns": 3})
    await until(boss, lambda: boss.total.cost)
    hand = await house.begin(agent="hand", owner=child_of(boss.kept))
    await until(hand, lambda: hand.total.cost)
    live = house.delegations.all_live
    assert (spent(boss, live), spent(hand, live)) == (40_000, 30_000)
    assert left_of(boss, live) == {"cost": 60_000, "seconds": 3600.0}
    assert hand.kept.limits["cost"] == 90_000
    await house.delegations.cancel(hand.kept.id, None, "enough")
    assert spent(boss, house.delegations.all_live) == 40_000
    await house.delegations.cancel(boss.kept.id, None, "enough")


async def test_the_run_above_is_stopped_when_what_it_delegated_has_spent_its_budget(tmp_path):
    house = House(tmp_path, Agent("boss", work=spends(10_000)), Agent("hand", work=spends(30_000, 90_000)))
    boss = await house.begin(agent="boss", limits={"cost": 100_000})
    await until(boss, lambda: boss.total.cost)
    hand = await house.begin(agent="hand", owner=child_of(boss.kept))
    ended = await house.ended(boss)
    assert (ended.status.value, ended.trouble.value) == ("limit", "budget")
    assert "$0.1000 of $0.1000" in ended.message
    assert (await house.ended(hand)).status.value in {"cancelled", "limit"}
    assert overspent(boss, [])


async def test_who_has_nothing_left_hands_nothing_on(tmp_path):
    house = House(tmp_path, Agent("boss", work=spends()), Agent("hand", work=spends(100_000)))
    boss = await house.begin(agent="boss", limits={"cost": 100_000})
    boss.below = 100_000
    with pytest.raises(DelegationError, match="nothing is left of the budget"):
        await house.begin(agent="hand", owner=child_of(boss.kept))
    await house.delegations.cancel(boss.kept.id, None, "enough")


async def test_without_a_budget_or_without_spending_nothing_is_overspent(tmp_path):
    house = House(tmp_path, Agent("boss", work=spends(10_000)))
    free = await house.begin()
    bound = await house.begin(limits={"cost": 0})
    assert overspent(bound, []) == "", "nothing was measured"
    await until(free, lambda: free.total.cost)
    assert overspent(free, []) == ""
    for one in (free, bound):
        await house.delegations.cancel(one.kept.id, None, "enough")
