"""A scriptable HTTP/1.1 server on plain asyncio streams, for peers that lie, hang, drop and dribble."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """One request as it came. `writer` is the connection; `number` counts requests of the whole server from 1."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    number: int
    connection: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ended: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    def close(self) -> None:
        self.writer.close()

    def reply(self, body: bytes, *, status: str = "200 OK", kind: str = "application/json", extra: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
        self.write(head.encode() + body)

    def result(self, result: Any) -> None:
        self.reply(json.dumps({"jsonrpc": "2.0", "id": self.json["id"], "result": result}).encode())

    def error(self, code: int, message: str, data: Any = None, *, status: str = "200 OK") -> None:
        body: dict[str, Any] = {"code": code, "message": message}
        if data is not None:
            body["data"] = data
        self.reply(json.dumps({"jsonrpc": "2.0", "id": self.json["id"], "error": body}).encode(), status=status)

    def start_events(self, extra: str = "") -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n{extra}\r\n"
        self.write(head.encode())

    def chunk(self, data: bytes) -> None:
        self.write(b"%x\r\n%b\r\n" % (len(data), data))

    def event(self, message: Any, *, event_id: str | None = None, name: str = "message") -> None:
        head = f"event: {name}\n" + (f"id: {event_id}\n" if event_id else "")
        text = message if isinstance(message, str) else json.dumps(message)
        self.chunk(f"{head}data: {text}\n\n".encode())

    def end_events(self) -> None:
        self.write(b"0\r\n\r\n")

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.ended = True


@dataclass
class RawServer:
    """What a test sees of the server: where it is, and everything that was asked."""

    port: int = 0
    scheme: str = "http"
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def drop(self) -> None:
        """Close every connection at once."""
        for writer in self.writers:
            writer.transport.abort()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/mcp"


async def _read(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return method, target, headers, body


@contextlib.asynccontextmanager
async def raw_server(
    script: Callable[[Request], Awaitable[None] | None], *, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[RawServer]:
    """Serve every request with `script`; whatever still runs at the end is cancelled."""
    state = RawServer(scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        number = state.connections
        state.writers.add(writer)
        try:
            while not writer.is_closing() and (got := await _read(reader)) is not None:
                request = Request(*got, len(state.requests) + 1, number, reader, writer)
                state.requests.append(request)
                waiting = script(request)
                if waiting is not None:
                    await waiting
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            state.writers.discard(writer)
            writer.close()

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(start, "127.0.0.1", port, limit=2**24, ssl=tls)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
