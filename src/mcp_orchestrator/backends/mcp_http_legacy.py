"""Legacy streamable HTTP: a session, one POST per message, answers as JSON or on the POST's own event stream.

MCP 2025-03-26 to 2025-11-25 basic/transports (streamable HTTP, session management, resumability). What comes on the
stream of a POST belongs to exactly that call; a POST that fails fails its own call and no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any, Final

from mcp_orchestrator.backends.http_answers import (
    ACCEPTED,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OK,
    content_type,
    refusal,
    rpc_error_in,
    wrong_content,
)
from mcp_orchestrator.backends.http_connection import EndedError, Response
from mcp_orchestrator.backends.http_pool import Endpoint, HttpPool, header_lines
from mcp_orchestrator.backends.mcp_http_duplex import HttpDuplex
from mcp_orchestrator.backends.mcp_http_modern import JSON_OR_EVENTS, checked
from mcp_orchestrator.backends.mcp_http_reading import bad
from mcp_orchestrator.backends.mcp_http_session import PostingSession
from mcp_orchestrator.core.wire import jsonrpc
from mcp_orchestrator.core.wire.headers import PROTOCOL_VERSION_HEADER, SESSION_HEADER
from mcp_orchestrator.core.wire.sse import EventTooLargeError, Parser
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec
from mcp_orchestrator.plugin_api import Opening

FAREWELL: Final = 2.0
"""Seconds that the DELETE at the end of a session may take."""

UNTIL_LISTENING: Final = 0.5
"""Seconds that the first call of a session waits for the server to open the stream for what belongs to no call."""

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_SHORTEST_PAUSE: Final = 0.01
_TRUSTED_PAUSES: Final = 2  # so often in a row without an event, a server's own `retry` is kept to
_RESUMES: Final = 5  # attempts without a single event in between
_MAX_EVENT_ID: Final = 4096


class EventStream:
    """One event stream of a legacy server: a POST's (`ident`) or the one for everything else (None)."""

    __slots__ = ("_duplex", "_ident", "_parser", "_spec", "events", "last_id", "retry")

    def __init__(self, spec: BackendSpec, duplex: HttpDuplex, ident: int | None) -> None:
        self._spec = spec
        self._duplex = duplex
        self._ident = ident
        self._parser = Parser(spec.max_result_bytes)
        self.last_id: str | None = None
        self.retry: float | None = None
        self.events = 0

    def feed(self, chunk: bytes) -> bool:
        """Take a piece; True once the POST's own request is answered (or given up).

        Raises:
            BackendError: BAD_ANSWER; an event beyond the bound.
        """
        try:
            events = self._parser.feed(chunk)
        except EventTooLargeError as error:
            raise bad(self._spec, f"sent too much: {error} (`maxResultBytes` raises the limit)") from error
        for event in events:
            self.events += 1
            if event.id is not None and len(event.id) <= _MAX_EVENT_ID:
                self.last_id = event.id
            if event.retry is not None:
                self.retry = event.retry / 1000
            if event.data and event.event == "message":
                self._duplex.feed(event.data, self._ident)
        return self._ident is not None and not self._duplex.waits(self._ident)

    def renew(self) -> None:
        """A new connection begins: what was half read is gone."""
        self._parser = Parser(self._spec.max_result_bytes)

    def pause(self, attempt: int) -> float:
        """Seconds to wait before connecting anew: what the server asked for, else growing with each attempt."""
        growing = _FIRST_PAUSE * 2**attempt * random.uniform(0.7, 1.3)  # noqa: S311 - jitter
        wanted = growing if self.retry is None or attempt > _TRUSTED_PAUSES else max(self.retry, _SHORTEST_PAUSE)
        return min(wanted, _LONGEST_PAUSE)


