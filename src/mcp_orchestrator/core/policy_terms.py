"""What rules ask of a call before it is made: who must agree, and which rates it counts against."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.model.rules import Approval, Limit, PolicyRule, Terms

if TYPE_CHECKING:
    from mcp_orchestrator.core.policy_rules import Subject
    from mcp_orchestrator.core.rulings import Asker

OPERATOR: Final = "operator"
"""The approver at the command line."""


def approval_of(rule: PolicyRule) -> Approval:
    """That somebody must agree."""
    approvers = rule.approvers or (OPERATOR,)
    return Approval(rule.id, rule.where, approvers, rule.scope, rule.expires, rule.reason)


def shown_terms(terms: Terms | None) -> dict[str, Any]:
    """The terms of a plan as plain JSON, for a person: who must agree, which rates count, what is sent instead."""
    if terms is None:
        return {}
    shown: dict[str, Any] = {}
    if terms.approvals:
        shown["approvals"] = [
            {"rule": one.rule, "where": one.where, "approvers": list(one.approvers), "remember": one.scope.value}
            for one in terms.approvals
        ]
    if terms.limits:
        shown["limits"] = [
            {"rule": one.rule, "where": one.where, "count": one.rate.count, "seconds": one.rate.seconds, "for": one.key}
            for one in terms.limits
        ]
    if terms.arguments is not None:
        shown["arguments"] = dict(terms.arguments)
    return shown


def limits_of(rule: PolicyRule, subject: Subject, asker: Asker) -> Iterator[Limit]:
    """The rates that a call counts against: one for each combination of what the rule counts apart."""
    if rule.rate is None:
        return
    values = {
        "principal": (asker.principal.id,),
        "group": asker.principal.groups or ("",),
        "client": (asker.client,),
        "tool": (subject.names[0],),
        "server": (subject.server,),
        "agent": (subject.agent,),
        "context": (asker.context,),
    }
    for chosen in product(*(values[word] for word in rule.rate.per)):
        key = "|".join(f"{word}={value}" for word, value in zip(rule.rate.per, chosen, strict=True))
        yield Limit(rule.id, rule.where, rule.rate, key)
