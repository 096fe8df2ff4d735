"""What passes between a run and whoever listens to it: questions, answers, progress, log lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

ACTIONS: Final = ("accept", "decline", "cancel")
"""What somebody who is elicited does (MCP 2025-11-25 and 2026-07-28 client/elicitation, response actions)."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something a run needs from someone, in the form the backend asked it.

    `method` is `elicitation/create`, `sampling/createMessage` or `roots/list`; `params` the raw wire object.
    """

    method: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to a question: the raw result object, or a JSON-RPC error (`code`, `message`).

    `by` tells the journal who gave it: `client`, `cli`, `gateway` (nobody can be asked) or `time` (nobody did in time).
    """

    result: dict[str, Any] | None = None
    code: int = 0
    message: str = ""
    by: str = "client"
