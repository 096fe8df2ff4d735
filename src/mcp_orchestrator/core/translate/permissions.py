"""An agent's request for permission as a form with one choice, and a person's answer to it as one of the options.

The form is what every client can show (MCP 2025-11-25 and 2026-07-28 client/elicitation, single-select enum): one
field, `decision`, whose values are the agent's own option ids and whose titles say what each of them allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.model.conversation import Answer, Question

FIELD: Final = "decision"
MOST_SHOWN: Final = 4000
"""Characters of a command or an edit that are shown; that there is more is said."""

_CUT: Final = "\n... ({} more characters; see the run's events for the whole)"


@dataclass(frozen=True, slots=True)
class Option:
    """One way to answer: the agent's own `id`, and what it allows, in words for a person."""

    id: str
    allows: str


def permission(agent: str, what: str, details: str, options: Sequence[Option]) -> Question:
    """The question of an agent that wants to do something.

    `what` is a phrase (`run a command`), `details` the exact command or edit.
    """
    shown = details if len(details) <= MOST_SHOWN else details[:MOST_SHOWN] + _CUT.format(len(details) - MOST_SHOWN)
    field: dict[str, Any] = {
        "type": "string",
        "title": "Decision",
        "description": "What the agent may do",
        "enum": [option.id for option in options],
        "enumNames": [option.allows for option in options],
    }
    schema = {"type": "object", "properties": {FIELD: field}, "required": [FIELD]}
    lines = [f"{agent} wants to {what}:", shown, "", *(f"- {option.id}: {option.allows}" for option in options)]
    return Question("elicitation/create", {"mode": "form", "message": "\n".join(lines), "requestedSchema": schema})


def decision(answer: Answer, options: Sequence[Option]) -> str | None:
    """The id that was chosen; None for a decline, a cancel, an expiry, or anything that is none of the options."""
    result = answer.result or {}
    content = result.get("content")
    chosen = content.get(FIELD) if result.get("action") == "accept" and isinstance(content, dict) else None
    return chosen if any(option.id == chosen for option in options) else None
