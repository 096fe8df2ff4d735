"""Which budgets concern a call, for whom, how much is held, and what is said when there is not enough."""

import math

import pytest

from mcp_orchestrator.core.budget import (
    Budgets,
    Cost,
    amount,
    calling_agent,
    cost_of,
    over,
    raise_of,
    soft_reached,
    until,
    variables,
)
from mcp_orchestrator.core.policy_rules import Subject
from mcp_orchestrator.core.rulings import Asker
from mcp_orchestrator.model.agent import AgentSpec
from mcp_orchestrator.model.budget import Balance, BudgetSpec, Prices, Unit, UnknownPrice, Window, WindowKind
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.rules import Hold, Match

ADA = Principal("local:ada", groups=("dev", "ops"), team="red")
SEARCH = Subject(("tool",), ("web.search",), "web", ("read",))
WORK = Subject(("delegation",), ("delegate",), agent="claude")
TOTAL = Window(WindowKind.TOTAL)
NOW = 1_796_000_000.0
KNOWN = Cost(usd=5, milliseconds=400_000)


def spec(limits, ident="b", **changes):
    return BudgetSpec(ident, limits, **{"window": TOTAL, "where": "f.yaml:9", **changes})


def demand(*specs, subject=SEARCH, who=ADA, cost=KNOWN, standing=None, **asker):
    return Budgets(specs).demand(subject, Asker(who, **asker), cost, NOW, standing)


def held(*specs, **changes):
    return {(one.budget, one.key, one.unit): one.amount for one in demand(*specs, **changes).holds}


def test_every_budget_that_fits_is_held_and_none_that_does_not():
    specs = (
        spec({Unit.CALLS: 1}, "all"),
        spec({Unit.CALLS: 1}, "web", match=Match(tool=("web.*",), labels=("read",))),
        spec({Unit.CALLS: 1}, "files", match=Match(server=("files",))),
        spec({Unit.CALLS: 1}, "ada", match=Match(principal=("local:*",), group=("ops",))),
        spec({Unit.CALLS: 1}, "bob", match=Match(principal=("local:bob",))),
        spec({Unit.CALLS: 1}, "agents", match=Match(kind=("delegation",))),
    )
    assert {key[0] for key in held(*specs)} == {"all", "web", "ada"}
    assert {key[0] for key in held(*specs, subject=WORK)} == {"all", "ada", "agents"}


def test_a_call_that_no_budget_concerns_holds_nothing_and_the_reason_says_so():
    found = demand(spec({Unit.CALLS: 1}, match=Match(server=("files",))))
    assert (found.holds, found.refusal) == ((), None)
    assert "no budget concerns" in found.reasons[0].text


@pytest.mark.parametrize(
    ("per", "keys"),
    [
        ((), {""}),
        (("caller",), {"caller=local:ada"}),
        (("team", "tool"), {"team=red&tool=web.search"}),
        (("group",), {"group=dev", "group=ops"}),
        (("server",), {"server=web"}),
        (("agent",), {"agent=(none)"}),
        (("context",), {"context=c1"}),
        (("run",), set()),
    ],
)
def test_it_is_counted_apart_for_whom_the_budget_says(per, keys):
    assert {key for _, key, _ in held(spec({Unit.CALLS: 1}, per=per), context="c1")} == keys


def test_keys_of_values_that_hold_the_separators_stay_apart():
    one = Principal("a&tool=b")
    assert next(iter(held(spec({Unit.CALLS: 1}, per=("caller",)), who=one)))[1] == "caller=a%26tool=b"


def test_what_an_agent_does_counts_for_whom_it_works_for_its_agent_and_for_all_runs_above():
    agent = Principal("agent:claude:r2", "agent", run="r2", team="red", owner="local:ada", lineage=("r2", "r1"))
    specs = (
        spec({Unit.CALLS: 1}, "caller", per=("caller",), match=Match(principal=("local:ada",))),
        spec({Unit.CALLS: 1}, "run", per=("run",)),
        spec({Unit.CALLS: 1}, "agent", per=("agent",), match=Match(agent=("claude",))),
    )
    assert {key for _, key, _ in held(*specs, who=agent)} == {
        "caller=local:ada", "run=r2", "run=r1", "agent=claude",
    }  # fmt: skip


def test_units_are_held_by_what_is_known_ahead():
    limits = {Unit.USD: 100, Unit.TOKENS: 10**6, Unit.CALLS: 9, Unit.SECONDS: 10**6}
    assert {unit: value for (_, _, unit), value in held(spec(limits)).items()} == {
        "usd": 5, "calls": 1, "seconds": 10_000,
    }  # fmt: skip
    work = held(spec(limits), subject=WORK)
    assert {unit: value for (_, _, unit), value in work.items()} == {
        "usd": 5, "calls": 1, "seconds": 400_000, "tokens": 10_000,
    }  # fmt: skip
    estimates = {Unit.TOKENS: 77, Unit.SECONDS: 5}
    work = held(spec(limits, estimates=estimates), subject=WORK)
    assert (work["b", "", "tokens"], work["b", "", "seconds"]) == (77, 5)
    assert held(spec({Unit.TOKENS: 9}), cost=Cost(tokens=3)) == {("b", "", "tokens"): 3}


