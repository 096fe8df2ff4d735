"""JSON-RPC 2.0 envelopes: parsed once, with the payload left as bytes (JSON-RPC 2.0 sections 4 and 5).

`msgspec` refuses NaN, infinities, lone surrogates and malformed UTF-8, keeps integers of any size exactly, and takes
the last of duplicate keys; what is forwarded is encoded anew from what was checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

RequestId = int | str
"""A JSON-RPC id. Fractions and null are refused, as MCP does (basic/index, requests)."""

ABSENT: Final = msgspec.Raw(b"")


class Envelope(msgspec.Struct):
    """One incoming message of a duplex stream: which fields are present tells its kind.

    `params`, `result`, `error` are raw JSON, empty when absent. A message is a request (`method` and `id`), a
    notification (`method` only) or a response (`id` and one of `result`, `error`).
    """

    jsonrpc: str = ""
    id: int | str | float | None = None
    method: str | None = None
    params: msgspec.Raw = ABSENT
    result: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


NULL: Final = msgspec.Raw(b"null")
"""A null that was written, where None stands for a member that is absent."""


class ErrorBody(msgspec.Struct):
    """The `error` member of a response. `data` is None where it is absent, and `NULL` where it is null."""

    code: int | float = 0
    message: str = ""
    data: Any = msgspec.UNSET


_envelope: Final = msgspec.json.Decoder(Envelope)
_error: Final = msgspec.json.Decoder(ErrorBody)
_any: Final = msgspec.json.Decoder()
_encoder: Final = msgspec.json.Encoder()


def decode(data: bytes | bytearray | memoryview | msgspec.Raw) -> Any:
    """Parse JSON into plain Python.

    Raises:
        ValueError: malformed JSON (`msgspec.DecodeError`), a number out of range, or nesting too deep.
    """
    try:
        return _any.decode(data)
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error


def encode(value: Any) -> bytes:
    """Encode plain Python (raw fragments allowed) as compact JSON.

    Raises:
        ValueError: a string cannot be encoded as UTF-8, or nesting is too deep.
    """
    try:
        return _encoder.encode(value)
    except (RecursionError, TypeError) as error:
        raise ValueError(f"not encodable as JSON: {error}") from error


def open_envelope(data: bytes | bytearray) -> Envelope:
    """Parse one message, payloads left raw.

    Raises:
        ValueError: not JSON, not an object, or a member of the wrong type.
    """
    try:
        return _envelope.decode(data)
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error


def open_error(raw: msgspec.Raw | bytes) -> ErrorBody:
    """Parse the `error` member; a malformed one reads as code 0 with the text as message."""
    try:
        body = _error.decode(raw)
    except ValueError:
        body = ErrorBody(code=0, message=bytes(raw)[:200].decode("utf-8", "replace"))
    body.data = None if body.data is msgspec.UNSET else NULL if body.data is None else body.data
    return body


def request_bytes(request_id: RequestId, method: str, params: Mapping[str, Any] | None) -> bytes:
    """A request. `params` None leaves the member out."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id, "method": method}
    if params is not None:
        message["params"] = params
    return encode(message)


def notification_bytes(method: str, params: Mapping[str, Any] | None) -> bytes:
    """A notification. `params` None leaves the member out."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        message["params"] = params
    return encode(message)


def result_bytes(request_id: RequestId, result: bytes) -> bytes:
    """A response around an already encoded result object."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (encode(request_id), result)


def error_bytes(request_id: RequestId | None, code: int, message: str, data: Any = None) -> bytes:
    """An error response; `data` None leaves the member out; `request_id` None is written as null."""
    body: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        body["data"] = data
    return encode({"jsonrpc": "2.0", "id": request_id, "error": body})
