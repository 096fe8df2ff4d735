"""A call that is carried out on terms: what must be agreed to, counted and held before it, tries, and what follows.

The one order: approvals -> rate limits -> holds -> lease -> invoke -> settle -> redact and cap results.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mcp_orchestrator.core.translate.ranges import RANGE
from mcp_orchestrator.core.translate.tasks import without_tasks
from mcp_orchestrator.model.outcome import Outcome
from mcp_orchestrator.model.plan import Target
from mcp_orchestrator.runtime.homeward import cut
from mcp_orchestrator.runtime.paying import paid, too_early
from mcp_orchestrator.runtime.trying import tried

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.run import Run
    from mcp_orchestrator.runtime.supervisor import Supervisor
    from mcp_orchestrator.runtime.surroundings import Surroundings


async def governed(run: Run, engine: Surroundings, supervisor: Supervisor, target: Target) -> Outcome:
    """Carry out a call whose plan has terms, or whose target needs care."""
    terms, policing = run.plan.terms, engine.policing
    if terms is None or policing is None:
        return await _within_means(run, engine, supervisor, target)
    part = run.call if terms.judge is not None and RANGE in run.call.meta else None
    if terms.judge is not None:
        # Results of a server's task would come by another way, and what is cut apart would not be found any more.
        meta = {key: value for key, value in run.call.meta.items() if key != RANGE}
        run.call = replace(without_tasks(run.call), meta=meta)
        run.veil = terms.judge.veil
    if terms.approvals:
        refused = await policing.approved(run, target, terms.approvals)
        if refused is not None:
            return refused
    outcome = policing.judged(run, await _within_means(run, engine, supervisor, target))
    return outcome if part is None else cut(part, outcome)


async def _within_means(run: Run, engine: Surroundings, supervisor: Supervisor, target: Target) -> Outcome:
    """Carry it out within rates and budgets, with as many providers as it takes."""
    terms, purse = run.plan.terms, engine.purse
    if terms is not None and terms.limits and purse is not None:
        early = purse.throttled(terms.limits)
        if early is not None:
            return too_early(early)
    if target.care is None:
        return await paid(run, engine, supervisor, target)
    return await tried(run, engine, supervisor, target)
