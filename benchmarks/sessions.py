"""Holds many legacy sessions and event streams open on one endpoint: what idle clients cost a gateway."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from typing import Final

from wire import WrongAnswerError, request

LEGACY: Final = "2025-11-25"
INITIALIZE: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}},
}
INITIALIZED: Final = {"jsonrpc": "2.0", "method": "notifications/initialized"}
PATIENCE: Final = 20.0
"""Seconds that one exchange may take."""


class Crowd:
    """Clients of one endpoint that do nothing: `sessions` are ids, `streams` are connections held open."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "127.0.0.1", parts.port or 80, parts.path
        self.sessions: list[str] = []
        self.streams: list[asyncio.StreamWriter] = []

    async def settle_in(self, count: int) -> None:
        """Open `count` legacy sessions; their connections are closed, the sessions stay. Raises WrongAnswerError."""
        for _ in range(count):
            head = await self._exchange(json.dumps(INITIALIZE).encode(), {})
            session = head.get("mcp-session-id")
            if session is None:
                raise WrongAnswerError(f"initialize gave no session: {head}")
            own = {"Mcp-Session-Id": session, "MCP-Protocol-Version": LEGACY}
            await self._exchange(json.dumps(INITIALIZED).encode(), own)
            self.sessions.append(session)

    async def open_streams(self, count: int) -> None:
        """Open the GET streams of the first `count` sessions and leave them open. Raises WrongAnswerError."""
        for session in self.sessions[:count]:
            await self._stream("GET", b"", {"Mcp-Session-Id": session, "MCP-Protocol-Version": LEGACY})

    async def listen(self, count: int) -> None:
        """Open `count` modern `subscriptions/listen` streams and leave them open. Raises WrongAnswerError."""
        for number in range(count):
            asked = request(f"s{number}", "subscriptions/listen", {"notifications": {"toolsListChanged": True}})
            await self._stream("POST", asked.body, asked.headers)

    async def leave(self) -> None:
        """Close the streams."""
        for writer in self.streams:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self.streams), return_exceptions=True)
        self.streams.clear()

    def _request(self, verb: str, body: bytes, headers: dict[str, str]) -> bytes:
        every = {
            "Host": f"{self._host}:{self._port}",
            "Accept": "text/event-stream" if verb == "GET" else "application/json, text/event-stream",
        }
        if verb == "POST":
            every |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in (every | headers).items())
        return f"{verb} {self._path} HTTP/1.1\r\n{lines}\r\n".encode() + body

    async def _exchange(self, body: bytes, headers: dict[str, str]) -> dict[str, str]:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(self._host, self._port)
            writer.write(self._request("POST", body, headers | {"Connection": "close"}))
            head = await _head(reader)
            await reader.read()
            writer.close()
            return head

    async def _stream(self, verb: str, body: bytes, headers: dict[str, str]) -> None:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(self._host, self._port, limit=16_384)
            writer.write(self._request(verb, body, headers))
            head = await _head(reader)
            if not head.get("content-type", "").startswith("text/event-stream"):
                raise WrongAnswerError(f"{verb} gave no stream: {head}")
            self.streams.append(writer)


async def _head(reader: asyncio.StreamReader) -> dict[str, str]:
    try:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError as error:
        raise WrongAnswerError(f"closed without an answer: {error.partial!r}") from error
    if first.split(" ")[1] not in {"200", "202"}:
        raise WrongAnswerError(f"{first}: {(await reader.read(300))!r}")
    pairs = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
