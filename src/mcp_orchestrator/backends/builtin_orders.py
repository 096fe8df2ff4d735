"""A call of `delegate` as an order of work for agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.call import Invocation
from mcp_orchestrator.runtime.orders import Order


def ordered(invocation: Invocation, arguments: Mapping[str, Any], task: str) -> Order:
    """The order of a call whose arguments fit the schema of the tool; those that are null are left out."""
    budget = arguments.get("budget") or {}
    limits: dict[str, float] = {}
    if "usd" in budget:
        limits["cost"] = round(budget["usd"] * 1_000_000)
    if "turns" in budget:
        limits["turns"] = budget["turns"]
    if "minutes" in budget:
        limits["seconds"] = budget["minutes"] * 60
    return Order(
        run=invocation.run,
        task=task,
        owner=invocation.principal,
        profile=invocation.profile,
        agent=arguments.get("agent"),
        labels=tuple(arguments.get("labels") or ()),
        mode=AgentMode(arguments.get("mode") or AgentMode.READ),
        workspace=arguments.get("workspace"),
        schema=arguments.get("outputSchema"),
        limits=limits,
        context=arguments.get("context"),
        trace=invocation.trace,
        client=str((invocation.client.info or {}).get("name") or ""),
    )