def test_an_unknown_price_is_refused_flat_or_counted_and_never_nothing():
    unknown = Cost()
    refusal = demand(spec({Unit.USD: 100}), cost=unknown).refusal
    assert refusal.kind is FailureKind.REFUSED
    assert "prices.tools" in refusal.message
    assert "agents.claude.limits.usd" in demand(spec({Unit.USD: 100}), subject=WORK, cost=unknown).refusal.message
    flat = spec({Unit.USD: 100}, unknown=UnknownPrice.FLAT, price=30)
    assert held(flat, cost=unknown) == {("b", "", "usd"): 30}
    few = spec({Unit.USD: 100}, unknown=UnknownPrice.UNMEASURED, price=3)
    assert held(few, cost=unknown) == {("b", "", "usd"): 1, ("b", "", "unmeasured"): 1}
    assert demand(few, cost=unknown).holds[1].limit == 3
    assert held(spec({Unit.USD: 100}), cost=Cost(usd=0)) == {}
    assert demand(spec({Unit.CALLS: 100}), cost=unknown).refusal is None


def test_a_price_comes_from_the_offer_before_the_table_and_the_first_pattern_counts():
    prices = Prices({"web.search": 7, "web.*": 9, "*": 1})
    assert cost_of(SEARCH, None, 2.5, prices) == Cost(usd=7, milliseconds=2500)
    assert cost_of(SEARCH, 3, 1, prices).usd == 3
    assert cost_of(SEARCH, 0, 1, prices).usd == 0
    assert cost_of(SEARCH, None, 1, Prices()).usd is None


def test_a_refusal_says_what_where_how_much_is_left_and_until_when():
    hold = Hold("b", "f.yaml:9", "team=red", "usd", 1_500_000, 10_000_000, "2026-11", NOW + 60)
    balance = Balance("b", "team=red", "2026-11", "usd", 8_000_000, 1_250_000, 10_000_000, ends=NOW + 60)
    failed = over(hold, balance, NOW)
    for word in ("'b' of team=red", "$0.75 left of $10.00", "$1.25 is held", "$1.50", "f.yaml:9", "2026-11-30T"):
        assert word in failed.message, failed.message
    assert failed.retryable
    assert failed.data["windowEnds"] == NOW + 60


def test_quantities_are_told_in_their_units():
    told = [
        amount("usd", 1),
        amount("usd", 12_340_000),
        amount("calls", 1),
        amount("seconds", 1500),
        amount("tokens", 7),
    ]
    assert told == ["$0.000001", "$12.34", "1 call", "1.5 s", "7 tokens"]
    assert until(None) == ""


def test_a_raise_is_a_share_of_the_limit_and_at_least_what_is_lacking():
    made = spec({Unit.USD: 100}, raised=0.25, raise_for=60.0)
    hold = Hold("b", "", "", "usd", 10, 100, "w", None)
    assert raise_of(made, hold, Balance("b", "", "w", "usd", 95, 0, 100), NOW).more == 25
    assert raise_of(made, hold, Balance("b", "", "w", "usd", 140, 0, 100), NOW).more == 50
    asked = raise_of(made, Hold("b", "", "", "usd", 90, 100, "w", None), Balance("b", "", "w", "usd", 95, 0, 100), NOW)
    assert (asked.more, asked.seconds) == (85, 60.0)


def test_it_is_warned_from_the_share_on_that_the_budget_names():
    made = spec({Unit.USD: 100}, soft=0.5)
    assert not soft_reached(made, Balance("b", "", "w", "usd", 20, 29, 100), NOW)
    assert soft_reached(made, Balance("b", "", "w", "usd", 20, 30, 100), NOW)


def test_the_variables_of_conditions_are_of_the_tightest_money_budget():
    budgets = Budgets([spec({Unit.USD: 9_000_000}, "wide"), spec({Unit.USD: 5_000_000, Unit.CALLS: 1}, "tight")])
    assert budgets.variables(SEARCH, Asker(ADA), NOW)["budget.left_usd"] == 5.0
    standing = {("wide", "", "total", "usd"): Balance("wide", "", "total", "usd", 7_000_000, 500_000, 9_000_000)}
    assert budgets.variables(SEARCH, Asker(ADA), NOW, standing) == {
        "budget.left_usd": 1.5, "budget.limit_usd": 9.0, "budget.spent_usd": 7.0, "budget.reserved_usd": 0.5,
    }  # fmt: skip
    assert variables([], {}, NOW)["budget.left_usd"] == math.inf


def test_the_agent_of_a_principal_is_in_its_id():
    assert calling_agent("agent:claude:r2") == "claude"
    assert calling_agent("local:ada") == ""


def test_sampling_is_looked_at_only_where_a_budget_may_concern_it():
    assert Budgets([spec({Unit.CALLS: 1})]).counts_sampling
    assert Budgets([spec({Unit.CALLS: 1}, match=Match(kind=("sampling",)))]).counts_sampling
    assert not Budgets([spec({Unit.CALLS: 1}, match=Match(kind=("tool", "delegation")))]).counts_sampling


def test_an_agent_may_be_named_by_its_labels():
    from mcp_orchestrator.core.policing import delegation_subject  # noqa: PLC0415 - only here

    agent = AgentSpec("claude", "claude-code", labels=("dear",))
    labelled = spec({Unit.CALLS: 1}, match=Match(labels=("dear",)))
    assert held(labelled, subject=delegation_subject(agent)) == {("b", "", "calls"): 1}
