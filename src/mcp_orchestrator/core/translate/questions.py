"""Questions of a backend when nobody can be asked, and the modern form of several questions at once.

MCP 2025-11-25 client/elicitation, client/sampling, client/roots; MCP 2026-07-28 input_required results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.call import ClientFace
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.outcome import Completed

_BEFORE_URLS: Final = frozenset({"2024-11-05", "2025-03-26", "2025-06-18"})

_LOOKED_THROUGH: Final = 256 * 1024
_ENDS: Final = 4096

ELICITATION_COMPLETE: Final = "notifications/elicitation/complete"
"""By which a legacy server says that an address was dealt with (MCP 2025-11-25 client/elicitation)."""

NOBODY = -1
"""The code with which a client says that its user declined a sampling request (MCP client/sampling, errors)."""


def declined(question: Question) -> Answer:
    """A well-formed refusal: elicitation is declined, there are no roots, and sampling is refused as by a user."""
    match question.method:
        case "elicitation/create":
            return Answer({"action": "decline"}, by="gateway")
        case "roots/list":
            return Answer({"roots": []}, by="gateway")
        case _:
            return Answer(None, NOBODY, "nobody can be asked for this call", by="gateway")


def expired(question: Question) -> Answer:
    """What the backend hears when nobody answered in time: an elicitation counts as dismissed."""
    match question.method:
        case "elicitation/create":
            answer = Answer({"action": "cancel"})
        case "roots/list":
            answer = declined(question)
        case _:
            answer = Answer(None, NOBODY, "nobody answered in time")
    return replace(answer, by="time")


def refused_shape(question: Question, response: Any) -> str:
    """What is wrong with a client's response to a question, or "" (the server judges the contents itself)."""
    if not isinstance(response, dict):
        return "must be an object"
    match question.method:
        case "elicitation/create":
            if response.get("action") not in {"accept", "decline", "cancel"}:
                return "action must be accept, decline or cancel"
            content = response.get("content")
            return "" if content is None or isinstance(content, dict) else "content must be an object"
        case "roots/list":
            return "" if isinstance(response.get("roots"), list) else "roots must be an array"
        case "sampling/createMessage":
            known = "role" in response and "content" in response
            return "" if known else "must be a sampling result with role and content"
        case _:
            return ""


def with_state(result: bytes, state: str) -> bytes:
    """An `input_required` result with another `requestState`, everything else untouched."""
    fields = msgspec.json.decode(result, type=dict[str, msgspec.Raw])
    return encode({**fields, "requestState": state})


def may_ask(client: ClientFace, question: Question) -> bool:
    """Whether the client declared that it can answer this (MCP 2025-11-25 and 2026-07-28, client capabilities).

    An empty `elicitation` object means forms only; the URL mode does not exist before 2025-11-25. Sampling with tools
    has an ability of its own.
    """
    match question.method:
        case "elicitation/create":
            declared = client.capabilities.get("elicitation")
            if not isinstance(declared, Mapping):
                return False
            if question.params.get("mode") != "url":
                return "form" in declared or "url" not in declared
            return "url" in declared and client.version not in _BEFORE_URLS
        case "sampling/createMessage":
            declared = client.capabilities.get("sampling")
            with_tools = "tools" in question.params or "toolChoice" in question.params
            return isinstance(declared, Mapping) and (not with_tools or "tools" in declared)
        case "roots/list":
            return isinstance(client.capabilities.get("roots"), Mapping)
        case _:
            return False


def may_ask_back(outcome: Completed) -> bool:
    """Whether a result may be one that asks: looked for in all of a small one, at both ends of a large one.

    One that were missed would only be refused later: the client cannot open a state that we have not sealed.
    """
    result = outcome.result
    if len(result) <= _LOOKED_THROUGH:
        return b'"input_required"' in result
    return b'"input_required"' in result[:_ENDS] or b'"input_required"' in result[-_ENDS:]


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
