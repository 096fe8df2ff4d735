"""Questions of a backend when nobody can be asked, and the modern form of several questions at once.

MCP 2025-11-25 client/elicitation, client/sampling, client/roots; MCP 2026-07-28 input_required results.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mcp_orchestrator.core.wire.jsonrpc import decode
from mcp_orchestrator.model.conversation import Answer, Question

NOBODY = -1
"""The code with which a client says that its user declined a sampling request (MCP client/sampling, errors)."""


def declined(question: Question) -> Answer:
    """A well-formed refusal: elicitation is declined, there are no roots, and sampling is refused as by a user."""
    match question.method:
        case "elicitation/create":
            return Answer({"action": "decline"})
        case "roots/list":
            return Answer({"roots": []})
        case _:
            return Answer(None, NOBODY, "nobody can be asked for this call")


def asked(result: bytes) -> tuple[dict[str, Question], Any] | None:
    """The questions of an `input_required` result by key, with its `requestState` (None: absent); else None.

    Cheap for every other result: the word is looked for before anything is parsed.
    """
    if b'"input_required"' not in result:
        return None
    try:
        fields = msgspec.json.decode(result, type=dict[str, msgspec.Raw])
    except ValueError:
        return None
    if bytes(fields.get("resultType", b"")) != b'"input_required"':
        return None
    requests = decode(fields.get("inputRequests", msgspec.Raw(b"{}")))
    questions: dict[str, Question] = {}
    for key, request in requests.items() if isinstance(requests, dict) else ():
        if isinstance(request, dict) and isinstance(request.get("method"), str):
            params = request.get("params")
            questions[key] = Question(request["method"], params if isinstance(params, dict) else {})
    state = fields.get("requestState")
    return questions, decode(state) if state is not None else None
