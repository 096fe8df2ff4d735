"""A conversation over one pipe in each era: what a request is answered with, and what the client hears besides.

MCP 2026-07-28 and 2025-11-25 basic/transports (stdio). A process speaks one era per connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from mcp_orchestrator.core.translate.outcomes import to_client
from mcp_orchestrator.core.wire.meta import LOG_LEVEL
from mcp_orchestrator.core.wire.versions import LATEST_LEGACY, LATEST_MODERN, MODERN_VERSIONS
from mcp_orchestrator.listeners.batches import whole_answer
from mcp_orchestrator.listeners.calls import to_call
from mcp_orchestrator.listeners.envelopes import Request, Response
from mcp_orchestrator.listeners.mcp_eras import (
    NOT_MODERN,
    envelope_of,
    invalid,
    legacy_face,
    modern_face,
    progress_token,
    unknown_method,
)
from mcp_orchestrator.listeners.mcp_server import (
    LISTS,
    Channel,
    RunPort,
    Runs,
    discover_answer,
    initialize_answer,
    list_answer,
    local_response,
    one_line,
    response,
)
from mcp_orchestrator.listeners.mcp_subscriptions import Listen, wanted_of
from mcp_orchestrator.listeners.sessions import LegacySession, new_session_id
from mcp_orchestrator.model.call import ClientFace, Era, Principal
from mcp_orchestrator.model.errors import INVALID_REQUEST, UNSUPPORTED_VERSION
from mcp_orchestrator.model.outcome import Failed
from mcp_orchestrator.plugin_api import GatewayDoor, View


class Conversation(Protocol):
    """One client on a pipe, in one era."""

    async def answer(self, request: Request) -> bytes | None:
        """The whole response, or None when none is owed (now)."""
        ...

    async def notified(self, method: str, params: Mapping[str, Any]) -> None:
        """Take a notification."""
        ...

    def answered(self, response: Response) -> None:
        """Take an answer to a question of ours."""
        ...

    @property
    def session(self) -> LegacySession | None:
        """The legacy session, once there is one."""
        ...

    def known_as(self, principal: Principal) -> None:
        """The client is this principal from now on."""
        ...

    def end_streams(self) -> None:
        """End what has no end of its own."""
        ...

    def close(self, reason: str) -> None:
        """Cancel what runs and hear no more."""
        ...


class ModernConversation:
    """Every request carries its own version, capabilities and log level; nothing is remembered but what runs.

    `only_probed`: nothing but `server/discover` was asked yet, and that has got no answer.
    """

    def __init__(self, gateway: GatewayDoor, profile: str | None, principal: Principal, channel: Channel) -> None:
        self._gateway = gateway
        self._view = View(Era.MODERN, profile, principal)
        self._channel = channel
        self._runs = Runs()
        self._listening: dict[int | str, Listen] = {}
        self.only_probed = True
        self.session: LegacySession | None = None

    def known_as(self, principal: Principal) -> None:
        """The client is this principal from now on."""
        self._view = replace(self._view, principal=principal)

    async def answer(self, request: Request) -> bytes | None:
        """Answer one request; a subscription is answered when it ends."""
        method = request.method
        self.only_probed = self.only_probed and method == "server/discover"
        if method == "initialize":
            return local_response(request.id, _no_handshake(request.params), method, _MODERN)
        meta = envelope_of(request.params)
        face = meta if isinstance(meta, Failed) else modern_face(meta)
        if isinstance(face, Failed):
            return local_response(request.id, face, method, _MODERN)
        if method == "subscriptions/listen":
            return self._listen(request, face)
        kind = LISTS.get(method)
        if kind is not None:
            answer = await list_answer(self._gateway, self._view, kind, request.params, face)
        elif method == "server/discover":
            answer = await discover_answer(self._gateway, self._view)
            self.only_probed = False
        elif method in NOT_MODERN or method.startswith("notifications/"):
            answer = unknown_method(method)
        else:
            return await self._call(request, face)
        return local_response(request.id, answer, method, face)

    async def _call(self, request: Request, face: ClientFace) -> bytes | None:
        params = request.params
        token = progress_token(params)
        level = params["_meta"].get(LOG_LEVEL)
        view = self._view
        call = to_call(request.method, params, face, view.principal, profile=view.profile, log_level=level)
        if isinstance(call, Failed):
            return local_response(request.id, call, request.method, face)
        port = RunPort(self._channel, token, level, None)
        outcome = await self._runs.carry_out(self._gateway, request.id, call, port)
        if outcome is None:
            return None
        return response(request.id, to_client(one_line(outcome), request.method, face))

    def _listen(self, request: Request, face: ClientFace) -> bytes | None:
        wanted = wanted_of(request)
        if request.id in self._listening:
            wanted = invalid(f"the request id {request.id!r} is in use by a subscription that is still open")
        if isinstance(wanted, Failed):
            return local_response(request.id, wanted, request.method, face)
        listen = self._listening[request.id] = Listen(request.id, wanted, self._channel, self._gateway)
        listen.begin(self._view, face)
        return None

    async def notified(self, method: str, params: Mapping[str, Any]) -> None:
        """Only cancellation means anything in this era."""
        if method != "notifications/cancelled":
            return
        request_id = params.get("requestId")
        listen = self._listening.pop(request_id, None) if isinstance(request_id, int | str) else None
        if listen is not None:
            listen.close()
        else:
            self._runs.cancel(request_id, str(params.get("reason") or "cancelled by the client"))

    def answered(self, response: Response) -> None:
        """Nobody asked: servers of this era send no requests."""

    def end_streams(self) -> None:
        """End every subscription with its result."""
        listening, self._listening = self._listening, {}
        for listen in listening.values():
            listen.close()
            self._channel.send(listen.result())

    def close(self, reason: str) -> None:
        """Cancel what runs and hear no more."""
        self._runs.cancel_all(reason)
        for listen in self._listening.values():
            listen.close()
        self._listening.clear()


class LegacyConversation:
    """One session, opened by `initialize`."""

    def __init__(
        self, gateway: GatewayDoor, profile: str | None, principal: Principal, channel: Channel, expiry: float
    ) -> None:
        self._gateway = gateway
        self._view = View(Era.LEGACY, profile, principal)
        self._channel = channel
        self._expiry = expiry
        self.session: LegacySession | None = None

    def known_as(self, principal: Principal) -> None:
        """The client is this principal from now on."""
        self._view = replace(self._view, principal=principal)
        if self.session is not None:
            self.session.view = self._view

    async def answer(self, request: Request) -> bytes | None:
        """Answer one request."""
        session = self.session
        if session is not None:
            return await whole_answer(session, request, self._channel)
        if request.method == "initialize":
            return await self._initialize(request)
        if request.method == "ping":
            return response(request.id, b'"result":{}')
        failed = invalid("begin with initialize, or send the per-request _meta of 2026-07-28", INVALID_REQUEST)
        return local_response(request.id, failed, request.method, _LEGACY)

    async def _initialize(self, request: Request) -> bytes | None:
        face = legacy_face(request.params, new_session_id())
        if isinstance(face, Failed):
            return local_response(request.id, face, request.method, _LEGACY)
        # The session stands before anything is awaited, so that a request sent right behind finds it.
        session = self.session = LegacySession(face, self._view, self._gateway, self._expiry)
        session.begin()
        answer = await initialize_answer(self._gateway, self._view, face.version)
        # The response goes out before anything that has waited for the session.
        self._channel.send(response(request.id, b'"result":' + answer))
        session.attach(self._channel)
        return None

    async def notified(self, method: str, params: Mapping[str, Any]) -> None:
        """Take a notification; before `initialize` none means anything."""
        if self.session is not None:
            await self.session.notified(method, params)

    def answered(self, response: Response) -> None:
        """Take an answer to a question of ours."""
        if self.session is not None:
            self.session.answered(response)

    def end_streams(self) -> None:
        """The pipe itself is the stream."""

    def close(self, reason: str) -> None:
        """End the session."""
        if self.session is not None:
            self.session.close(reason)


_MODERN = ClientFace(Era.MODERN, LATEST_MODERN)
_LEGACY = ClientFace(Era.LEGACY, LATEST_LEGACY)


def _no_handshake(params: Mapping[str, Any]) -> Failed:
    requested = params.get("protocolVersion")
    data: dict[str, Any] = {"supported": list(MODERN_VERSIONS)}
    if isinstance(requested, str):
        data["requested"] = requested
    return invalid(
        f"this connection speaks {LATEST_MODERN}; the initialize handshake is not accepted on it",
        UNSUPPORTED_VERSION,
        data,
    )
