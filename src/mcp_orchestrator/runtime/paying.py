"""One attempt at a call, paid for: held before, settled after with what was used, given back when nothing was sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mcp_orchestrator.budget_api import Lacking
from mcp_orchestrator.core.budget import Ask, Demand, amount, may_go_elsewhere, until, whose
from mcp_orchestrator.core.budgeting import ELSEWHERE, Standing, demand_of
from mcp_orchestrator.core.gcra import Throttled
from mcp_orchestrator.model.budget import Unit
from mcp_orchestrator.model.errors import INVALID_REQUEST
from mcp_orchestrator.model.outcome import Failed, FailureKind, Outcome
from mcp_orchestrator.model.plan import Target
from mcp_orchestrator.model.rules import Approval, Scope

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.budgets import Purse
    from mcp_orchestrator.runtime.run import Run
    from mcp_orchestrator.runtime.supervisor import Supervisor
    from mcp_orchestrator.runtime.surroundings import Surroundings


async def paid(run: Run, engine: Surroundings, supervisor: Supervisor, target: Target) -> Outcome:
    """Make one attempt with this target. What budgets have not enough left for is asked for, or refused: never sent."""
    purse = engine.purse
    budgets = purse.budgets if purse is not None else None
    if purse is None or budgets is None or run.plan.terms is None:
        return await run.attempt(supervisor, target)
    demand = demand_of(run.call, target, budgets, Standing(purse.now(), purse.standing))
    if demand.refusal is not None or not demand.holds:
        return demand.refusal or await run.attempt(supervisor, target)
    name = purse.name(run.id)
    refused = await held(run, engine, name, demand)
    if refused is not None:
        return refused
    began = engine.clock()
    outcome: Outcome | None = None
    try:
        outcome = await run.attempt(supervisor, target)
    finally:
        _over(purse, name, engine.clock() - began, sent=run.sent and not _never(outcome))
    return outcome


def _never(outcome: Outcome | None) -> bool:
    """Whether nothing was sent after all, by what is said of the attempt."""
    return isinstance(outcome, Failed) and outcome.retryable and outcome.kind is not FailureKind.BACKEND_ERROR


def _over(purse: Purse, name: str, seconds: float, *, sent: bool) -> None:
    if sent:
        purse.settle(name, {Unit.SECONDS.value: round(seconds * 1000)})
    else:
        purse.release(name)


async def held(run: Run, engine: Surroundings, name: str, demand: Demand) -> Failed | None:
    """Hold what the call needs, asking for more where a budget says so; the refusal if it cannot be had."""
    who, purse = run.call.principal, engine.purse
    if purse is None:
        return None
    asked: set[tuple[str, str, str, str]] = set()
    while True:
        lacking = await purse.hold(name, demand.holds, who.lineage)
        if not isinstance(lacking, Lacking):
            return lacking
        ask = purse.asking(lacking)
        if ask is None or lacking.hold.place in asked:
            return _refused(run, purse, lacking)
        asked.add(lacking.hold.place)
        by = await agreed(engine, run, ask)
        if not by:
            failed = _refused(run, purse, lacking)
            text = f"{failed.message}. Nobody agreed to raise it (approvers: {', '.join(ask.spec.approvers)})"
            return replace(failed, message=text)
        await purse.raised(run.id, ask, by)


def too_early(early: Throttled) -> Failed:
    """The refusal of a call that comes too early for a rate limit; nothing was sent."""
    limit, wait = early.limit, max(early.wait, 0.001)
    rate = limit.rate
    text = (
        f"rate limit: rule '{limit.rule}' allows {rate.count} calls in {rate.seconds:g} s{whose(limit.key.replace('|', '&'))}"
        f"{f' ({limit.where})' if limit.where else ''}; try again in {wait:.3g} s"
    )
    data = {"rule": limit.rule, "where": limit.where, "retryAfter": round(wait, 3)}
    return Failed(FailureKind.REFUSED, INVALID_REQUEST, text, data, retryable=True)


async def agreed(engine: Surroundings, run: Run, ask: Ask) -> str:
    """Who of the approvers agrees to a higher limit, for what this run is about; "" when nobody does."""
    return "" if engine.policing is None else await engine.policing.agreed(run, approval_of_raise(ask))


def approval_of_raise(ask: Ask) -> Approval:
    """What the approvers of a budget are asked."""
    hold, spec = ask.hold, ask.spec
    left = replace(ask.balance, limit=hold.limit).left(0)
    ends = until(hold.ends)
    text = (
        f"budget '{spec.id}'{whose(hold.key)} has {amount(hold.unit, left)} left of {amount(hold.unit, hold.limit)}"
        f"{f' {ends}' if ends else ''}, and this needs {amount(hold.unit, hold.amount)}: raise it by "
        f"{amount(hold.unit, ask.more)} for {ask.seconds:g} s"
    )
    return Approval(spec.id, spec.where, spec.approvers, Scope.ONCE, None, text)


def _refused(run: Run, purse: Purse, lacking: Lacking) -> Failed:
    failed = purse.refused(run.id, run.call.principal, lacking)
    spec = purse.budgets.specs.get(lacking.hold.budget) if purse.budgets is not None else None
    if not may_go_elsewhere(spec):
        return failed
    return replace(failed, data={**failed.data, "onExceeded": ELSEWHERE})
