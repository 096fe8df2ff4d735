"""What runs use of their budgets: a run pays for what its agent delegates as well. Money is in micro-dollars."""

from __future__ import annotations

from collections.abc import Iterable

from mcp_orchestrator.core.delegating import MICRO
from mcp_orchestrator.runtime.delegation import Delegation


def spent(delegation: Delegation, live: Iterable[Delegation]) -> int:
    """What a run, and all that its agent delegated, used so far; `live` are the delegations that are not over."""
    going_on = list(live)
    below = [one for one in going_on if one.kept.parent == delegation.kept.id]
    return (delegation.total.cost or 0) + delegation.below + sum(spent(one, going_on) for one in below)


def overspent(delegation: Delegation, live: Iterable[Delegation]) -> str:
    """That the budget of a run is spent, in words for a person; "" while it is not, or there is none."""
    limit, cost = delegation.kept.limits.get("cost"), spent(delegation, live)
    if limit is None or cost < limit or not cost:
        return ""
    return f"the budget of this run is spent (${cost / MICRO:.4f} of ${limit / MICRO:.4f})"


def left_of(parent: Delegation, live: Iterable[Delegation]) -> dict[str, float]:
    """What is left of the limits of a run whose agent delegates: what it hands on cannot be more.

    Turns are the agent's own. Time needs no subtraction: what it delegates ends with the run at the latest.
    """
    left = {name: value for name, value in parent.kept.limits.items() if name != "turns"}
    if "cost" in left:
        left["cost"] -= spent(parent, live)
    return left
