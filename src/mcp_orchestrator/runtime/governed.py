"""A call that is carried out on terms: what must be agreed to, counted and held before it, tries, and what follows.

The one order: approvals -> rate limits -> holds -> lease -> invoke -> settle -> redact and cap results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_orchestrator.model.outcome import Outcome
from mcp_orchestrator.model.plan import Target
from mcp_orchestrator.runtime.paying import paid, too_early
from mcp_orchestrator.runtime.trying import tried

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.run import Run
    from mcp_orchestrator.runtime.supervisor import Supervisor
    from mcp_orchestrator.runtime.surroundings import Surroundings


async def governed(run: Run, engine: Surroundings, supervisor: Supervisor, target: Target) -> Outcome:
    """Carry out a call whose plan has terms, or whose target needs care."""
    terms, purse = run.plan.terms, engine.purse
    if terms is not None and terms.limits and purse is not None:
        early = purse.throttled(terms.limits)
        if early is not None:
            return too_early(early)
    if target.care is None:
        return await paid(run, engine, supervisor, target)
    return await tried(run, engine, supervisor, target)
