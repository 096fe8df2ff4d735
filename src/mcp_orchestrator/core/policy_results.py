"""What rules do to a result before it is handed on: withhold it, or take something out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.core.conditions import Conditions, Fault
from mcp_orchestrator.core.effects import Redactor
from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.plan import Reason
from mcp_orchestrator.model.rules import Effect, Judged, Phase

if TYPE_CHECKING:
    from mcp_orchestrator.core.policy_rules import Compiled, Subject


def judge_of(
    rules: Sequence[Compiled], conditions: Conditions, values: Callable[[], dict[str, Any]], subject: Subject
) -> Callable[[bytes], Judged]:
    """What these rules do to the result of one call; `values` are the variables of the call."""

    def judge(result: bytes) -> Judged:
        try:
            decoded = decode(result)
        except (ValueError, RecursionError):
            text = f"the result of {subject.names[0]} is no JSON that rules can look at: it is withheld"
            return Judged(None, (Reason("policy", text, rules[0].rule.id, rules[0].rule.where),))
        spoke, reasons, withheld = [], list[Reason](), False
        circumstances = None
        for rule in rules:
            condition = rule.conditions.get(Phase.RESULT)
            found: bool | Fault = True
            if condition is not None:
                circumstances = circumstances or conditions.circumstances(
                    Phase.RESULT, {**values(), **_of(decoded, len(result))}
                )
                found = condition.judge(circumstances)
            if found is False:
                continue
            failed = isinstance(found, Fault)
            withheld = withheld or failed or rule.effect is Effect.DENY
            reasons.append(_reason(rule, found if isinstance(found, Fault) else None))
            if rule.effect is Effect.REDACT and rule.rule.redact is not None:
                spoke.append(rule.rule.redact)
        if withheld:
            return Judged(None, tuple(reasons))
        if not spoke:
            return Judged(result, tuple(reasons))
        cleared = Redactor(spoke).result(decoded)
        return Judged(result if cleared == decoded else encode(cleared), tuple(reasons))

    return judge


def _reason(rule: Compiled, fault: Fault | None) -> Reason:
    if fault is not None:
        text = f"rule '{rule.rule.id}' cannot be decided for the result: {fault.text}; the result is withheld"
    elif rule.effect is Effect.DENY:
        why = f": {rule.rule.reason}" if rule.rule.reason else ""
        text = f"rule '{rule.rule.id}' withholds the result{why}"
    else:
        text = f"rule '{rule.rule.id}' looks through the result"
    return Reason("policy", text, rule.rule.id, rule.rule.where)


def _of(result: Any, size: int) -> dict[str, Any]:
    is_error = isinstance(result, dict) and result.get("isError") is True
    return {"result.text": "\n".join(_texts(result)), "result.is_error": is_error, "result.bytes": size}


def _texts(value: Any) -> list[str]:
    """Every text of a result but for what is base64."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, dict):
        return [text for key, one in value.items() if key not in ("data", "blob", "type") for text in _texts(one)]
    return []
