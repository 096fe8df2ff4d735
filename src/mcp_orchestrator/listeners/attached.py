"""Where delegated agents come in: with the token of their run, over HTTP or, through the shim, a Unix socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final

from mcp_orchestrator.listeners import admission
from mcp_orchestrator.listeners.http_guard import Exchange, Rejection
from mcp_orchestrator.listeners.stdio import StdioListener
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.plugin_api import GatewayDoor, Listener, View
from mcp_orchestrator.runtime.attachments import Admitted

Admit = Callable[[str], Admitted | None]
"""Whom a token stands for; None for any other text."""

FIRST_LINE_SECONDS: Final = 5.0
LONGEST_TOKEN: Final = 200
_BACKLOG: Final = 64
_BEARER: Final = "bearer "
_STRANGER: Final = Rejection(
    401, "this endpoint is for agents that work for a run, with the run's token", ((b"www-authenticate", b"Bearer"),)
)


def admitter(admit: Admit) -> admission.Admit:
    """Lets in agents with the token of their run (RFC 6750 section 2.1), by the profile of the run whatever the path."""

    def of_request(era: Era, _profile: str | None, exchange: Exchange) -> View | Rejection:
        value = exchange.headers.get(b"authorization", b"").decode("latin-1")
        admitted = admit(value[len(_BEARER) :].strip()) if value[: len(_BEARER)].lower() == _BEARER else None
        return _STRANGER if admitted is None else View(era, admitted.profile, admitted.principal)

    return of_request


class AttachedSocket(Listener):
    """A Unix socket in a directory that only this user can enter (the maker's care); its end is the directory's.

    Each connection is one client, whose first line is its token.
    """

    def __init__(self, path: str, gateway: GatewayDoor, admit: Admit, question_expiry: float) -> None:
        self._path = path
        self._gateway = gateway
        self._admit = admit
        self._expiry = question_expiry
        self._stopped = asyncio.Event()
        self._clients: set[asyncio.Task[None]] = set()

    async def serve(self, started: Callable[[str], None]) -> None:
        """Serve until stopped.

        Raises:
            OSError: the socket cannot be made.
        """
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(self._path)
            listening.listen(_BACKLOG)
            listening.setblocking(False)
            started(self._path)
            accepting = asyncio.ensure_future(self._accept(listening))
            try:
                await self._stopped.wait()
            finally:
                accepting.cancel()
                await self._end_clients()
        finally:
            listening.close()

    async def stop(self, drain: float) -> None:
        """End; connections get no time, for the agents behind them are ended before."""
        del drain
        self._stopped.set()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listening)
            task = loop.create_task(self._client(connection))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)

    async def _client(self, connection: socket.socket) -> None:
        with connection:
            connection.setblocking(False)
            try:
                token = await asyncio.wait_for(_first_line(connection), FIRST_LINE_SECONDS)
            except (TimeoutError, OSError):
                return
            admitted = self._admit(token)
            if admitted is None:
                return
            descriptor = os.dup(connection.fileno())
            try:
                listener = StdioListener(
                    self._gateway,
                    profile=admitted.profile,
                    principal=admitted.principal,
                    stdin=descriptor,
                    stdout=descriptor,
                    question_expiry=self._expiry,
                    end_grace=0.0,
                )
                await listener.serve(lambda _address: None)
            finally:
                os.close(descriptor)

    async def _end_clients(self) -> None:
        left = set(self._clients)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=5)


async def _first_line(connection: socket.socket) -> str:
    """The bytes before the first line feed, which is taken as well and nothing behind it."""
    loop = asyncio.get_running_loop()
    line = bytearray()
    while len(line) < LONGEST_TOKEN:
        byte = await loop.sock_recv(connection, 1)
        if byte in (b"", b"\n"):
            break
        line += byte
    return line.decode("latin-1")
