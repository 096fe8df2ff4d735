"""The budget step of a plan: what a planned call must hold, told with each budget and its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mcp_orchestrator.core.budget import Budgets, Demand, cost_of, may_go_elsewhere, over
from mcp_orchestrator.core.naming import OWN, dotted
from mcp_orchestrator.core.rulings import Asker
from mcp_orchestrator.core.policy_rules import Subject
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


def subject_of(call: Call, target: Target) -> Subject:
    """What a call uses, as budgets look at it."""
    offer, care = target.offer, target.care
    full = offer.dotted if offer is not None else dotted(target.backend, target.name)
    names = (target.name, full) if call.kind is CallKind.RESOURCE else (full,)
    labels: tuple[str, ...] = offer.labels if offer is not None else ()
    if care is not None and care.logical is not None:
        names, labels = (care.logical.name, *names), (*care.logical.labels, *labels)
    annotations: Any = offer.definition.get("annotations") if offer is not None else None
    return Subject(
        (call.kind.value,),
        names,
        target.backend,
        labels,
        annotations if isinstance(annotations, Mapping) else {},
        pin=offer.pin if offer is not None else "",
    )


def asker_of(call: Call) -> Asker:
    """Who calls, as budgets look at it."""
    info = call.client.info or {}
    return Asker(
        call.principal,
        str(info.get("name", "")),
        str(info.get("version", "")),
        call.client.era.value,
        call.profile or "",
        call.context or "",
    )


def demand_of(call: Call, target: Target, budgets: Budgets, standing: Standing) -> Demand:
    """What a call to a target must hold."""
    if target.backend == OWN:
        return _OWN_WORK
    if call.kind in _FREE:
        return _NO_HOLD
    subject = subject_of(call, target)
    cost = cost_of(subject, target.price, target.timeout, budgets.prices)
    return budgets.demand(subject, asker_of(call), cost, standing.now, standing.accounts)


def budgeted(decided: Plan, call: Call, budgets: Budgets, standing: Standing) -> Plan:
    """The plan with its budget step. A plan that refuses already stays as it is."""
    target = decided.target
    while target is not None:
        demand = demand_of(call, target, budgets, standing)
        refusal, elsewhere = _refusal(demand, budgets, standing)
        reasons = _with_step(decided.reasons, demand.reasons)
        if refusal is None:
            terms = replace(decided.terms or Terms(), holds=demand.holds) if demand.holds else decided.terms
            return replace(decided, target=target, reasons=reasons, terms=terms)
        said = Reason("budget", refusal.message, *_whose(demand, refusal))
        decided = replace(decided, reasons=(*decided.reasons, said))
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


def goes_elsewhere(outcome: Outcome) -> bool:
    """Whether a call was refused by a budget that sends it to something cheaper."""
    if not isinstance(outcome, Failed) or outcome.kind is not FailureKind.REFUSED:
        return False
    return isinstance(outcome.data, dict) and outcome.data.get("onExceeded") == ELSEWHERE
