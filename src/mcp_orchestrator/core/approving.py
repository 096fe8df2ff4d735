"""Approvals as questions: exactly what would be done, for a person; bound to it by a digest; and what was answered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.core.policy_terms import OPERATOR
from mcp_orchestrator.core.translate.permissions import FIELD
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.rules import Approval, Scope

GROUP: Final = "group:"
LARGEST: Final = 256 * 1024
"""Characters of arguments that can be shown. What cannot be shown whole cannot be agreed to."""

DENY: Final = "deny"
ALLOW: Final = "allow"
_SCOPES: Final[Mapping[Scope, str]] = {
    Scope.ONCE: "this one call",
    Scope.RUN: "this call, and the same call again for as long as the run goes on",
    Scope.CONTEXT: "this call, and the same call again in this context",
}


@dataclass(frozen=True, slots=True)
class Case:
    """What somebody must agree to. `run` is the run itself, `within` the one that it is part of (a delegation's, or it).

    `doing` says what it is (`call`, `read`, `delegate`), `name` is the dotted name, `arguments` are what is sent.
    `policy` is the digest of the configuration whose rules ask.
    """

    run: str
    principal: Principal
    doing: str
    name: str
    server: str
    arguments: Any
    policy: str
    within: str = ""
    context: str = ""
    agent: str = ""

    @property
    def canonical(self) -> str:
        """The arguments as they are hashed and shown: JSON with sorted keys."""
        return json.dumps(self.arguments, sort_keys=True, ensure_ascii=False, separators=(", ", ": "), allow_nan=True)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over all that an agreement is bound to: who, what, with what, by which rules."""
        facts = [self.principal.id, self.doing, self.name, self.server, self.agent, self.canonical, self.policy]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def question_of(case: Case, approval: Approval) -> Question:
    """The form for a person: one field, `decision`."""
    options = {ALLOW: f"Allow {_SCOPES[approval.scope]}", DENY: "Deny it; nothing is done"}
    field: dict[str, Any] = {
        "type": "string",
        "title": "Decision",
        "description": "Whether this may be done",
        "enum": list(options),
        "enumNames": list(options.values()),
    }
    schema = {"type": "object", "properties": {FIELD: field}, "required": [FIELD]}
    who = f"{case.principal.id} (for {case.principal.owner})" if case.principal.owner else case.principal.id
    place = f" ({approval.where})" if approval.where else ""
    lines = [
        f"Approval needed by rule '{approval.rule}'{place}{f': {approval.reason}' if approval.reason else ''}",
        f"{_shown(who)} wants to {case.doing} {_shown(case.name)}",
        *([f"on server: {_shown(case.server)}"] if case.server else []),
        *([f"by agent: {_shown(case.agent)}"] if case.agent else []),
        f"with exactly: {_shown(case.canonical)}",
        f"sha256: {case.digest}",
        "",
        *(f"- {ident}: {allows}" for ident, allows in options.items()),
    ]
    return Question("elicitation/create", {"mode": "form", "message": "\n".join(lines), "requestedSchema": schema})


def agreed(answer: Answer | None) -> bool:
    """Whether an answer is an agreement: only the one option that says so is."""
    result = answer.result if answer is not None else None
    if not isinstance(result, dict) or result.get("action") != "accept":
        return False
    content = result.get("content")
    return isinstance(content, dict) and content.get(FIELD) == ALLOW


def may_approve(who: Principal, approvers: Sequence[str]) -> bool:
    """Whether somebody is among the approvers. An agent never is: a model does not agree in the place of a person."""
    if who.kind == "agent" or who.run:
        return False
    return who.id in approvers or any(f"{GROUP}{group}" in approvers for group in who.groups)


def by_operator(operator: Principal, approvers: Sequence[str]) -> bool:
    """Whether the command line may answer: as the operator, or as the user that it runs as."""
    return OPERATOR in approvers or may_approve(operator, approvers)


def _shown(text: str) -> str:
    """A text as it can be shown without misleading anybody: what cannot be seen is written as an escape."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "backslashreplace").decode() for one in text
    )
