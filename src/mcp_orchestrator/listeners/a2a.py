"""The listener for A2A clients: every agent and the router as A2A 1.0 agents (0.3 as well), at an address of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from uvicorn import Config, Server

from mcp_orchestrator.agent_api import DelegationDoor
from mcp_orchestrator.listeners.admission import SignIn
from mcp_orchestrator.model.snapshot import A2aSpec, HttpSpec
from mcp_orchestrator.plugin_api import Listener

if TYPE_CHECKING:
    from mcp_orchestrator.listeners.a2a_app import A2aApp

_BACKLOG: Final = 512
_KEEP_ALIVE_SECONDS: Final = 75
_END_SECONDS: Final = 2.0
EXTRA: Final = "listeners.a2a needs the package a2a-sdk: pip install 'mcp-orchestrator[a2a]'"


class A2aListener(Listener):
    """Serves one address. `started` is called with the public address; port 0 picks a free one."""

    def __init__(self, spec: A2aSpec, door: DelegationDoor, sign_in: SignIn | None = None) -> None:
        """`sign_in` says who sent a request, or why they are turned away; without it everybody is nobody known."""
        self._spec = spec
        self._door = door
        self._sign_in = sign_in
        self._app: A2aApp | None = None
        self._server: _Server | None = None
        self._stopped = False

    async def serve(self, started: Callable[[str], None]) -> None:
        """Serve until stopped or cancelled.

        Raises:
            OSError: the address cannot be listened on, or the SDK is not installed; the message says what to do.
        """
        app = self._app = self._application()
        listening = await _bind(self._spec)
        with listening:
            port = listening.getsockname()[1]
            app.base = self._spec.public_url.rstrip("/") if self._spec.public_url else _address(self._spec.host, port)
            if self._stopped:
                return
            server = self._server = _Server(_config(app), lambda: started(app.base))
            await server.serve(sockets=[listening])

    def shut_out(self, who: str) -> None:
        """A principal (by its id) may call no longer: end what it listens to."""
        if self._app is not None:
            self._app.shut_out(who)

    async def stop(self, drain: float) -> None:
        """Refuse new requests, wait up to `drain` seconds for open ones, then close everything."""
        self._stopped = True
        server = self._server
        if server is None:
            return
        server.should_exit = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.over.wait(), max(drain, 0.01))
        server.force_exit = True
        server.cut_off()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.over.wait(), _END_SECONDS)

    def _application(self) -> A2aApp:
        try:
            from mcp_orchestrator.listeners.a2a_app import A2aApp  # noqa: PLC0415 - an extra, and half a second
        except ImportError as error:
            raise OSError(f"{EXTRA} ({error})") from error
        spec = self._spec
        public = urlsplit(spec.public_url).hostname if spec.public_url else None
        hosts = (*spec.allowed_hosts, *((public,) if public else ()))
        guard = HttpSpec(host=spec.host, port=spec.port, allowed_hosts=hosts, max_body_bytes=spec.max_body_bytes)
        return A2aApp(guard, self._door, sign_in=self._sign_in)


class _Server(Server):
    """uvicorn's server inside a program of ours: it leaves signals alone and tells when it is up and when it is over."""

    def __init__(self, config: Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started
        self.over = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the program's."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and tell."""
        await super().startup(sockets)
        self._tell()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve, and tell when that is over."""
        try:
            await super().serve(sockets)
        finally:
            self.cut_off()
            self.over.set()

    def cut_off(self) -> None:
        """Close the connections that are still open, so that their requests end."""
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()


def _config(app: A2aApp) -> Config:
    return Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _bind(spec: A2aSpec) -> socket.socket:
    """A listening address, or an `OSError` whose text says what to change."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(spec.host or None, spec.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        text = f"cannot listen on {spec.host}: {error.strerror}; check listeners.a2a.host"
        raise OSError(error.errno, text) from error
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        fix = "stop the program that uses it, or choose another with listeners.a2a.port"
        text = f"cannot listen on {spec.host}:{spec.port}: {error.strerror}; {fix}"
        raise OSError(error.errno, text) from error
    return listening
