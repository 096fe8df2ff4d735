"""The agent that a call of `delegate` would go to, for plans: chosen like that of the real one, with the same reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.delegating import Choice
from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.call import Call
from mcp_orchestrator.model.outcome import ToolRefusal
from mcp_orchestrator.model.plan import Plan
from mcp_orchestrator.runtime.orders import Order

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.delegations import Delegations

DELEGATES: Final = frozenset({"delegate"})


def order_of_call(call: Call) -> Order:
    """A call of `delegate` as an order; what is not of the right type is left out, for others refuse it."""
    arguments = call.params.get("arguments")
    given: Mapping[str, Any] = arguments if isinstance(arguments, Mapping) else {}

    def word(name: str) -> str | None:
        value = given.get(name)
        return value if isinstance(value, str) else None

    labels, budget = given.get("labels"), given.get("budget")
    usd = budget.get("usd") if isinstance(budget, Mapping) else None
    limits = {"cost": round(usd * 1_000_000)} if isinstance(usd, int | float) else {}
    name = (call.client.info or {}).get("name")
    return Order(
        "",
        word("task") or "",
        call.principal,
        call.profile,
        word("agent"),
        [one for one in labels if isinstance(one, str)] if isinstance(labels, list) else (),
        AgentMode.WRITE if given.get("mode") == AgentMode.WRITE.value else AgentMode.READ,
        word("workspace"),
        limits=limits,
        context=word("context"),
        client=name if isinstance(name, str) else "",
    )


def choice_of(delegations: Delegations, call: Call) -> Choice:
    """Which agent a call would go to, by which route."""
    return delegations.choose(delegations.in_place(order_of_call(call)))


def steered(decided: Plan, call: Call, delegations: Delegations) -> Plan:
    """The plan of a call with the choice of the agent, where it delegates; any other as it was."""
    target = decided.target
    if target is None or target.backend != OWN or target.name not in DELEGATES:
        return decided
    choice = choice_of(delegations, call)
    reasons = (*decided.reasons[:2], *choice.reasons, *decided.reasons[2:])
    if choice.agent is None:
        return replace(decided, target=None, refusal=ToolRefusal(choice.refusal), reasons=reasons)
    return replace(decided, reasons=reasons)
