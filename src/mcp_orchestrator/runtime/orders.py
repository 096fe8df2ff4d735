"""Orders of work for agents: what somebody wants done, where it may be done, and within which limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.core.delegating import Choice
from mcp_orchestrator.model.agent import AgentMode, AgentSpec
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.delegation import Delegated

COMPARE: Final = "compare"
"""What stands in the place of an agent's kind, of a run that compares several."""


class DelegationError(ValueError):
    """A delegation that is not begun; the text says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants done. `limits`: `turns`, `seconds`, `cost` (micro-dollars). `without`: agents too dear for it.

    `client` is the client's own name for itself.
    """

    run: str
    task: str
    owner: Principal
    profile: str | None = None
    agent: str | None = None
    labels: Sequence[str] = ()
    mode: AgentMode = AgentMode.READ
    workspace: str | None = None
    schema: Mapping[str, Any] | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    context: str | None = None
    trace: str = ""
    without: tuple[str, ...] = ()
    client: str = ""


def check_place(given: str, roots: Sequence[Path]) -> None:
    """Raise DelegationError unless a workspace is a directory under one of the roots, links resolved."""
    path = Path(given)
    if not path.is_absolute():
        raise DelegationError(f"workspace: {given!r} is not absolute")
    try:
        real = path.resolve()
        there = real.is_dir()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL byte, a loop of links
        raise DelegationError(f"workspace: {given!r} is no path: {error}") from error
    if not there:
        raise DelegationError(f"workspace: there is no directory {given!r} on the gateway's machine")
    resolved = [root.resolve() for root in roots]
    if not any(real == root or root in real.parents for root in resolved):
        shown = ", ".join(str(root) for root in resolved) or "none"
        raise DelegationError(f"workspace: {given!r} is outside of the allowed directories ({shown}; delegation.roots)")


def limits_of(spec: AgentSpec, *asked: Mapping[str, float]) -> dict[str, float]:
    """The least of what the agent's definition, the caller and the caller's own limits allow."""
    own = {"seconds": spec.timeout, "turns": spec.max_turns, "cost": spec.max_cost}
    limits: dict[str, float] = {name: value for name, value in own.items() if value is not None}
    for more in asked:
        limits |= {name: min(value, limits.get(name, value)) for name, value in more.items()}
    return limits


def recorded(
    order: Order, choice: Choice, left: Mapping[str, float], now: float, chosen: Sequence[str] = ()
) -> Delegated:
    """An order as it is put on record, with the agent that was chosen for it.

    `left` are the limits of the run on whose behalf it is; `chosen` the agents that are to be compared, if any.
    """
    spec, who, route = choice.agent, order.owner, choice.route
    if spec is None:
        raise DelegationError(choice.refusal)
    asked = dict(order.limits)
    for name, value in left.items():
        asked[name] = min(value, asked.get(name, value))
    verify = route.verify if route is not None else None
    return Delegated(
        id=order.run,
        agent="+".join(chosen) or spec.name,
        kind=COMPARE if chosen else spec.kind.value,
        task=order.task,
        mode=order.mode,
        owner=who.id,
        profile=order.profile,
        parent=who.run or None,
        depth=who.depth + 1,
        context=order.context,
        trace=order.trace,
        origin=order.workspace,
        schema=verify.schema if order.schema is None and verify is not None else order.schema,
        limits=asked if chosen else limits_of(spec, asked),
        decision=tuple(asdict(reason) for reason in choice.reasons),
        created=now,
        updated=now,
        groups=who.groups,
        team=who.team,
        scopes=who.scopes,
        behalf=who.owner or who.id,
        lineage=who.lineage,
        route=route.id if route is not None else "",
        named=order.agent is not None,
        labels=tuple(order.labels),
        client=order.client,
        asked_limits=asked,
    )


def order_of(kept: Delegated) -> Order:
    """The order that a run was made from, as far as others may have it."""
    owner = Principal(
        kept.owner,
        "agent" if kept.parent is not None and kept.owner.startswith("agent:") else "local",
        run=kept.parent if kept.parent is not None and kept.owner.startswith("agent:") else "",
        depth=kept.depth - 1,
        trace=kept.trace,
        groups=kept.groups,
        team=kept.team,
        scopes=kept.scopes,
        owner=kept.behalf if kept.behalf != kept.owner else "",
        lineage=kept.lineage,
    )
    return Order(
        kept.id,
        kept.task,
        owner,
        kept.profile,
        labels=kept.labels,
        mode=kept.mode,
        workspace=kept.origin,
        schema=kept.schema,
        limits=kept.asked_limits,
        context=kept.context,
        trace=kept.trace,
        client=kept.client,
    )
