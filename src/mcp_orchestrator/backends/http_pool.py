"""HTTP/1.1 client of one origin: keep-alive connections, one write per request, futures and no tasks.

It exists because it is the hot road: a general HTTP client costs ten to twenty times as much processor time per call.
A request is never sent twice if the server may have read it, unless the caller says that repeating is harmless.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import socket
import ssl
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from mcp_orchestrator.backends.http_connection import Connection, OnChunk, Response, StaleError
from mcp_orchestrator.backends.http_proxy import Proxy, ProxyError, connect_through, proxy_for
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec

SCRATCH_BYTES: Final = 64 * 1024
MAX_CONNECTIONS: Final = 128
CONNECT_SECONDS: Final = 10.0
# Servers close idle connections after 5 s (uvicorn 0.50, Node 24) or more; leaving first keeps requests off closing ones.
IDLE_SECONDS: Final = 4.0
_PROBE_AFTER_SECONDS: Final = 0.25  # idle for longer: look whether the peer has closed before writing

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e\x80-\xff\t]*")
_UNSAFE_TARGET: Final = re.compile(r"[^\x21-\x7e]")


def header_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """Header fields as they go on the wire.

    Raises:
        ValueError: a name or value cannot stand in a header; the message names the header, never its value.
    """
    lines: list[str] = []
    for name, value in headers:
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r} holds characters that HTTP does not allow")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One URL, taken apart. `shown` is scheme, host and port alone: paths and queries may be secrets, too."""

    secure: bool
    host: str
    port: int
    target: str = field(repr=False)
    authorization: str = field(repr=False)
    shown: str

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Take a URL apart.

        Raises:
            BackendError: INVALID; not an http or https URL with a host.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if parts.scheme not in {"http", "https"} or not host:
            raise BackendError(FailureKind.INVALID, "the URL must begin with http:// or https:// and name a host")
        secure = parts.scheme == "https"
        authorization = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        target = _UNSAFE_TARGET.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), target)
        try:
            ascii_host = host if ":" in host else host.encode("idna").decode("ascii")
        except UnicodeError:
            raise BackendError(FailureKind.INVALID, "the host of the URL is not a valid name") from None
        shown_host = f"[{host}]" if ":" in host else host
        shown = f"{parts.scheme}://{shown_host}{f':{port}' if port else ''}"
        return cls(secure, ascii_host, port or (443 if secure else 80), target, authorization, shown)

    @classmethod
    def of(cls, spec: BackendSpec) -> Endpoint:
        """The URL of a backend. Raises BackendError when it is missing or none."""
        if spec.url is None:
            raise BackendError(FailureKind.INVALID, f"backend {spec.name} has no `url`")
        try:
            return cls.parse(spec.url.reveal())
        except BackendError as error:
            raise BackendError(FailureKind.INVALID, f"backend {spec.name}: {error.message}") from error

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[bool, str, int]:
        """What two URLs must share to be of the same origin."""
        return (self.secure, self.host.lower(), self.port)

    def head(self, method: str, headers: Iterable[tuple[str, str]]) -> bytes:
        """Request line and headers, without the closing blank line and without Content-Length."""
        line = f"{method} {self.target} HTTP/1.1\r\nhost: {self.authority}\r\naccept-encoding: identity\r\n"
        return line.encode("ascii") + header_lines(headers)


