"""Raw wire to our own listeners: an HTTP listener with a client, and a stdio listener with the other ends of its pipes."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from fake_gateway import FakeGateway

from mcp_orchestrator.core.wire.sse import Parser, ServerSentEvent
from mcp_orchestrator.listeners.http import HttpListener
from mcp_orchestrator.listeners.stdio import StdioListener
from mcp_orchestrator.model.snapshot import HttpSpec

BOTH = "application/json, text/event-stream"
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "wire", "version": "1"},
}


def modern_body(method: str, params: dict[str, Any] | None = None, key: Any = 1, **meta: Any) -> dict[str, Any]:
    """A modern request; `meta` adds to the envelope."""
    return {"jsonrpc": "2.0", "id": key, "method": method, "params": {**(params or {}), "_meta": {**META, **meta}}}


def modern_headers(body: dict[str, Any]) -> dict[str, str]:
    """The headers that go with a modern body."""
    headers = {"accept": BOTH, "mcp-protocol-version": MODERN, "mcp-method": body["method"]}
    name = body["params"].get("name", body["params"].get("uri"))
    return headers if name is None else {**headers, "mcp-name": name}


async def raw_request(url: str, method: str, headers: dict[str, str], body: bytes = b"", path: str = "") -> Any:
    """One HTTP request as written, on a connection of its own: status, headers, body. No header is added but host."""
    _, _, address, *rest = url.split("/")
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    fields = {"host": address, "content-length": str(len(body)), "connection": "close", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value != "-")
    writer.write(f"{method} {path or '/' + '/'.join(rest)} HTTP/1.1\r\n{head}\r\n".encode() + body)
    reply = await reader.read()
    writer.close()
    top, _, content = reply.partition(b"\r\n\r\n")
    lines = top.decode().split("\r\n")
    sent = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), sent, content


def events_of(text: bytes) -> list[Any]:
    """The JSON of every event that has data."""
    return [json.loads(event.data) for event in Parser().feed(text) if event.data]


def message_of(reply: Any) -> Any:
    """The one message of a reply, be it plain JSON or an event."""
    if reply.headers["content-type"] != "text/event-stream":
        return reply.json()
    (message,) = events_of(reply.content)
    return message


class Served:
    """A running HTTP listener, its gateway, and a client."""

    def __init__(self, url: str, gateway: FakeGateway, listener: HttpListener, client: httpx2.AsyncClient) -> None:
        self.url = url
        self.gateway = gateway
        self.listener = listener
        self.client = client

    async def modern(self, method: str, params: dict[str, Any] | None = None, key: Any = 1, **meta: Any) -> Any:
        """One modern request, the response as it came."""
        body = modern_body(method, params, key, **meta)
        return await self.client.post(self.url, json=body, headers=modern_headers(body))

    async def call(self, tool: str, arguments: dict[str, Any] | None = None, key: Any = 1, **meta: Any) -> Any:
        """One modern tool call."""
        return await self.modern("tools/call", {"name": tool, "arguments": arguments or {}}, key, **meta)

    def streaming(self, body: dict[str, Any]) -> Any:
        """A modern request whose reply is read as it comes."""
        return self.client.stream("POST", self.url, json=body, headers=modern_headers(body))

    async def legacy(self, body: Any, session: str | None = None, **headers: str) -> Any:
        """One legacy POST."""
        sent = {"accept": BOTH, **headers}
        if session is not None:
            sent["mcp-session-id"] = session
        return await self.client.post(self.url, json=body, headers=sent)

    async def open(self, version: str = "2025-11-25", capabilities: dict[str, Any] | None = None, url: str = "") -> str:
        """Initialize; returns the session id."""
        reply = await self.client.post(
            url or self.url, json=initialize(version, capabilities), headers={"accept": BOTH}
        )
        assert reply.status_code == 200, reply.text
        return reply.headers["mcp-session-id"]


def initialize(version: str = "2025-11-25", capabilities: dict[str, Any] | None = None) -> dict[str, Any]:
    """The opening request of a legacy client."""
    info = {"name": "wire", "version": "1"}
    params = {"protocolVersion": version, "capabilities": capabilities or {}, "clientInfo": info}
    return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}


def request(method: str, params: dict[str, Any] | None = None, key: Any = 1) -> dict[str, Any]:
    """A legacy request."""
    return {"jsonrpc": "2.0", "id": key, "method": method, "params": params or {}}


class Events:
    """The events of a reply, one at a time."""

    def __init__(self, reply: Any) -> None:
        self._chunks = reply.aiter_bytes()
        self._parser = Parser()
        self._ready: list[ServerSentEvent] = []

    async def next(self) -> Any:
        """The next message, events without data passed over; None at the end of the stream."""
        while (event := await self.event()) is not None:
            if event.data:
                return json.loads(event.data)
        return None

    async def event(self) -> ServerSentEvent | None:
        """The next event as it came; None at the end of the stream."""
        while not self._ready:
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                return None
            self._ready += self._parser.feed(chunk)
        return self._ready.pop(0)


@asynccontextmanager
async def serving(
    gateway: FakeGateway | None = None, *, question_expiry: float = 600.0, **spec: Any
) -> AsyncIterator[Served]:
    """An HTTP listener on a free port, stopped at the end."""
    gateway = gateway or FakeGateway()
    listener = HttpListener(HttpSpec(port=0, **spec), gateway, question_expiry)
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(listener.serve(url.set_result))
    await asyncio.wait((task, url), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    async with httpx2.AsyncClient(timeout=10, trust_env=False) as client:
        try:
            yield Served(url.result(), gateway, listener, client)
        finally:
            await listener.stop(0.0)
            await task


class Piped:
    """A running stdio listener and the client's ends of its pipes."""

    def __init__(
        self, gateway: FakeGateway, listener: StdioListener, send_fd: int, reader: asyncio.StreamReader
    ) -> None:
        self.gateway = gateway
        self.listener = listener
        self.task: asyncio.Task[None] | None = None
        self._send_fd: int | None = send_fd
        self._reader = reader

    def write(self, data: bytes) -> None:
        """Raw bytes (at most what a pipe holds)."""
        assert self._send_fd is not None
        os.write(self._send_fd, data)

    def send(self, message: Any) -> None:
        """One message."""
        self.write(json.dumps(message).encode() + b"\n")

    async def receive(self) -> Any:
        """The next message; None at the end."""
        line = await self._reader.readline()
        return json.loads(line) if line else None

    async def ask(self, message: Any) -> Any:
        """Send a request and take the next message."""
        self.send(message)
        return await self.receive()

    def hang_up(self) -> None:
        """Close the client's writing end."""
        if self._send_fd is not None:
            os.close(self._send_fd)
            self._send_fd = None


@asynccontextmanager
async def piping(gateway: FakeGateway | None = None, **options: Any) -> AsyncIterator[Piped]:
    """A stdio listener on a pair of pipes, stopped at the end."""
    gateway = gateway or FakeGateway()
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    listener = StdioListener(gateway, stdin=in_read, stdout=out_write, **options)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(out_read, "rb", 0)
    )
    piped = Piped(gateway, listener, in_write, reader)
    started = asyncio.Event()
    task = piped.task = asyncio.create_task(listener.serve(lambda _address: started.set()))
    task.add_done_callback(lambda _task: os.close(out_write))
    await asyncio.wait((task, asyncio.create_task(started.wait())), return_when=asyncio.FIRST_COMPLETED)
    try:
        yield piped
    finally:
        await listener.stop(0.0)
        await asyncio.wait((task,))
        if not task.cancelled():
            task.result()
        piped.hang_up()
        os.close(in_read)
        transport.close()
