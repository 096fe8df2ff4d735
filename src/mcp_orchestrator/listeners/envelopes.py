"""One decoded JSON-RPC message told apart: request, notification, response, or what is wrong with it.

JSON-RPC 2.0 section 4; MCP 2025-11-25 and 2026-07-28 basic/index (ids are strings or integers and never null, `params`
is an object). Unknown members of the envelope are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.core.wire.jsonrpc import RequestId
from mcp_orchestrator.model.errors import INVALID_PARAMS, INVALID_REQUEST


@dataclass(slots=True)
class Request:
    """A message that is owed an answer. `params` is {} where the member is absent."""

    id: RequestId
    method: str
    params: dict[str, Any]


@dataclass(slots=True)
class Notification:
    """A message without an id: nobody answers it."""

    method: str
    params: dict[str, Any]


@dataclass(slots=True)
class Response:
    """The peer's answer to a request of ours; exactly one of `result` and `error` is not None."""

    id: RequestId
    result: dict[str, Any] | None
    error: dict[str, Any] | None


@dataclass(slots=True)
class Malformed:
    """What is wrong, as JSON-RPC error fields; `id` is None where none could be read."""

    id: RequestId | None
    code: int
    text: str


Message = Request | Notification | Response | Malformed

NOT_A_MESSAGE: Final = "the message must be one JSON-RPC 2.0 request or notification object"


def is_request_id(value: Any) -> bool:
    """Whether `value` may identify a request: a string or an integer (a boolean is neither)."""
    kind = type(value)
    return kind is int or kind is str


def read_message(value: Any) -> Message:  # noqa: PLR0911 - a ladder: each rung ends in its own answer
    """Tell apart what was decoded; total over all JSON values."""
    if type(value) is not dict:
        return Malformed(None, INVALID_REQUEST, NOT_A_MESSAGE)
    message_id = value.get("id")
    known_id = message_id if is_request_id(message_id) else None
    if value.get("jsonrpc") != "2.0":
        return Malformed(known_id, INVALID_REQUEST, 'jsonrpc must be "2.0"')
    if "method" not in value:
        return _read_response(value, known_id)
    method = value["method"]
    if type(method) is not str:
        return Malformed(known_id, INVALID_REQUEST, "method must be a string")
    if "id" in value and known_id is None:
        return Malformed(None, INVALID_REQUEST, "id must be a string or an integer")
    params = value.get("params")
    if params is None:
        params = {}
    elif type(params) is not dict:
        return Malformed(known_id, INVALID_PARAMS, "params must be an object")
    return Notification(method, params) if known_id is None else Request(known_id, method, params)


def _read_response(value: dict[str, Any], known_id: RequestId | None) -> Message:
    result, error = value.get("result"), value.get("error")
    if known_id is None or (result is None) is (error is None):
        return Malformed(None, INVALID_REQUEST, NOT_A_MESSAGE)
    if not isinstance(result, dict | None) or not isinstance(error, dict | None):
        return Malformed(None, INVALID_REQUEST, "result and error must be objects")
    return Response(known_id, result, error)
