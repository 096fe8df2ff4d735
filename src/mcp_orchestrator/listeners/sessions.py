"""Legacy client sessions: what a client declared, its runs, what it was asked, and what it has yet to hear.

MCP 2025-11-25 basic/lifecycle, basic/utilities, client/elicitation, server/utilities/logging. The same session serves
a pipe and HTTP; only the way to the client differs.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, assert_never

from mcp_orchestrator.core.translate.questions import ELICITATION_COMPLETE, expired, may_ask
from mcp_orchestrator.core.wire.jsonrpc import RequestId, notification_bytes, request_bytes
from mcp_orchestrator.core.wire.levels import LOG_LEVELS
from mcp_orchestrator.listeners.calls import to_call
from mcp_orchestrator.listeners.envelopes import Request, Response
from mcp_orchestrator.listeners.mcp_eras import (
    NOT_LEGACY,
    has_modern_envelope,
    invalid,
    passes_level,
    progress_token,
    unknown_method,
)
from mcp_orchestrator.listeners.mcp_server import LISTS, Channel, RunPort, Runs, event_notification, list_answer
from mcp_orchestrator.listeners.replay import Streams
from mcp_orchestrator.model.call import ClientFace, Principal
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import INTERNAL_ERROR, INVALID_REQUEST
from mcp_orchestrator.model.outcome import Failed, Outcome
from mcp_orchestrator.plugin_api import (
    ClientEvent,
    GatewayDoor,
    ListChanged,
    LogLine,
    Notice,
    Port,
    ResourceUpdated,
    TaskChanged,
    View,
)

QUESTION_SECONDS: Final = 600.0
UNASKED: Final = "info"
"""The least severe of the log messages that belong to no call and to no one client, for a client that set no level.

