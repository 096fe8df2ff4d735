"""The legacy era over HTTP: sessions, POST, GET streams and DELETE (MCP 2025-11-25 basic/transports)."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from mcp_orchestrator.core.translate.outcomes import to_client
from mcp_orchestrator.core.wire import headers as rules
from mcp_orchestrator.core.wire.jsonrpc import encode, error_bytes
from mcp_orchestrator.listeners.batches import answer_batch, batch_of
from mcp_orchestrator.listeners.envelopes import Malformed, Notification, Request, Response, read_message
from mcp_orchestrator.listeners.event_stream import EventStream, send_event
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
from mcp_orchestrator.listeners.mcp_eras import has_modern_envelope, legacy_face
from mcp_orchestrator.listeners.mcp_server import initialize_answer, one_line, refusal_response
from mcp_orchestrator.listeners.replay import Shelf, Streams, Track
from mcp_orchestrator.listeners.sessions import LegacySession, Sessions, new_session_id
from mcp_orchestrator.listeners.streamed_reply import StreamedReply
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.errors import HEADER_MISMATCH, INTERNAL_ERROR, REQUEST_CANCELLED
from mcp_orchestrator.model.outcome import Failed, FailureKind, Outcome
from mcp_orchestrator.plugin_api import GatewayDoor, View

_SESSION: Final = rules.SESSION_HEADER.encode()
_LAST_EVENT: Final = b"last-event-id"
_VERSION: Final = rules.PROTOCOL_VERSION_HEADER.encode()
_PRIMING: Final = b"2025-11-25"
_METHODS: Final = ((b"allow", b"GET, POST, DELETE"),)
_CANCELLED: Final = Failed(FailureKind.CANCELLED, REQUEST_CANCELLED, "Request cancelled")
_NOBODY: Final = ClientFace(Era.LEGACY, "")


class LegacyHttp:
    """Serves the requests of one listener that name a legacy protocol version, or none."""

    def __init__(self, gateway: GatewayDoor, guard: Guard, sessions: Sessions, question_expiry: float) -> None:
        self._gateway = gateway
        self._guard = guard
        self._expiry = question_expiry
        self._main_wires: set[EventStream] = set()
        self._shelf = Shelf(asyncio.get_running_loop().time)
        self.sessions = sessions

    def end_streams(self) -> None:
        """End every stream outside of requests."""
        for wire in list(self._main_wires):
            wire.end()

    def expire(self) -> None:
        """Forget what was kept for too long for clients to come back."""
        self._shelf.expire()

    async def serve(self, view: View, exchange: Exchange) -> None:
        """Answer one HTTP request."""
        method, send = exchange.method, exchange.send
        if method == "POST":
            return await self._post(view, exchange)
        if method not in ("GET", "DELETE"):
            return await send_rejection(send, Rejection(405, "use POST, GET or DELETE", _METHODS))
        session = self._session(view, exchange.headers)
        if isinstance(session, Rejection):
            return await send_rejection(send, session)
        if method == "GET":
            return await self._get(session, exchange)
        self.sessions.end(session, "the client ended the session")
        return await send_empty(send, 200)

    def _session(self, view: View, headers: HeaderMap) -> LegacySession | Rejection:
        session_id = headers.get(_SESSION)
        if session_id is None:
            return Rejection(400, "Bad Request: the Mcp-Session-Id header is missing; begin with initialize")
        session = self.sessions.find(session_id.decode("latin-1"), view.profile, view.principal)
        if session is None:
            return Rejection(404, "Session not found; begin anew with initialize")
        session.view = view  # what a token is good for, and the groups of its caller, may have changed meanwhile
        return session

    async def _post(  # noqa: PLR0911 - a ladder: each rung ends in its own answer
        self, view: View, exchange: Exchange
    ) -> None:
        headers, send = exchange.headers, exchange.send
        if b"accept" in headers and self._guard.accepts(headers) != (True, True):
            text = "Not Acceptable: the client must accept both application/json and text/event-stream"
            return await send_rejection(send, Rejection(406, text))
        value = await self._guard.read_json(exchange)
        if isinstance(value, Rejection):
            return await send_rejection(send, value)
        if type(value) is list:
            return await self._batch(value, view, exchange)
        message = read_message(value)
        if isinstance(message, Malformed):
            return await send_json(send, 400, refusal_response(message))
        if isinstance(message, Request):
            if message.method == "initialize" and _SESSION not in headers:
                return await self._initialize(message, view, exchange)
            if _SESSION not in headers and has_modern_envelope(message.params):
                # A modern client without the header, or with one of before: said in the words of its era.
                text = "the MCP-Protocol-Version header is missing or does not match the protocol version in _meta"
                return await send_json(send, 400, error_bytes(message.id, HEADER_MISMATCH, text))
        session = self._session(view, headers)
        if isinstance(session, Rejection):
            return await send_rejection(send, session)
        session.busy += 1
        try:
            await self._in_session(session, message, exchange)
        finally:
            self._released(session)

    async def _in_session(
        self, session: LegacySession, message: Request | Notification | Response, exchange: Exchange
    ) -> None:
        send = exchange.send
        if isinstance(message, Response):
            session.answered(message)
            return await send_empty(send, 202)
        if isinstance(message, Notification):
            await send_empty(send, 202)
            return await session.notified(message.method, message.params)
        if self._guard.wants_events(exchange.headers):
            streams = partial(self._streams_of, session)
            streamed = StreamedReply(exchange.receive, send, streams, primed=_knows_priming(exchange.headers))
            return await self._answer_in_events(session, message, streamed)
        reply = Reply(exchange.receive, send)
        try:
            outcome = _ended(await session.answer(message, reply))
            await reply.finish(200, message.id, _member(outcome, message, session, single_line=reply.streaming))
        except asyncio.CancelledError:
            reply.drop()
            raise
        finally:
            reply.close()
        return None

    async def _answer_in_events(self, session: LegacySession, request: Request, reply: StreamedReply) -> None:
        try:
            outcome = _ended(await session.answer(request, reply, reply.let_go))
            await reply.finish(request.id, _member(outcome, request, session, single_line=reply.streaming))
        except asyncio.CancelledError:
            reply.drop()
            raise
        finally:
            reply.close()

    def _streams_of(self, session: LegacySession) -> Streams:
        streams = session.streams
        if streams is None:
            streams = session.streams = Streams(self._shelf)
        return streams

    async def _initialize(self, request: Request, view: View, exchange: Exchange) -> None:
        send = exchange.send
        headers: tuple[tuple[bytes, bytes], ...] = ()
        face = legacy_face(request.params, new_session_id())
        if isinstance(face, Failed):
            member = to_client(face, "initialize", _NOBODY)
        else:
            member = b'"result":' + await initialize_answer(self._gateway, view, face.version)
            if not self.sessions.has_room():
                text = f"{len(self.sessions)} sessions are open already"
                body = error_bytes(request.id, INTERNAL_ERROR, text)
                return await send_json(send, 503, body, ((b"retry-after", b"30"),))
            session = LegacySession(face, view, self._gateway, self._expiry)
            self.sessions.add(session)
            session.begin()
            headers = ((_SESSION, session.id.encode()),)
        if self._guard.wants_events(exchange.headers):
            return await send_event(send, encode(request.id), member, headers)
        return await send_member(send, 200, encode(request.id), member, headers)

    async def _batch(self, items: list[object], view: View, exchange: Exchange) -> None:
        send = exchange.send
        session = self._session(view, exchange.headers)
        if isinstance(session, Rejection):
            return await send_rejection(send, session)
        batch = batch_of(items, session.face.version)
        if isinstance(batch, Malformed):
            return await send_json(send, 400, refusal_response(batch))
        if not batch.requests and not batch.malformed:
            await send_empty(send, 202)
            await answer_batch(session, batch, None)
            return None
        session.busy += 1
        reply = Reply(exchange.receive, send)
        try:
            answers = await answer_batch(session, batch, reply)
            if reply.streaming:
                for answer in answers:
                    reply.send(answer)
                await reply.finish_whole(None)
            else:
                await reply.finish_whole(b"[" + b",".join(answers) + b"]")
        except asyncio.CancelledError:
            reply.drop()
            raise
        finally:
            reply.close()
            self._released(session)
        return None

    async def _get(self, session: LegacySession, exchange: Exchange) -> None:
        """Open the stream outside of requests, or any stream anew after `Last-Event-ID`."""
        send, last = exchange.send, exchange.headers.get(_LAST_EVENT)
        if not self._guard.accepts(exchange.headers)[1]:
            return await send_rejection(
                send, Rejection(406, "Not Acceptable: the client must accept text/event-stream")
            )
        streams = self._streams_of(session)
        if last is None and session.main is not None:
            return await send_rejection(send, Rejection(409, "Conflict: this session has a GET stream already"))
        found = (streams.main, streams.main.last) if last is None else streams.find(last)
        if found is None:
            text = "Bad Request: nothing of the stream of this Last-Event-ID is kept; it ended too long ago"
            return await send_rejection(send, Rejection(400, text))
        track, place = found
        wire = EventStream(send)
        session.busy += 1
        exchange.leaving = partial(self._left, wire, track, session)
        track.resume(wire, place, primed=_knows_priming(exchange.headers))
        if track is streams.main:
            wire.overflowed = wire.end  # the client stopped reading: it may come back and resume
            self._main_wires.add(wire)
            session.attach(track)
        return None

    def _left(self, wire: EventStream, track: Track, session: LegacySession) -> None:
        track.leave(wire)
        wire.abandon()
        self._main_wires.discard(wire)
        if track.wire is None:
            session.detach(track)
        self._released(session)

    def _released(self, session: LegacySession) -> None:
        session.busy -= 1
        self.sessions.touch(session)


def _knows_priming(headers: HeaderMap) -> bool:
    """Whether the client says that it speaks 2025-11-25, which has events without data."""
    return headers.get(_VERSION) == _PRIMING


def _ended(answer: bytes | Outcome | None) -> bytes | Outcome:
    """What a session answered; a cancelled request is answered too, since its POST must end with something."""
    return _CANCELLED if answer is None else answer


def _member(answer: bytes | Outcome, request: Request, session: LegacySession, *, single_line: bool) -> bytes:
    """The `result` or `error` member of the response."""
    if isinstance(answer, bytes):
        return b'"result":' + answer
    return to_client(one_line(answer) if single_line else answer, request.method, session.face)
