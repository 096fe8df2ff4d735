"""What an HTTP request must look like before anyone reads its meaning: host, origin, accept, content type, size.

The host check keeps web pages from reaching a local gateway by DNS rebinding; the origin check keeps them from
calling it across sites (MCP 2025-11-25 and 2026-07-28 basic/transports, security).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from mcp_orchestrator.core.wire.jsonrpc import decode, error_bytes
from mcp_orchestrator.listeners.event_stream import Headers, Message, Receive, Send
from mcp_orchestrator.model.errors import INVALID_REQUEST, PARSE_ERROR
from mcp_orchestrator.model.snapshot import HttpSpec

HeaderMap = Mapping[bytes, bytes]
"""Lower-case header names to values; of repeated ones the last."""

BODY_SECONDS: Final = 60.0
"""How long a client may take to send one body."""

_JSON: Final = (b"content-type", b"application/json")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_WILDCARDS: Final = frozenset({"", "0.0.0.0", "::", "[::]"})  # noqa: S104 - compared with, not bound to
_REMEMBERED: Final = 256
_CHUNK: Final = 64 * 1024
_TOKENS: Final = re.compile(rb"[A-Za-z0-9\-_, ]{1,1000}")
_EXPOSED: Final = b"mcp-session-id, mcp-protocol-version, www-authenticate"
_SENDABLE: Final = (
    b"content-type, accept, authorization, last-event-id, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name"
)


@dataclass(frozen=True, slots=True)
class Rejection:
    """An HTTP-level refusal: status, a sentence that says what to change, extra headers."""

    status: int
    text: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    code: int = INVALID_REQUEST


@dataclass(slots=True)
class Exchange:
    """One HTTP request and the way to answer it. `raw` are the headers in order, `headers` the same for look-ups.

    Whoever answers with a long stream sets `leaving` and returns: it is called once the client is gone. An open
    stream then holds no more than its connection, which matters when there are thousands.
    """

    method: str
    raw: list[tuple[bytes, bytes]]
    headers: HeaderMap
    receive: Receive
    send: Send
    leaving: Callable[[], None] | None = None


class Guard:
    """The checks of one listener. Verdicts on `Host`, `Origin` and `Accept` are remembered (bounded)."""

    def __init__(self, spec: HttpSpec) -> None:
        names = {name.lower() for name in spec.allowed_hosts}
        if spec.host not in _WILDCARDS:
            names.add(f"[{spec.host}]" if ":" in spec.host else spec.host.lower())
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._hosts = frozenset(names) | _LOOPBACK
        self._origins = frozenset(origin.lower().rstrip("/") for origin in spec.allowed_origins)
        self._limit = spec.max_body_bytes
        self._digits = len(str(self._limit)) + 8
        self._good_hosts: set[bytes] = set()
        self._accepts: dict[bytes, tuple[bool, bool]] = {}

    def check(self, headers: HeaderMap) -> Rejection | None:
        """Host and origin of any request."""
        host = headers.get(b"host", b"")
        if host not in self._good_hosts:
            if not self._host_allowed(host.decode("latin-1").strip().lower()):
                shown = host.decode("latin-1")[:100]
                return Rejection(421, f"host {shown!r} is not served here; add it to listeners.http.allowedHosts")
            if len(self._good_hosts) < _REMEMBERED:
                self._good_hosts.add(host)
        origin = headers.get(b"origin")
        if origin is not None and not self._origin_allowed(origin.decode("latin-1").strip().lower()):
            shown = origin.decode("latin-1")[:100]
            return Rejection(403, f"origin {shown!r} may not call; add it to listeners.http.allowedOrigins")
        return None

    def _host_allowed(self, host: str) -> bool:
        if host in self._hosts:
            return True
        name = _without_port(host)
        if name in self._hosts:
            return True
        return any(name.endswith(suffix) and len(name) > len(suffix) for suffix in self._suffixes)

    def _origin_allowed(self, origin: str) -> bool:
        if origin in self._origins or "*" in self._origins:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and not parts.path and _without_port(parts.netloc) in _LOOPBACK

    def accepts(self, headers: HeaderMap) -> tuple[bool, bool]:
        """Whether the client reads JSON and event streams (RFC 9110 section 12.5.1; weights are ignored)."""
        value = headers.get(b"accept", b"")
        known = self._accepts.get(value)
        if known is None:
            kinds = {part.partition(b";")[0].strip() for part in value.lower().split(b",")}
            known = (
                not kinds.isdisjoint((b"*/*", b"application/*", b"application/json")),
                not kinds.isdisjoint((b"*/*", b"text/*", b"text/event-stream")),
            )
            if len(self._accepts) < _REMEMBERED:
                self._accepts[value] = known
        return known

    def wants_events(self, headers: HeaderMap) -> bool:
        """Whether the client names event streams among what it reads: a mere `*/*` is answered in plain JSON."""
        value = headers.get(b"accept", b"")
        return b"text/event-stream" in value or b"text/event-stream" in value.lower()

    async def read_json(self, exchange: Exchange) -> Any:
        """The decoded body, or a `Rejection`."""
        body = await self._read_body(exchange)
        if isinstance(body, Rejection):
            return body
        try:
            return decode(body)
        except ValueError as error:
            return Rejection(400, f"Parse error: {error}", code=PARSE_ERROR)

    async def _read_body(self, exchange: Exchange) -> bytes | Rejection:
        headers, receive = exchange.headers, exchange.receive
        kind = headers.get(b"content-type", b"")
        if kind != b"application/json" and kind.partition(b";")[0].strip().lower() != b"application/json":
            return Rejection(415, "the content type must be application/json")
        length = headers.get(b"content-length")
        # llhttp lets only digits through, and the comparison of lengths keeps absurd ones from being converted.
        if length is not None and (len(length) > self._digits or int(length) > self._limit):
            return self._too_large()
        message = await receive()
        if message["type"] != "http.request":
            return _LEFT
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            return body if len(body) <= self._limit else self._too_large()
        try:
            return await asyncio.wait_for(self._rest(body, receive), BODY_SECONDS)
        except TimeoutError:
            return Rejection(408, f"the body did not arrive within {BODY_SECONDS:g} s", _CLOSE)

    async def _rest(self, first: bytes, receive: Receive) -> bytes | Rejection:
        parts, size = [first], len(first)
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return _LEFT
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self._limit:
                return self._too_large()
            parts.append(part)
            more = message.get("more_body", False)
        return b"".join(parts)

    def _too_large(self) -> Rejection:
        # The connection is closed, so that nobody has to read the rest.
        return Rejection(413, f"the body is larger than {self._limit} bytes (listeners.http.maxBodyBytes)", _CLOSE)


_CLOSE: Final = ((b"connection", b"close"),)
_LEFT: Final = Rejection(400, "the client left before the body was complete", _CLOSE)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.partition(":")[0]


def with_cors(send: Send, origin: bytes) -> Send:
    """The same `send`, letting pages of `origin` (already allowed) read the answer."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [
                *message.get("headers", ()),
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", _EXPOSED),
                (b"vary", b"origin"),
            ]
            message = {**message, "headers": headers}
        await send(message)

    return sending


