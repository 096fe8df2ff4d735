"""The HTTP listener: both eras at one path, told apart by each request's `MCP-Protocol-Version` header."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from mcp_orchestrator.core.wire.headers import PROTOCOL_VERSION_HEADER
from mcp_orchestrator.core.wire.versions import LEGACY_VERSIONS
from mcp_orchestrator.listeners.admission import Admit, anybody, in_query
from mcp_orchestrator.listeners.event_stream import Message, Receive, Send, until_gone
from mcp_orchestrator.listeners.http_guard import (
    Exchange,
    Guard,
    Rejection,
    preflight_headers,
    send_empty,
    send_json,
    send_rejection,
    with_cors,
)
from mcp_orchestrator.listeners.http_legacy import LegacyHttp
from mcp_orchestrator.listeners.http_modern import ModernHttp
from mcp_orchestrator.listeners.http_protocol import protocols
from mcp_orchestrator.listeners.sessions import QUESTION_SECONDS, Sessions
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.errors import INTERNAL_ERROR
from mcp_orchestrator.model.snapshot import HttpSpec
from mcp_orchestrator.plugin_api import GatewayDoor, Listener

_VERSION: Final = PROTOCOL_VERSION_HEADER.encode()
_LEGACY: Final = frozenset(version.encode() for version in LEGACY_VERSIONS)
_BUSY: Final = Rejection(
    503, "the gateway is stopping", ((b"connection", b"close"), (b"retry-after", b"5")), INTERNAL_ERROR
)
_LEAVING_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 0.02
_CLEANUP_SECONDS: Final = 2.0
_KEEP_ALIVE_SECONDS: Final = 75
_BACKLOG: Final = 2048

_log: Final = logging.getLogger(__name__)


class HttpApp:
    """The ASGI application of one listener."""

    def __init__(
        self,
        spec: HttpSpec,
        gateway: GatewayDoor,
        sessions: Sessions,
        question_expiry: float,
        admit: Admit | None = None,
    ) -> None:
        self._admit = admit or anybody()
        self._gateway = gateway
        self._path = "/" + spec.path.strip("/")
        self._below = self._path.rstrip("/") + "/"
        self._guard = Guard(spec)
        self.modern = ModernHttp(gateway, self._guard, spec.max_sessions)
        self.legacy = LegacyHttp(gateway, self._guard, sessions, question_expiry)
        self.draining = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong in here is answered with 500 and logged, and harms no other."""
        if scope["type"] != "http":
            return
        try:
            leaving = await self._begin(scope, receive, send)
            if leaving is not None:
                try:
                    await until_gone(receive)
                finally:
                    leaving()
        except asyncio.CancelledError:
            if not self.draining:
                raise
            _log.debug("request cut off by the end of the listener")
        except Exception:  # noqa: BLE001 - the edge of a request: a bug here must not take other requests along
            _log.exception("request failed")
            rejection = Rejection(500, "internal error; the log of the gateway says more", code=INTERNAL_ERROR)
            try:
                await send_rejection(send, rejection)
            except RuntimeError:
                _log.debug("the reply had begun")  # the server closes the connection, which tells the client

    async def _begin(self, scope: Message, receive: Receive, send: Send) -> Callable[[], None] | None:
        raw = scope["headers"]
        exchange = Exchange(scope["method"], raw, dict(raw), receive, send)
        try:
            await self._route(scope, exchange)
        except BaseException:
            if exchange.leaving is not None:
                exchange.leaving()
            raise
        return exchange.leaving

    async def _route(self, scope: Message, exchange: Exchange) -> None:
        headers, send, method = exchange.headers, exchange.send, exchange.method
        path, query = scope["path"], scope.get("query_string")
        rejection = self._guard.check(headers) or (in_query(query) if query else None)
        if rejection is not None:
            return await send_rejection(send, rejection)
        origin = headers.get(b"origin")
        if origin is not None:
            send = exchange.send = with_cors(send, origin)
            if method == "OPTIONS":
                return await send_empty(send, 204, preflight_headers(headers))
        if self.draining:
            return await send_rejection(send, _BUSY)
        profile: str | None = None
        if path != self._path:
            if path == "/healthz" and method in ("GET", "HEAD"):
                return await send_json(send, 200, b'{"status":"ok"}')
            profile = self._profile(path)
            if profile is None and path != self._below:
                return await send_rejection(
                    send, Rejection(404, f"there is nothing at this path; MCP is at {self._path}")
                )
        return await self._serve(profile, exchange)

    async def _serve(self, profile: str | None, exchange: Exchange) -> None:
        version = exchange.headers.get(_VERSION)
        era = Era.LEGACY if version is None or version in _LEGACY else Era.MODERN
        view = self._admit(era, profile, exchange)
        if isinstance(view, Rejection):
            return await send_rejection(exchange.send, view)
        if era is Era.LEGACY:
            return await self.legacy.serve(view, exchange)
        return await self.modern.serve(view, exchange)

    def _profile(self, path: str) -> str | None:
        if not path.startswith(self._below):
            return None
        # fast-agent 0.10 appends /mcp to every address that does not end in it (2026-11-22).
        profile = path[len(self._below) :].removesuffix("/").removesuffix("/mcp")
        return profile if profile and self._gateway.has_profile(profile) else None

    def shut_out(self, who: str) -> None:
        """End what a principal (by its id) holds open: its sessions with their calls, and its subscriptions."""
        for session in self.legacy.sessions:
            if session.view.principal.id == who:
                self.legacy.sessions.end(session, "the token that it was opened with is good no longer")
        self.modern.end_streams(who)


