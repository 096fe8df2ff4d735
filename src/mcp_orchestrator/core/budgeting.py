"""The budget step of a plan: what a planned call must hold, told with each budget and its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from mcp_orchestrator.core.budget import Budgets, Demand, cost_of, may_go_elsewhere, over
from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.core.policing import asker_of, subject_of
from mcp_orchestrator.core.policy_rules import Subject
from mcp_orchestrator.core.rulings import Asker
from mcp_orchestrator.model.budget import Balance
from mcp_orchestrator.model.call import Call, CallKind
from mcp_orchestrator.model.outcome import Failed, FailureKind, Outcome
from mcp_orchestrator.model.plan import Plan, Reason, Target
from mcp_orchestrator.model.rules import Terms

_OWN_WORK: Final = Demand((), (Reason("budget", "a tool of the gateway itself: nothing is held"),))
_FREE: Final = frozenset({CallKind.SUBSCRIPTION, CallKind.TASK})
_NO_HOLD: Final = Demand((), (Reason("budget", "waiting for news of something costs nothing"),))
ELSEWHERE: Final = "reroute"


@dataclass(frozen=True, slots=True)
class Standing:
    """What planning knows of the ledger: the time (seconds since the epoch), and how accounts stood last.

    With `binding` what there is not enough left for is refused in the plan; otherwise the ledger has the last word.
    """

    now: float = 0.0
    accounts: Mapping[tuple[str, str, str, str], Balance] = field(default_factory=dict)
    binding: bool = False


def spent_on(call: Call, target: Target) -> Subject:
    """What a call uses, as budgets look at it: of a tool of ours with several providers, both it and the provider."""
    subject = subject_of(call, target)
    logical = target.care.logical if target.care is not None else None
    if logical is None:
        return subject
    names, labels = (logical.name, *subject.names), (*logical.labels, *subject.labels)
    return replace(subject, names=names, labels=labels)


def asking(call: Call) -> Asker:
    """Who calls."""
    return asker_of(call.principal, call.client, call.profile, call.context)


def demand_of(call: Call, target: Target, budgets: Budgets, standing: Standing) -> Demand:
    """What a call to a target must hold."""
    if target.backend == OWN:
        return _OWN_WORK
    if call.kind in _FREE:
        return _NO_HOLD
    subject = spent_on(call, target)
    cost = cost_of(subject, target.price, target.timeout, budgets.prices)
    return budgets.demand(subject, asking(call), cost, standing.now, standing.accounts)


def budgeted(decided: Plan, call: Call, budgets: Budgets, standing: Standing) -> Plan:
    """The plan with its budget step. A plan that refuses already stays as it is."""
    target = decided.target
    while target is not None:
        demand = demand_of(call, target, budgets, standing)
        refusal, elsewhere = _refusal(demand, budgets, standing)
        reasons = _with_step(decided.reasons, demand.reasons if demand.refusal is None else ())
        if refusal is None:
            terms = replace(decided.terms or Terms(), holds=demand.holds) if demand.holds else decided.terms
            return replace(decided, target=target, reasons=reasons, terms=terms)
        said = Reason("budget", refusal.message, *_whose(demand, refusal))
        decided = replace(decided, reasons=(*reasons, said))
        following = decided.others.next() if elsewhere and decided.others is not None else None
        if following is None:
            return replace(decided, target=None, refusal=refusal)
        target = following
    return decided


def _refusal(demand: Demand, budgets: Budgets, standing: Standing) -> tuple[Failed | None, bool]:
    """The refusal of a demand as far as it is known now, and whether something cheaper may be looked for."""
    if demand.refusal is not None:
        return demand.refusal, False
    short = budgets.refused_by_standing(demand, standing.accounts, standing.now) if standing.binding else None
    if short is None:
        return None, False
    spec, hold, balance = short
    return over(hold, balance, standing.now), may_go_elsewhere(spec)


def _whose(demand: Demand, refusal: Failed) -> tuple[str, str]:
    named = refusal.data.get("budget", "") if isinstance(refusal.data, dict) else ""
    where = next((reason.where for reason in demand.reasons if reason.rule == named), "")
    return named, where


def _with_step(reasons: tuple[Reason, ...], step: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """The reasons with those of this step in the place of what stood there for want of budgets."""
    if not any(reason.step == "budget" and not reason.rule for reason in reasons):
        return (*reasons, *step)
    found: list[Reason] = []
    for reason in reasons:
        if reason.step == "budget" and not reason.rule:
            found += step
        else:
            found.append(reason)
    return tuple(found)


def variables_of(call: Call, target: Target, budgets: Budgets, standing: Standing) -> Mapping[str, float]:
    """The budget variables of conditions: of the tightest money budget that this call counts against."""
    return budgets.variables(spent_on(call, target), asking(call), standing.now, standing.accounts)


def goes_elsewhere(outcome: Outcome) -> bool:
    """Whether a call was refused by a budget that sends it to something cheaper."""
    if not isinstance(outcome, Failed) or outcome.kind is not FailureKind.REFUSED:
        return False
    return isinstance(outcome.data, dict) and outcome.data.get("onExceeded") == ELSEWHERE
