"""The budget step of a plan: told with budget and place, pure, and the same whether the call is made or only asked about."""

from dataclasses import replace

from catalogs import call, catalog, offers, tool

from mcp_orchestrator.core.budget import Budgets
from mcp_orchestrator.core.budgeting import ELSEWHERE, Standing, budgeted, goes_elsewhere, spent_on, variables_of
from mcp_orchestrator.core.plan import Rules, plan
from mcp_orchestrator.model.budget import Balance, BudgetSpec, OnExceeded, Prices, Unit, Window, WindowKind
from mcp_orchestrator.model.call import CallKind
from mcp_orchestrator.model.errors import INVALID_REQUEST
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.model.plan import Care
from mcp_orchestrator.model.routing import LogicalTool
from mcp_orchestrator.model.rules import Match, Terms

FILES = catalog(offers("files", tool("read", path={"type": "string"})))
SPEC = BudgetSpec("b", {Unit.USD: 100}, window=Window(WindowKind.TOTAL), where="f.yaml:4")
PRICES = Prices({"files.*": 30})
UNKNOWN = Standing()


def planned(*specs, standing=UNKNOWN, asked=None, prices=PRICES):
    asked = asked or call("files__read", path="x")
    return budgeted(plan(asked, FILES, Rules()), asked, Budgets(specs, prices), standing)


def stands(spent, reserved=0, **more):
    balance = Balance("b", "", "total", "usd", spent, reserved, 100)
    return Standing(0.0, {balance.place: balance}, **more)


def steps(decided):
    return [(reason.step, reason.rule, reason.where) for reason in decided.reasons]


def test_the_holds_are_among_the_terms_and_each_budget_has_its_reason_in_its_place():
    decided = planned(SPEC, replace(SPEC, id="c", where="f.yaml:9"))
    assert [hold.budget for hold in decided.terms.holds] == ["b", "c"]
    assert steps(decided)[-2:] == [("budget", "b", "f.yaml:4"), ("budget", "c", "f.yaml:9")]
    assert [step for step, _, _ in steps(decided)] == ["identity", "catalog", "schema", "policy", "budget", "budget"]


def test_how_an_account_stands_is_told_as_far_as_it_is_known():
    assert "left" not in planned(SPEC).reasons[-1].text
    assert "$0.00005 left of $0.0001" in planned(SPEC, standing=stands(50)).reasons[-1].text


def test_what_is_known_only_binds_a_plan_that_is_not_carried_out():
    assert planned(SPEC, standing=stands(90)).target is not None
    decided = planned(SPEC, standing=stands(90, binding=True))
    assert decided.refusal.kind is FailureKind.REFUSED
    assert decided.terms is None
    assert steps(decided)[-1] == ("budget", "b", "f.yaml:4")
    assert planned(SPEC, standing=stands(70, binding=True)).target is not None
    assert planned(replace(SPEC, limits={Unit.USD: 29}), standing=Standing(binding=True)).refusal is not None


def test_terms_that_rules_have_set_stay():
    asked = call("files__read", path="x")
    decided = replace(plan(asked, FILES, Rules()), terms=Terms(arguments={"path": "y"}))
    terms = budgeted(decided, asked, Budgets([SPEC], PRICES), Standing()).terms
    assert terms.arguments == {"path": "y"}
    assert len(terms.holds) == 1


def test_a_plan_that_refuses_already_stays_as_it_is():
    asked = call("files__read", path=7)
    decided = plan(asked, FILES, Rules())
    assert budgeted(decided, asked, Budgets([SPEC], PRICES), Standing()) == decided


def test_a_price_that_nobody_knows_refuses_and_names_the_budget():
    decided = planned(SPEC, prices=Prices())
    assert decided.refusal.kind is FailureKind.REFUSED
    assert steps(decided)[-1] == ("budget", "b", "f.yaml:4")


def test_waiting_for_news_costs_nothing():
    asked = replace(call("files__read", path="x"), kind=CallKind.SUBSCRIPTION)
    target = plan(call("files__read", path="x"), FILES, Rules()).target
    decided = replace(plan(call("files__read", path="x"), FILES, Rules()), target=target)
    assert budgeted(decided, asked, Budgets([SPEC], PRICES), Standing()).terms is None


def test_a_call_of_a_tool_of_ours_counts_as_it_and_as_the_provider():
    asked = call("files__read", path="x")
    target = plan(asked, FILES, Rules()).target
    logical = LogicalTool("look", "", {}, (), labels=("cheap",))
    subject = spent_on(asked, replace(target, care=Care("files.read", logical)))
    assert subject.names == ("look", "files.read")
    assert subject.labels == ("cheap",)


def test_the_variables_of_conditions_come_from_what_is_known_of_the_accounts():
    asked = call("files__read", path="x")
    target = plan(asked, FILES, Rules()).target
    found = variables_of(asked, target, Budgets([SPEC], PRICES), stands(40, 10))
    assert found["budget.left_usd"] == 50 / 1_000_000


def test_only_a_refusal_of_a_budget_that_reroutes_sends_a_call_elsewhere():
    refused = Failed(FailureKind.REFUSED, INVALID_REQUEST, "", {"onExceeded": ELSEWHERE})
    assert goes_elsewhere(refused)
    assert not goes_elsewhere(replace(refused, data={"onExceeded": "refuse"}))
    assert not goes_elsewhere(replace(refused, kind=FailureKind.DIED))
    assert not goes_elsewhere(Completed(b"{}", None))
    assert OnExceeded.REROUTE.value == ELSEWHERE


def test_a_budget_for_others_changes_nothing_but_the_reason():
    decided = planned(replace(SPEC, match=Match(server=("git",))))
    assert decided.terms is None
    assert "no budget concerns" in decided.reasons[-1].text
