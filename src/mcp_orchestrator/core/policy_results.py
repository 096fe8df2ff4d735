"""What rules do to a result before it is handed on: withhold it, or take something out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mcp_orchestrator.core.conditions import Conditions, Fault
from mcp_orchestrator.core.effects import Redactor
from mcp_orchestrator.core.policy_rules import Compiled, Subject, together
from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.plan import Reason
from mcp_orchestrator.model.rules import Effect, Judged, Phase, Redaction

_SPOKEN: Final = frozenset({"message", "data"})


class ResultJudge:
    """Judges the result of one call by these rules; `values` are the variables of the call."""

    def __init__(
        self, rules: Sequence[Compiled], conditions: Conditions, values: Callable[[], dict[str, Any]], subject: Subject
    ) -> None:
        self._rules = rules
        self._conditions = conditions
        self._values = values
        self._subject = subject
        self._keys = together(rule.keys for rule in rules)
        self._redactor: Redactor | None = None

    def __call__(self, result: bytes) -> Judged:
        """The result as the rules hand it on."""
        try:
            decoded = decode(result)
        except (ValueError, RecursionError):
            return self._unreadable()
        spoke, reasons, withheld = list[Redaction](), list[Reason](), False
        circumstances = None
        for rule in self._rules:
            condition = rule.conditions.get(Phase.RESULT)
            found: bool | Fault = True
            if condition is not None:
                if circumstances is None:
                    values = {**self._values(), **_of(decoded, len(result))}
                    circumstances = self._conditions.circumstances(Phase.RESULT, values, self._keys)
                found = condition.judge(circumstances)
            if found is False:
                continue
            withheld = withheld or isinstance(found, Fault) or rule.effect is Effect.DENY
            reasons.append(_reason(rule, found if isinstance(found, Fault) else None))
            if rule.effect is Effect.REDACT and rule.rule.redact is not None:
                spoke.append(rule.rule.redact)
        if withheld:
            return Judged(None, tuple(reasons))
        if not spoke:
            return Judged(result, tuple(reasons))
        try:
            cleared = Redactor(spoke).result(decoded)
        except RecursionError:
            return self._unreadable()
        return Judged(result if cleared == decoded else encode(cleared), tuple(reasons))

    def _unreadable(self) -> Judged:
        text = f"the result of {self._subject.names[0]} is no JSON that rules can look at: it is withheld"
        return Judged(None, (Reason("policy", text, self._rules[0].rule.id, self._rules[0].rule.where),))

    def veil(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is said on the way, with everything taken out that a rule may take out of the result."""
        if self._redactor is None:
            self._redactor = Redactor(rule.rule.redact for rule in self._rules if rule.rule.redact is not None)
        if any(rule.effect is Effect.DENY for rule in self._rules):
            params = {key: "[withheld]" if key in _SPOKEN else value for key, value in params.items()}
        veiled: Mapping[str, Any] = self._redactor.result(dict(params))
        return veiled


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
    return {
        "result.text": "\n".join(_texts(result)).replace("\x00", "\ufffd"),
        "result.is_error": is_error,
        "result.bytes": size,
    }


def _texts(value: Any) -> list[str]:
    """Every text of a result but for what is base64."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, dict):
        return [text for key, one in value.items() if key not in ("data", "blob", "type") for text in _texts(one)]
    return []