class HttpPool:
    """The connections to one origin. `request` may be called by any number of tasks of one event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        max_body: int,
        label: str = "",
        proxy: Proxy | None = None,
        max_connections: int = MAX_CONNECTIONS,
        connect_timeout: float = CONNECT_SECONDS,
        idle: float = IDLE_SECONDS,
    ) -> None:
        """`label` names the server in messages; `max_body` is in bytes, the other two in seconds."""
        self._endpoint = endpoint
        self._proxy = proxy
        self._limit = max_connections
        self._connect_timeout = connect_timeout
        self._idle_limit = idle
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._extra: set[Connection] = set()
        self._connecting = 0
        self._queue: deque[asyncio.Future[Connection | None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._tls: ssl.SSLContext | None = None
        self._closed = False
        self.peer = label or endpoint.shown
        self.max_body = max_body
        self.scratch = memoryview(bytearray(SCRATCH_BYTES))

    @classmethod
    def of(cls, spec: BackendSpec, endpoint: Endpoint) -> HttpPool:
        """The pool of a backend, through the proxy of the environment if there is one; no connection is made yet.

        Raises:
            BackendError: UNAVAILABLE; the environment names a proxy that cannot be used.
        """
        label = f"backend {spec.name} ({endpoint.shown})"
        try:
            proxy = proxy_for(endpoint, os.environ)
        except ProxyError as error:
            raise BackendError(FailureKind.UNAVAILABLE, f"cannot connect to {label}: {error}") from error
        return cls(endpoint, max_body=spec.max_result_bytes, label=label, proxy=proxy)

    @property
    def open_connections(self) -> int:
        """How many connections are open, idle ones included."""
        return len(self._open)

    @property
    def idle_connections(self) -> int:
        """How many connections wait for work."""
        return len(self._idle)

    async def request(
        self,
        head: bytes,
        body: bytes | None,
        *,
        on_chunk: OnChunk | None = None,
        replayable: bool = False,
        urgent: bool = False,
    ) -> Response:
        """One exchange. `head` is what `Endpoint.head` made. Cancelling the caller closes the connection.

        With `on_chunk`, an answer of type text/event-stream goes there piece by piece, and the call returns when
        `on_chunk` says that it has what it needs. `replayable` allows a second attempt when a kept connection turns
        out to have been closed. `urgent` requests pass the limit of connections: calls that wait for an answer hold
        connections that only such a request frees.

        Raises:
            BackendError: UNAVAILABLE (no connection, nothing sent), DIED (sent, then lost), BAD_ANSWER.
        """
        data = _whole(head, body)
        connection = self._take() or await self._acquire(urgent=urgent)
        try:
            return await self._exchange(connection, data, on_chunk)
        except StaleError:
            if not replayable:
                text = f"{self.peer} closed a kept connection before it answered; the call may have been carried out"
                raise BackendError(FailureKind.DIED, text, sent=True) from None
        # The other idle connections are as old; a new one is certain. One beyond the limit is better than a wait.
        connection = await self._acquire(urgent=True)
        return await self._exchange(connection, data, on_chunk)

    async def stream(self, head: bytes, body: bytes | None, on_chunk: OnChunk) -> Response:
        """Like `request`, for a stream that stays open: on a connection of its own, outside the limit."""
        data = _whole(head, body)
        connection = await self._connect()
        self._extra.add(connection)
        return await self._exchange(connection, data, on_chunk)

    async def aclose(self) -> None:
        """Close every connection; whoever waits gets a BackendError."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in [*self._open, *self._extra]:
            connection.close_with(BackendError(FailureKind.DIED, f"the connection to {self.peer} was shut", sent=True))
        while self._queue:
            self._wake(None)
        await asyncio.sleep(0)

    # What connections call.

    def connection_free(self, connection: Connection) -> None:
        """Hand a connection to the next in line, or keep it."""
        if connection in self._extra or self._closed:
            connection.abort()
        elif not self._wake(connection):
            connection.idle_since = connection.now()
            self._idle.append(connection)
            if self._sweeper is None:
                self._sweep_later()

    def connection_gone(self, connection: Connection) -> None:
        """Forget a connection; its place goes to the next in line."""
        self._extra.discard(connection)
        if connection in self._open:
            self._open.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._wake(None)

    # The rest is ours.

    async def _exchange(self, connection: Connection, data: bytes, on_chunk: OnChunk | None) -> Response:
        try:
            return await connection.send(data, on_chunk)
        except asyncio.CancelledError:
            connection.abort()
            raise

    def _take(self) -> Connection | None:
        """The most recently used idle connection that is still good."""
        while self._idle:
            connection = self._idle.pop()
            quiet = connection.now() - connection.idle_since
            if quiet < _PROBE_AFTER_SECONDS or (quiet < self._limit_of(connection) and connection.silent()):
                return connection
            connection.abort()
        return None

    def _limit_of(self, connection: Connection) -> float:
        """Seconds that a connection may idle."""
        told = connection.idle_limit
        return self._idle_limit if told is None else told

    async def _acquire(self, *, urgent: bool = False) -> Connection:
        """A connection that another call gives up, or a new one; always a new one if `urgent`."""
        while not urgent and len(self._open) + self._connecting >= self._limit and not self._closed:
            place: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
            self._queue.append(place)
            try:
                connection = await place
            except asyncio.CancelledError:
                self._give_back(place)
                raise
            if connection is not None and not connection.gone:
                return connection
        self._connecting += 1
        try:
            connection = await self._connect()
        except BaseException:
            self._connecting -= 1
            self._wake(None)
            raise
        self._connecting -= 1
        self._open.add(connection)
        return connection

    def _give_back(self, place: asyncio.Future[Connection | None]) -> None:
        """A waiter was cancelled just as it was served: pass on what it got."""
        if place.done() and not place.cancelled():
            connection = place.result()
            if connection is None:
                self._wake(None)
            elif not connection.gone:
                self.connection_free(connection)
        elif place in self._queue:
            self._queue.remove(place)

    def _wake(self, connection: Connection | None) -> bool:
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(connection)
                return True
        return False

    async def _connect(self) -> Connection:
        """Open one connection.

        Raises:
            BackendError: UNAVAILABLE, with what went wrong in words; nothing was sent.
        """
        if self._closed:
            raise BackendError(FailureKind.UNAVAILABLE, f"the connection to {self.peer} was shut")
        loop = asyncio.get_running_loop()
        endpoint = self._endpoint
        if endpoint.secure and self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        try:
            async with asyncio.timeout(self._connect_timeout):
                connection = Connection(self, loop)
                if self._proxy is not None:
                    await connect_through(self._proxy, endpoint, connection, self._tls)
                else:
                    await loop.create_connection(lambda: connection, endpoint.host, endpoint.port, ssl=self._tls)
        except (OSError, TimeoutError) as error:
            text = f"cannot connect to {self.peer}: {_why(error, self._connect_timeout)}"
            raise BackendError(FailureKind.UNAVAILABLE, text) from error
        return connection

    def _sweep_later(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(max(self._idle_limit / 2, 0.05), self._sweep)

    def _sweep(self) -> None:
        """Close connections that idled for too long."""
        self._sweeper = None
        for connection in list(self._idle):
            if connection.now() - connection.idle_since >= self._limit_of(connection):
                connection.abort()
        if self._idle:
            self._sweep_later()


def _whole(head: bytes, body: bytes | None) -> bytes:
    if body is None:
        return head + b"\r\n"
    return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)


def _why(error: Exception, timeout: float) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its TLS certificate was not accepted ({error.verify_message})"
        case ssl.SSLError():
            return f"TLS failed ({error.reason or error})"
        case socket.gaierror():
            return f"its host name could not be resolved ({error.strerror})"
        case ConnectionRefusedError():
            return "connection refused"
        case TimeoutError():
            return f"no connection within {timeout:g} seconds"
        case _:
            return str(error) or type(error).__name__