def preflight_headers(headers: HeaderMap) -> tuple[tuple[bytes, bytes], ...]:
    """The answer to a preflight of an allowed origin (Fetch standard, CORS preflight)."""
    asked = headers.get(b"access-control-request-headers", b"")
    allowed = _SENDABLE + b", " + asked if _TOKENS.fullmatch(asked) else _SENDABLE
    return (
        (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
        (b"access-control-allow-headers", allowed),
        (b"access-control-max-age", b"600"),
    )


async def send_json(send: Send, status: int, body: bytes, headers: Headers = ()) -> None:
    """One JSON reply in two sends."""
    head = [_JSON, (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def send_member(send: Send, status: int, encoded_id: bytes, member: bytes, headers: Headers = ()) -> None:
    """A JSON-RPC response around `member`; a large one is handed on in parts rather than copied."""
    if len(member) < _CHUNK:
        await send_json(send, status, b'{"jsonrpc":"2.0","id":%b,%b}' % (encoded_id, member), headers)
        return
    opening = b'{"jsonrpc":"2.0","id":%b,' % encoded_id
    head = [_JSON, (b"content-length", b"%d" % (len(opening) + len(member) + 1)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": opening, "more_body": True})
    await send({"type": "http.response.body", "body": member, "more_body": True})
    await send({"type": "http.response.body", "body": b"}"})


async def send_empty(send: Send, status: int, headers: Headers = ()) -> None:
    """A reply without a body."""
    head = [*headers] if status == 204 else [(b"content-length", b"0"), *headers]  # noqa: PLR2004 - 204 has no length
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b""})


async def send_rejection(send: Send, rejection: Rejection) -> None:
    """A refusal, in the JSON-RPC form that MCP clients read; there is no request id to name."""
    await send_json(send, rejection.status, error_bytes(None, rejection.code, rejection.text), rejection.headers)
