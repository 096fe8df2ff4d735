"""The modern era over HTTP: one POST, one reply, nothing remembered (MCP 2026-07-28 basic/transports).

The hot path of the gateway: the body is parsed once, the result travels as bytes, and a call that is over soon costs
no task of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Final

from mcp_orchestrator.core.translate.outcomes import http_status, to_client
from mcp_orchestrator.core.wire import headers as rules
from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.core.wire.meta import LOG_LEVEL, PROTOCOL_VERSION
from mcp_orchestrator.core.wire.versions import LATEST_MODERN, MODERN_VERSIONS
from mcp_orchestrator.listeners.admission import FORBIDDEN, lacks_scope, scope_headers
from mcp_orchestrator.listeners.calls import to_call
from mcp_orchestrator.listeners.envelopes import Malformed, Notification, Request, Response, read_message
from mcp_orchestrator.listeners.event_stream import EventStream, Headers, Send
from mcp_orchestrator.listeners.http_guard import (
    Exchange,
    Guard,
    HeaderMap,
    Rejection,
    send_empty,
    send_json,
    send_member,
    send_rejection,
)
from mcp_orchestrator.listeners.http_reply import Reply
from mcp_orchestrator.listeners.mcp_eras import (
    NOT_MODERN,
    envelope_of,
    invalid,
    modern_face,
    progress_token,
    unknown_method,
    unsupported_version,
)
from mcp_orchestrator.listeners.mcp_server import (
    LISTS,
    RunPort,
    discover_answer,
    list_answer,
    one_line,
    refusal_response,
)
from mcp_orchestrator.listeners.mcp_subscriptions import Listen, wanted_of
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.errors import HEADER_MISMATCH, INTERNAL_ERROR
from mcp_orchestrator.model.outcome import Failed, FailureKind
from mcp_orchestrator.plugin_api import GatewayDoor, View

_ROUTING: Final = tuple(
    name.encode() for name in (rules.PROTOCOL_VERSION_HEADER, rules.METHOD_HEADER, rules.NAME_HEADER)
)
_VERSION, _METHOD, _NAME = _ROUTING
_PARAM_PREFIX: Final = rules.PARAM_PREFIX.lower().encode()

RawHeaders = Iterable[tuple[bytes, bytes]]


class ModernHttp:
    """Serves modern POSTs of one listener."""

    def __init__(self, gateway: GatewayDoor, guard: Guard, max_streams: int) -> None:
        self._gateway = gateway
        self._guard = guard
        self._max_streams = max_streams
        self._listening: dict[EventStream, Listen] = {}

    def end_streams(self, who: str | None = None) -> None:
        """End every subscription, or those of one principal, gracefully: its result is the last thing on its stream."""
        for stream, listen in list(self._listening.items()):
            if who in (None, listen.who):
                listen.close()
                stream.end(listen.result())

    async def serve(self, view: View, exchange: Exchange) -> None:
        """Answer one HTTP request that names a modern (or unknown) protocol version."""
        send = exchange.send
        if exchange.method != "POST":
            text = "this protocol version knows only POST"
            return await send_rejection(send, Rejection(405, text, ((b"allow", b"POST"),)))
        if self._guard.accepts(exchange.headers) != (True, True):
            text = "the client must accept application/json and text/event-stream"
            return await send_rejection(send, Rejection(406, text))
        value = await self._guard.read_json(exchange)
        if isinstance(value, Rejection):
            return await send_rejection(send, value)
        message = read_message(value)
        if isinstance(message, Request):
            return await self._request(message, view, exchange)
        return await self._no_request(message, exchange)

    async def _no_request(self, message: Notification | Response | Malformed, exchange: Exchange) -> None:
        """A notification is taken and means nothing here: this era defines none from client to server over HTTP."""
        send = exchange.send
        if isinstance(message, Notification):
            version = _text(exchange.headers, _VERSION) or ""
            if version in MODERN_VERSIONS:
                return await send_empty(send, 202)
            failed = unsupported_version(version)
            return await send_member(send, 400, b"null", to_client(failed, message.method, _NOBODY))
        if isinstance(message, Malformed):
            return await send_json(send, 400, refusal_response(message))
        return await send_rejection(send, Rejection(400, "clients of this protocol version send no responses"))

    async def _request(  # noqa: PLR0911 - a table of methods, one line each
        self, request: Request, view: View, exchange: Exchange
    ) -> None:
        send = exchange.send
        face = check_request(request, exchange.raw, exchange.headers)
        if isinstance(face, Failed):
            return await _refuse(send, request, face)
        method = request.method
        if method in NOT_MODERN or method.startswith("notifications/"):
            return await _refuse(send, request, unknown_method(method))
        if method == "tools/call":
            mismatch = self._check_param_headers(request, view, exchange.raw)
            if mismatch is not None:
                return await _refuse(send, request, mismatch)
            return await self._call(request, face, view, exchange)
        if method == "subscriptions/listen":
            return await self._listen(request, face, view, exchange)
        kind = LISTS.get(method)
        if kind is not None:
            answer = await list_answer(self._gateway, view, kind, request.params, face)
        elif method == "server/discover":
            answer = await discover_answer(self._gateway, view)
        else:
            return await self._call(request, face, view, exchange)
        if isinstance(answer, Failed):
            return await _refuse(send, request, answer)
        return await send_member(send, 200, encode(request.id), b'"result":' + answer)

    def _check_param_headers(self, request: Request, view: View, raw: RawHeaders) -> Failed | None:
        name = request.params.get("name")
        if type(name) is not str:
            return None  # said more precisely when the call is made of it
        schema = self._gateway.header_schema(view, name)
        if schema is None:
            return None
        arguments = request.params.get("arguments")
        sent = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in raw if key.startswith(_PARAM_PREFIX)]
        problem = rules.validate_param_headers(schema, arguments if type(arguments) is dict else {}, sent)
        return None if problem is None else invalid(problem, HEADER_MISMATCH)

    async def _call(self, request: Request, face: ClientFace, view: View, exchange: Exchange) -> None:
        params = request.params
        token = progress_token(params)
        level = params["_meta"].get(LOG_LEVEL)
        call = to_call(request.method, params, face, view.principal, profile=view.profile, log_level=level)
        if isinstance(call, Failed):
            return await _refuse(exchange.send, request, call)
        reply = Reply(exchange.receive, exchange.send)
        handle = self._gateway.start(call, RunPort(reply, token, level, None))
        reply.on_leaving(lambda: handle.cancel("client disconnected"))
        try:
            outcome = await handle.outcome()
            if reply.streaming:
                outcome = one_line(outcome)
            status = http_status(outcome)
            headers: Headers = ()
            if status == FORBIDDEN:
                headers = scope_headers(lacks_scope(outcome))
            await reply.finish(status, request.id, to_client(outcome, request.method, face), headers)
        except asyncio.CancelledError:
            handle.cancel("the listener closes")
            reply.drop()
            raise

    async def _listen(self, request: Request, face: ClientFace, view: View, exchange: Exchange) -> None:
        send = exchange.send
        wanted = wanted_of(request)
        if isinstance(wanted, Failed):
            return await _refuse(send, request, wanted)
        if len(self._listening) >= self._max_streams:
            text = f"{self._max_streams} subscriptions are open already"
            return await _refuse(send, request, Failed(FailureKind.OVERLOADED, INTERNAL_ERROR, text, retryable=True))
        stream = EventStream(send)
        listen = Listen(request.id, wanted, stream, self._gateway)

        def overflowed() -> None:
            # The client stopped reading; it will listen again and fetch anew, so nothing is lost that was not already.
            self._listening.pop(stream, None)
            listen.close()
            stream.end(listen.result())

        stream.overflowed = overflowed
        self._listening[stream] = listen
        exchange.leaving = partial(self._left, stream, listen)
        listen.begin(view, face)
        return None

    def _left(self, stream: EventStream, listen: Listen) -> None:
        self._listening.pop(stream, None)
        listen.close()
        stream.abandon()


_NOBODY: Final = ClientFace(Era.MODERN, LATEST_MODERN)


def check_request(request: Request, raw: list[tuple[bytes, bytes]], headers: HeaderMap) -> ClientFace | Failed:
    """The ladder of a modern request; the first rung that breaks is what the client is told.

    Envelope complete, else -32602; headers agree with the body and none of them comes twice, else -32020; version
    served, else -32022; envelope well-formed, else -32602. Whether the method exists is not asked here.
    """
    if len(headers) != len(raw):
        names = [name for name, _ in raw]
        for name in _ROUTING:
            if names.count(name) > 1:
                return invalid(f"{name.decode()} header appears more than once", HEADER_MISMATCH)
    meta = envelope_of(request.params)
    if isinstance(meta, Failed):
        return meta
    if _text(headers, _VERSION) != meta[PROTOCOL_VERSION]:
        return invalid("MCP-Protocol-Version header does not match the protocol version in _meta", HEADER_MISMATCH)
    method = request.method
    if _text(headers, _METHOD) != method:
        return invalid("Mcp-Method header does not match the method of the body", HEADER_MISMATCH)
    key = rules.NAME_BEARING.get(method)
    if key is not None:
        value = request.params.get(key)
        if value is not None and rules.decode_header_value(_text(headers, _NAME)) != value:
            return invalid(f"Mcp-Name header does not match params.{key} of the body", HEADER_MISMATCH)
    return modern_face(meta)


def _text(headers: HeaderMap, name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1").strip(" \t")


async def _refuse(send: Send, request: Request, failed: Failed) -> None:
    await send_member(send, http_status(failed), encode(request.id), to_client(failed, request.method, _NOBODY))
