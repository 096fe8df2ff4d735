"""An outcome as the JSON-RPC member its client can read: untouched within an era, translated across.

What changes across eras (MCP 2026-07-28 changelog and basic/index): `resultType` is required in the modern era and
unknown in the legacy one, lists and reads carry `ttlMs` and `cacheScope`, `structuredContent` may be any JSON value
only in the modern era, and "resource not found" is -32602 there, -32002 before.
"""

from __future__ import annotations

from typing import Final, assert_never

import msgspec

from mcp_orchestrator.core.scopes import MISSING_SCOPE
from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.errors import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    PARSE_ERROR,
    RESOURCE_NOT_FOUND,
    UNSUPPORTED_VERSION,
)
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome, ToolRefusal

CACHEABLE: Final = frozenset(
    {
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "server/discover",
    }
)
"""Methods whose modern results carry `ttlMs` and `cacheScope`."""

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MODERN_ONLY: Final = ("resultType", "ttlMs", "cacheScope")
_CLIENT_ERRORS: Final = frozenset(
    {PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS, HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION}
)


def to_client(outcome: Outcome, method: str, client: ClientFace) -> bytes:
    """`"result":{...}` or `"error":{...}`, ready to be spliced into a response envelope."""
    match outcome:
        case Completed():
            if outcome.era is client.era:
                return b'"result":' + outcome.result
            crossed = _to_modern(outcome.result, method) if client.era is Era.MODERN else _to_legacy(outcome.result)
            return b'"result":' + crossed if isinstance(crossed, bytes) else _error(crossed, method, client)
        case Failed():
            return _error(outcome, method, client)
        case ToolRefusal():
            result: dict[str, object] = {"content": [{"type": "text", "text": outcome.text}], "isError": True}
            if client.era is Era.MODERN:
                result["resultType"] = "complete"
            return b'"result":' + encode(result)
        case _:
            assert_never(outcome)


def http_status(outcome: Outcome) -> int:
    """The HTTP status of a modern JSON reply (MCP 2026-07-28 basic/transports, error responses; basic/authorization)."""
    if not isinstance(outcome, Failed):
        return 200
    if outcome.code == METHOD_NOT_FOUND:
        return 404
    if outcome.kind is FailureKind.REFUSED and isinstance(outcome.data, dict) and MISSING_SCOPE in outcome.data:
        return 403
    return 400 if outcome.code in _CLIENT_ERRORS else 200


def _error(failed: Failed, method: str, client: ClientFace) -> bytes:
    code = failed.code
    if code == RESOURCE_NOT_FOUND and client.era is Era.MODERN and method == "resources/read":
        code = INVALID_PARAMS
    body: dict[str, object] = {"code": code, "message": failed.message}
    data = failed.data
    if failed.kind is not FailureKind.BACKEND_ERROR and (data is None or isinstance(data, dict)):
        data = {"kind": failed.kind.value, "retryable": failed.retryable, **(data or {})}
    if data is not None:
        body["data"] = data
    return b'"error":' + encode(body)


def _to_modern(result: bytes, method: str) -> bytes | Failed:
    try:
        fields = _fields.decode(result)
    except ValueError:
        return _unreadable()
    added: dict[str, object] = {}
    if "resultType" not in fields:
        added["resultType"] = "complete"
    if method in CACHEABLE:
        added |= {key: value for key, value in (("ttlMs", 0), ("cacheScope", "private")) if key not in fields}
    return encode({**fields, **added}) if added else result


def _to_legacy(result: bytes) -> bytes | Failed:
    try:
        fields = _fields.decode(result)
    except ValueError:
        return _unreadable()
    kind = fields.get("resultType")
    if kind is not None and bytes(kind) == b'"input_required"':
        text = "the server asks for input in a form that this client's protocol version cannot carry"
        return Failed(FailureKind.BAD_ANSWER, INTERNAL_ERROR, text)
    if kind is not None and bytes(kind) != b'"complete"':
        # MCP 2026-07-28 basic/index, ResultType: what is not known is invalid; without its type it would seem complete.
        text = f"the server's answer is of a kind that this client cannot read: resultType {bytes(kind)[:40].decode(errors='replace')}"
        return Failed(FailureKind.BAD_ANSWER, INTERNAL_ERROR, text)
    kept = {key: value for key, value in fields.items() if key not in _MODERN_ONLY}
    structured = kept.get("structuredContent")
    if structured is not None and not bytes(structured).lstrip().startswith(b"{"):
        # Legacy clients reject anything but an object here: the value goes on as text, which every client reads.
        del kept["structuredContent"]
        if bytes(kept.get("content", msgspec.Raw(b"[]"))).strip() in (b"[]", b""):
            text = bytes(structured).decode("utf-8")
            kept["content"] = msgspec.Raw(encode([{"type": "text", "text": text}]))
    return encode(kept)


def _unreadable() -> Failed:
    return Failed(FailureKind.BAD_ANSWER, INTERNAL_ERROR, "the server's answer is not a JSON object")