class LegacyHttpSession(PostingSession):
    """A legacy session over HTTP. Calls run side by side; each POST is a task of its own."""

    def __init__(self, spec: BackendSpec, endpoint: Endpoint, pool: HttpPool, opening: Opening) -> None:
        super().__init__(spec, endpoint, pool, opening)
        self._post_head = endpoint.head("POST", checked(spec, (*JSON_OR_EVENTS, *self._headers)))
        self._session_id: str | None = None
        self._session_lines = b""
        self._listens = asyncio.Event()

    @classmethod
    async def open(cls, spec: BackendSpec, endpoint: Endpoint, pool: HttpPool, opening: Opening) -> LegacyHttpSession:
        """Shake hands. Raises BackendError; its `data["httpStatus"]` is there when an HTTP status was the reason."""
        session = cls(spec, endpoint, pool, opening)
        try:
            await session._shake_hands(session._shake)
        except BaseException:
            await session.close()
            raise
        session._spawn(session._keep_listening())
        with contextlib.suppress(TimeoutError):
            # Some servers ask on this stream even what a call needs, and what they say before it is open is lost
            # (TypeScript SDK 1.x, `server.request` without a related request, 2026-11).
            await asyncio.wait_for(session._listens.wait(), UNTIL_LISTENING)
        return session

    async def close(self) -> None:
        """End the session: tell the server, in at most `FAREWELL` seconds, and drop every stream."""
        known = self._session_id if self.duplex.ended is None else None
        self._end("was closed by this program")
        if known is not None:
            head = self._endpoint.head("DELETE", self._headers) + self._session_lines
            try:
                async with asyncio.timeout(FAREWELL):
                    await self._pool.request(head, None, urgent=True)
            except (BackendError, TimeoutError):
                pass  # a server that is gone needs no farewell
        await self._drop()

    def _end(self, reason: str) -> None:
        self.duplex.end(reason)
        self._over.set()

    # Sending.

    async def _shake(self, method: str, params: dict[str, Any]) -> Any:
        """`initialize`: from its answer on, every request names the version and the session."""
        result = await self._ask(method, params)
        if self._tasks:
            await asyncio.wait(self._tasks)  # the answer may be known before the head it came with was looked at
        version = result.get("protocolVersion") if isinstance(result, dict) else None
        lines = [(PROTOCOL_VERSION_HEADER, version)] if isinstance(version, str) else []
        if self._session_id is not None:
            lines.append((SESSION_HEADER, self._session_id))
        try:
            self._session_lines = header_lines(lines)
        except ValueError as error:
            raise bad(self._spec, f"gave a session id or version that cannot be sent back ({error})") from error
        return result

    async def _say(self, method: str, params: dict[str, Any]) -> None:
        """A notification that must have arrived before anything else is sent (`notifications/initialized`)."""
        response = await self._pool.request(self._head(), jsonrpc.notification_bytes(method, params or None))
        if response.status not in {OK, ACCEPTED, 204}:
            raise refusal(self._spec, self._endpoint.shown, response)

    def _head(self) -> bytes:
        return self._post_head + self._session_lines

    def _send(self, message: bytes, ident: int | None) -> None:
        """What the duplex wants sent: each message is a POST."""
        if ident is None:
            self._spawn(self._tell(message))
        else:
            replayable = self.duplex.harmless
            self.duplex.posts[ident] = self._spawn(self._carry(message, ident, replayable=replayable))

    async def _tell(self, message: bytes) -> None:
        """POST a notification or an answer of ours."""
        try:
            response = await self._pool.request(self._head(), message, urgent=True)
        except BackendError as error:
            self._opening.on_stderr(f"a message could not be delivered: {error.message}")
            return
        if response.status == NOT_FOUND and self._session_id is not None:
            self._end("ended the session (HTTP 404)")
        elif response.status not in {OK, ACCEPTED, 204}:
            refused = refusal(self._spec, self._endpoint.shown, response)
            self._opening.on_stderr(f"a message was not accepted: {refused.message}")

    async def _carry(self, message: bytes, ident: int, *, replayable: bool) -> None:
        """POST a request of ours and see its answer home."""
        stream = EventStream(self._spec, self.duplex, ident)
        try:
            response = await self._pool.request(self._head(), message, on_chunk=stream.feed, replayable=replayable)
            self._settle(ident, response)
        except BackendError as error:
            if error.kind is not FailureKind.DIED or stream.last_id is None:
                self.duplex.fail(ident, error)
                return
            await self._resume(ident, stream, in_order=isinstance(error, EndedError))

    def _settle(self, ident: int, response: Response) -> None:
        """An answer that is whole: learn the session, judge the status, take the body."""
        if self._agreement is None and response.status == OK:
            self._session_id = response.header(b"mcp-session-id") or None
        if not self.duplex.waits(ident):
            return
        if response.status == NOT_FOUND and self._session_id is not None:
            text = f"backend {self._spec.name} has ended the session (HTTP 404) before this call reached it"
            self.duplex.fail(ident, BackendError(FailureKind.UNAVAILABLE, text))
            self._end("ended the session (HTTP 404)")
            return
        if response.status != OK:
            error = rpc_error_in(response)
            self.duplex.fail(ident, error or refusal(self._spec, self._endpoint.shown, response))
            return
        kind = content_type(response)
        if kind != "application/json" and not kind.endswith("+json"):
            self.duplex.fail(ident, wrong_content(self._spec, self._endpoint.shown, response))
            return
        self.duplex.feed(response.body(), ident)
        self.duplex.fail(ident, bad(self._spec, "answered with something else than the response to this request"))

    # Receiving.

    def _listening_head(self, last_id: str | None) -> bytes:
        headers = [("accept", "text/event-stream"), *self._headers]
        head = self._endpoint.head("GET", checked(self._spec, tuple(headers))) + self._session_lines
        return head if last_id is None else head + _last_event_line(last_id)

    async def _resume(self, ident: int, stream: EventStream, *, in_order: bool) -> None:
        """The stream of a POST broke off, or the server closed it `in_order` to be polled: go on where it ended."""
        attempt = 0
        reason = ""
        while attempt < _RESUMES and self.duplex.waits(ident):
            pause = stream.pause(attempt)
            if in_order:
                self.duplex.let_go(ident, pause)
            await asyncio.sleep(pause)
            stream.renew()
            before = stream.events
            try:
                response = await self._pool.stream(self._listening_head(stream.last_id), None, stream.feed)
            except BackendError as error:
                if error.kind is FailureKind.BAD_ANSWER:
                    self.duplex.fail(ident, error)
                    return
                reason, in_order = error.message, isinstance(error, EndedError)
            else:
                if not self.duplex.waits(ident):
                    return
                reason = refusal(self._spec, self._endpoint.shown, response).message
                if response.status < 500:  # noqa: PLR2004 - it will not resume
                    break
            attempt = 0 if stream.events > before else attempt + 1
        text = f"backend {self._spec.name} lost the stream of this call and did not resume it ({reason})"
        self.duplex.fail(ident, BackendError(FailureKind.DIED, text, sent=True))

    async def _keep_listening(self) -> None:
        """The GET stream for what belongs to no call; servers need not have one (405)."""
        stream = EventStream(self._spec, self.duplex, None)
        attempt = 0

        def feed(chunk: bytes) -> bool:
            self._listens.set()
            return stream.feed(chunk)

        while self.duplex.ended is None:
            before = stream.events
            try:
                response = await self._pool.stream(self._listening_head(stream.last_id), None, feed)
            except BackendError as error:
                self._listens.set()
                if error.kind is FailureKind.BAD_ANSWER:
                    self._opening.on_stderr(f"the stream for notifications was given up: {error.message}")
                    return
            else:
                self._listens.set()
                if response.status == NOT_FOUND and self._session_id is not None:
                    self._end("ended the session (HTTP 404)")
                    return
                if response.status < 500:  # noqa: PLR2004 - it has no such stream, and will not get one
                    if response.status != METHOD_NOT_ALLOWED:
                        refused = refusal(self._spec, self._endpoint.shown, response)
                        self._opening.on_stderr(f"no stream for notifications: {refused.message}")
                    return
            attempt = 0 if stream.events > before else attempt + 1
            await asyncio.sleep(stream.pause(min(attempt, 6)))
            stream.renew()


def _last_event_line(last_id: str) -> bytes:
    """The header that resumes after an event; ids are sent back as they came, in UTF-8 (WHATWG HTML 9.2.4)."""
    return b"last-event-id: %b\r\n" % last_id.encode()