Until it sets one, the server decides (MCP 2025-11-25 schema, `notifications/message`). A shared session may have been made
more talkative by the call of another client.
"""
_REMEMBERED_EVENTS: Final = 256
_EMPTY: Final = b"{}"
_EVICTABLE_AFTER: Final = 60.0


def new_session_id() -> str:
    """128 random bits, visible ASCII."""
    return secrets.token_hex(16)


class LegacySession(Port):
    """One legacy client. It is the `Port` that reaches the client outside of any request.

    `main` is where such messages go: the pipe, or the GET stream while one is open. Without it, list changes, resource
    updates and the word that an address was dealt with wait (one per list, resource and address), questions cannot be
    asked, and all else is kept only for a client that had a stream and may resume it. `streams` are the session's event
    streams (HTTP), None until there is one.
    """

    __slots__ = (
        "_aside",
        "_asked",
        "_asks",
        "_expiry",
        "_gateway",
        "_stop",
        "_waiting",
        "busy",
        "face",
        "log_level",
        "main",
        "runs",
        "seen",
        "streams",
        "view",
    )

    def __init__(self, face: ClientFace, view: View, gateway: GatewayDoor, expiry: float = QUESTION_SECONDS) -> None:
        self.face = face
        self.view = view
        self.log_level: str | None = None
        self.main: Channel | None = None
        self.streams: Streams | None = None
        self.runs = Runs()
        self.busy = 0
        self.seen = 0.0
        self._gateway = gateway
        self._expiry = expiry
        self._aside: Channel | None = None
        self._asks: dict[RequestId, asyncio.Future[Answer | None]] | None = None
        self._asked = 0
        self._waiting: dict[object, ClientEvent] | None = None
        self._stop: Callable[[], None] | None = None

    @property
    def id(self) -> str:
        """The session id."""
        return self.face.session or ""

    def begin(self) -> None:
        """Make the session known to the gateway and listen to what changes."""
        self._stop = self._gateway.watch(self.view, self.id, self._hear)
        self._gateway.session_opened(self.face, self.view, self)

    def close(self, reason: str) -> None:
        """End the session: its runs are cancelled, its questions stay unanswered. Idempotent."""
        if self._stop is None:
            return
        self._stop()
        self._stop = None
        self.runs.cancel_all(reason)
        for future in list((self._asks or {}).values()):
            if not future.done():
                future.set_result(None)
        self.main = self._aside = None
        if self.streams is not None:
            self.streams.close()
        self._gateway.session_closed(self.id)

    # -- from the client --------------------------------------------------------------------------------------------

    async def answer(  # noqa: PLR0911 - a table of methods, one line each
        self, request: Request, channel: Channel, let_go: Callable[[float], None] | None = None
    ) -> bytes | Outcome | None:
        """Answer a request other than `initialize`: an encoded result, an outcome, or None when it was cancelled.

        `let_go` closes the client's connection for so many seconds, where the client can come back.
        """
        method, params = request.method, request.params
        kind = LISTS.get(method)
        if kind is not None:
            return await list_answer(self._gateway, self.view, kind, params, self.face)
        if method == "ping":
            return _EMPTY
        if method == "logging/setLevel":
            return self._set_level(params)
        if method == "initialize":
            return invalid("this session is initialized already", INVALID_REQUEST)
        if method in NOT_LEGACY or method.startswith("notifications/"):
            return unknown_method(method)
        if has_modern_envelope(params):
            text = "this session was opened by initialize: requests with a per-request protocol version do not fit it"
            return invalid(text, INVALID_REQUEST)
        token = progress_token(params)
        view = self.view
        call = to_call(method, params, self.face, view.principal, profile=view.profile, log_level=self.log_level)
        if isinstance(call, Failed):
            return call
        port = RunPort(channel, token, self.log_level, self, let_go)
        return await self.runs.carry_out(self._gateway, request.id, call, port)

    async def notified(self, method: str, params: Mapping[str, Any]) -> None:
        """Take a notification of the client."""
        match method:
            case "notifications/cancelled":
                self.runs.cancel(params.get("requestId"), str(params.get("reason") or "cancelled by the client"))
            case "notifications/initialized" | "notifications/progress":
                pass  # our requests carry no progress token, and an initialized client needs no opening
            case _:
                await self._gateway.client_notified(self.id, method, params)

    def answered(self, response: Response) -> None:
        """Take the client's answer to a question; an answer that nobody waits for is dropped."""
        future = (self._asks or {}).get(response.id)
        if future is None or future.done():
            return
        if response.result is not None:
            future.set_result(Answer(response.result))
            return
        error = response.error or {}
        code, message = error.get("code"), error.get("message")
        future.set_result(Answer(None, code if type(code) is int else INTERNAL_ERROR, str(message or "")))

    def _set_level(self, params: Mapping[str, Any]) -> bytes | Failed:
        level = params.get("level")
        if type(level) is not str or level not in LOG_LEVELS:
            return invalid(f"logging/setLevel: level must be one of {', '.join(LOG_LEVELS)}")
        self.log_level = level
        return _EMPTY

    # -- to the client ----------------------------------------------------------------------------------------------

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification outside of any request; lost when there never was a stream."""
        channel = self._aside if self.main is None else self.main
        if channel is not None and (
            method != "notifications/message" or self.log_level is None or passes_level(params, self.log_level)
        ):
            channel.send(notification_bytes(method, params))

    def let_go(self, after: float) -> None:
        """Nothing to close: the stream outside of requests belongs to no call."""

    async def ask(self, question: Question) -> Answer | None:
        """Ask outside of any request; None while no stream is open."""
        return await self.ask_on(None, question)

    async def ask_on(self, channel: Channel | None, question: Question) -> Answer | None:
        """Ask on the channel of a request, else outside; None when the client cannot be asked, or leaves."""
        if not may_ask(self.face, question):
            return None
        asks = self._asks
        if asks is None:
            asks = self._asks = {}
        self._asked += 1
        ask_id = f"q{self._asked}"
        message = request_bytes(ask_id, question.method, question.params)
        taker = next((one for one in (channel, self.main) if one is not None and one.send(message)), None)
        if taker is None:
            return None
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        asks[ask_id] = future
        try:
            async with asyncio.timeout(self._expiry):
                return await future
        except TimeoutError:
            taker.send(_withdrawn(ask_id, "not answered in time"))
            return expired(question)
        except asyncio.CancelledError:
            taker.send(_withdrawn(ask_id, "no longer needed"))
            raise
        finally:
            del asks[ask_id]

    def attach(self, main: Channel) -> None:
        """Messages outside of any request go here from now on; those that waited go first."""
        self.main = main
        waiting, self._waiting = self._waiting, None
        for event in (waiting or {}).values():
            main.send(event_notification(event))

    def detach(self, main: Channel) -> None:
        """The stream is closed; a client that resumes it hears what was said meanwhile."""
        if self.main is main:
            self.main, self._aside = None, main

    def _hear(self, event: ClientEvent) -> None:
        if isinstance(event, LogLine):
            if not event.common or self.log_level is not None or passes_level(event.params, UNASKED):
                self.notify("notifications/message", event.params)
        elif isinstance(event, Notice) and (event.method != ELICITATION_COMPLETE or self._aside is not None):
            self.notify(event.method, event.params)
        elif self.main is not None:
            self.main.send(event_notification(event))
        else:
            if self._waiting is None:
                self._waiting = {}
            if len(self._waiting) < _REMEMBERED_EVENTS:
                self._waiting[_topic(event)] = event


def _topic(event: ListChanged | ResourceUpdated | TaskChanged | Notice) -> object:
    match event:
        case ListChanged(kind):
            return kind
        case ResourceUpdated(params):
            told = params.get("uri")
        case TaskChanged(params):
            told = params.get("taskId")
        case Notice(_, params):
            told = params.get("elicitationId")
        case _:
            assert_never(event)
    return type(event), str(told)


def _withdrawn(ask_id: str, reason: str) -> bytes:
    return notification_bytes("notifications/cancelled", {"requestId": ask_id, "reason": reason})


class Sessions:
    """The sessions of one HTTP listener, least recently used first.

    At most `limit`; a full house lets the longest idle session go if it has been idle for a minute, and otherwise
    refuses the newcomer. Sessions idle for `idle` seconds are ended by `reap`. `clock` counts seconds.
    """

    def __init__(self, limit: int, idle: float, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._idle = idle
        self._clock = clock
        self._sessions: dict[str, LegacySession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[LegacySession]:
        return iter(list(self._sessions.values()))

    def has_room(self) -> bool:
        """Whether one more session may be opened; makes room if that is possible."""
        if len(self._sessions) < self._limit:
            return True
        oldest = next((one for one in self._sessions.values() if not one.busy), None)
        if oldest is None or self._clock() - oldest.seen < min(_EVICTABLE_AFTER, self._idle):
            return False
        self.end(oldest, "the gateway needed room for a new session")
        return True

    def add(self, session: LegacySession) -> None:
        """Take a session in."""
        session.seen = self._clock()
        self._sessions[session.id] = session

    def find(self, session_id: str, profile: str | None, principal: Principal) -> LegacySession | None:
        """The session, if it was opened at this profile by this principal; it counts as used now."""
        session = self._sessions.get(session_id)
        if session is None or session.view.profile != profile or session.view.principal != principal:
            return None
        self.touch(session)
        return session

    def touch(self, session: LegacySession) -> None:
        """Note that the session was used now."""
        if self._sessions.pop(session.id, None) is not None:
            session.seen = self._clock()
            self._sessions[session.id] = session

    def end(self, session: LegacySession, reason: str) -> None:
        """Forget and close a session."""
        self._sessions.pop(session.id, None)
        session.close(reason)

    def reap(self) -> None:
        """End the sessions that have been idle for too long."""
        last = self._clock() - self._idle
        for session in list(self._sessions.values()):
            if session.seen > last:
                break
            if not session.busy:
                self.end(session, "the session was idle for too long")