class HttpListener(Listener):
    """Serves one address.

    Everything is made by the time `started` is called with the URL of the endpoint; port 0 picks a free one.
    """

    def __init__(
        self,
        spec: HttpSpec,
        gateway: GatewayDoor,
        question_expiry: float = QUESTION_SECONDS,
        *,
        admit: Admit | None = None,
    ) -> None:
        """`admit` says from where a request looks, or why it is turned away; without it everybody is let in."""
        self._admit = admit
        self._spec = spec
        self._gateway = gateway
        self._expiry = question_expiry
        self._state = ServerState()
        self._app: HttpApp | None = None
        self._server: asyncio.Server | None = None
        self._stopped = asyncio.Event()
        self._reaper: asyncio.TimerHandle | None = None

    async def serve(self, started: Callable[[str], None]) -> None:
        """Serve until stopped or cancelled.

        Raises:
            OSError: the address cannot be listened on; the message says what to do.
        """
        loop = asyncio.get_running_loop()
        sessions = Sessions(self._spec.max_sessions, self._spec.session_idle, loop.time)
        app = self._app = HttpApp(self._spec, self._gateway, sessions, self._expiry, self._admit)
        config = _server_config(app)
        listening = await _bind(self._spec)
        port = listening.getsockname()[1]
        self._server = await loop.create_server(protocols(config, self._state), sock=listening, backlog=_BACKLOG)
        self._reap(loop, sessions)
        host = f"[{self._spec.host}]" if ":" in self._spec.host else self._spec.host
        try:
            if not self._stopped.is_set():
                started(f"http://{host}:{port}/{self._spec.path.strip('/')}")
            await self._stopped.wait()
        finally:
            if not app.draining:
                await self._close(0.0)

    def shut_out(self, who: str) -> None:
        """A principal (by its id) may call no longer: end what it holds open."""
        if self._app is not None:
            self._app.shut_out(who)

    async def stop(self, drain: float) -> None:
        """Refuse new requests, end open streams, wait up to `drain` seconds for the rest, then close everything."""
        if self._server is None:
            self._stopped.set()  # not serving yet: `serve` returns as soon as it would begin
        elif not self._stopped.is_set():
            await self._close(drain)

    async def _close(self, drain: float) -> None:
        app, server = self._app, self._server
        if app is None or server is None:
            return
        app.draining = True
        server.close()
        if self._reaper is not None:
            self._reaper.cancel()
        app.modern.end_streams()
        app.legacy.end_streams()
        state = self._state
        for connection in list(state.connections):
            connection.shutdown()
        if drain > 0:
            await self._finished(asyncio.get_running_loop().time() + drain)
        for session in app.legacy.sessions:
            app.legacy.sessions.end(session, "the gateway is stopping")
        await self._cut_off(set(state.tasks))
        self._stopped.set()

    async def _finished(self, deadline: float) -> None:
        """Wait until every request is answered and every answer has left."""
        state, loop = self._state, asyncio.get_running_loop()
        if state.tasks:
            await asyncio.wait(set(state.tasks), timeout=deadline - loop.time())
        while state.connections and loop.time() < deadline:  # noqa: ASYNC110 - uvicorn tells nobody of the last one
            await asyncio.sleep(_LOOK_SECONDS)

    async def _cut_off(self, left: set[asyncio.Task[None]]) -> None:
        """Close what is still open: connections first, so that their requests see clients leave and end by themselves."""
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        if left:
            await asyncio.wait(left, timeout=_LEAVING_SECONDS)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_CLEANUP_SECONDS)

    def _reap(self, loop: asyncio.AbstractEventLoop, sessions: Sessions) -> None:
        sessions.reap()
        if self._app is not None:
            self._app.legacy.expire()
        every = max(0.05, min(60.0, self._spec.session_idle / 4))
        self._reaper = loop.call_later(every, self._reap, loop, sessions)


def _server_config(app: Any) -> Config:
    config = Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    config.load()
    return config


async def _bind(spec: HttpSpec) -> socket.socket:
    """A listening address, or an `OSError` whose text says what to change."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(spec.host or None, spec.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(
            error.errno, f"cannot listen on {spec.host}: {error.strerror}; check listeners.http.host"
        ) from error
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        what = f"cannot listen on {spec.host}:{spec.port}: {error.strerror}"
        fix = "stop the program that uses it, or choose another port with --port or listeners.http.port"
        raise OSError(error.errno, f"{what}; {fix}") from error
    return listening
