"""Orders of work for agents: what somebody wants done, where it may be done, and within which limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_orchestrator.model.agent import AgentMode, AgentSpec
from mcp_orchestrator.model.call import Principal


class DelegationError(ValueError):
    """A delegation that is not begun; the text says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants done. `limits`: `turns`, `seconds`, `cost` (micro-dollars)."""

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
