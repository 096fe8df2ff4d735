"""A modern MCP server (2026-07-28) that costs next to nothing, over HTTP or stdio: the end of the road in benchmarks.

It offers `echo(text, size)`, whose result is `text` filled up to `size` characters, and as many further tools as asked
for. It judges only what it needs for the answer. `--http PORT` (0: any) prints the port it took; without it the server
speaks newline-delimited JSON-RPC on its standard input and output. `--pids` is a directory where its process id goes, by which
the benchmark keeps the backend's processor time out of a gateway's account.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Final

import httptools
import msgspec
import uvloop

NAME: Final = b'{"name":"benchmark-backend","version":"1"}'
DISCOVER: Final = (
    b'{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},'
    b'"ttlMs":3600000,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":' + NAME + b"}}"
)
CALL_HEAD: Final = b'{"resultType":"complete","content":[{"type":"text","text":"'
CALL_TAIL: Final = b'"}],"isError":false}'
UNKNOWN: Final = b'{"code":-32601,"message":"Method not found"}'
TOO_OLD: Final = (
    b'{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28"],"requested":"legacy"}}'
)
REASONS: Final = {200: b"OK", 202: b"Accepted", 400: b"Bad Request", 404: b"Not Found"}


class Arguments(msgspec.Struct):
    """Arguments of echo."""

    text: str = ""
    size: int = 0


class Params(msgspec.Struct):
    """Parameters of a request, as far as they matter here."""

    arguments: Arguments | None = None


class Message(msgspec.Struct):
    """An incoming message; without id it is a notification."""

    method: str = ""
    id: int | str | None = None
    params: Params | None = None


def tool_definitions(count: int) -> list[dict[str, Any]]:
    """`echo` and `count - 1` tools of the size that real ones have (about 600 bytes each)."""
    echo = {
        "name": "echo",
        "description": "Answer with the text, filled up to a size.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "text": {"type": "string", "maxLength": 1000},
                "size": {"type": "integer", "minimum": 0, "maximum": 100_000_000},
            },
            "required": ["text", "size"],
            "additionalProperties": False,
        },
    }
    return [echo, *(_filler(number) for number in range(1, count))]


def _filler(number: int) -> dict[str, Any]:
    return {
        "name": f"tool_{number:04d}",
        "title": f"Tool number {number}",
        "description": f"Searches collection {number} and returns the entries that match, newest first, with scores.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "What to look for, in plain words."},
                "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
                "order": {"type": "string", "enum": ["newest", "oldest", "score"], "description": "Sort order."},
                "labels": {"type": "array", "items": {"type": "string"}, "description": "Only entries with these."},
            },
            "required": ["query"],
        },
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    }


class Server:
    """Turns one message into the parts of its answer."""

    def __init__(self, tools: int) -> None:
        self._decode = msgspec.json.Decoder(Message).decode
        listed = msgspec.json.encode(tool_definitions(tools))
        self._list = b'{"resultType":"complete","ttlMs":3600000,"cacheScope":"public","tools":' + listed + b"}"
        self._filling: dict[int, memoryview] = {}

    def answer(self, data: bytes | bytearray) -> tuple[int, list[Any]]:
        """HTTP status and the parts of the body; no parts for a notification."""
        message = self._decode(data)
        if message.id is None:
            return 202, []
        head = b'{"jsonrpc":"2.0","id":' + msgspec.json.encode(message.id)
        match message.method:
            case "tools/call":
                return 200, [head + b',"result":' + CALL_HEAD, *self._text(message.params), CALL_TAIL + b"}"]
            case "tools/list":
                return 200, [head + b',"result":', self._list, b"}"]
            case "server/discover":
                return 200, [head + b',"result":', DISCOVER, b"}"]
            case "initialize":
                return 400, [head + b',"error":', TOO_OLD, b"}"]
            case _:
                return 404, [head + b',"error":', UNKNOWN, b"}"]

    def _text(self, params: Params | None) -> tuple[Any, ...]:
        arguments = (params and params.arguments) or Arguments()
        text = msgspec.json.encode(arguments.text)[1:-1]
        missing = arguments.size - len(arguments.text)
        if missing <= 0:
            return (text,)
        filling = self._filling.get(missing)
        if filling is None:
            filling = self._filling[missing] = memoryview(b"." * missing)
        return text, filling


class HttpConnection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        """Collect the body."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Answer."""
        body = b"".join(self._body)
        self._body.clear()
        if self._parser.get_method() != b"POST":
            self._transport.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        status, parts = self._server.answer(body)
        length = sum(map(len, parts))
        head = b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        parts.insert(0, head % (status, REASONS[status], length))
        if length < 65_536:
            self._transport.write(b"".join(parts))
        else:
            self._transport.writelines(parts)


class Lines(asyncio.Protocol):
    """Standard input, line by line."""

    def __init__(self, server: Server, done: asyncio.Event) -> None:
        self._server = server
        self._done = done
        self._rest = b""
        self.out: Any = None

    def data_received(self, data: bytes) -> None:
        """Answer every whole line with one write."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        parts: list[Any] = []
        for line in lines:
            if line.strip():
                answer = self._server.answer(line)[1]
                parts += [*answer, b"\n"] if answer else []
        if parts:
            self.out.write(b"".join(parts))

    def connection_lost(self, exc: Exception | None) -> None:
        """End of input ends the server."""
        del exc
        self._done.set()


async def serve_http(server: Server, port: int) -> None:
    """Serve on the loopback interface until cancelled; prints the port."""
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: HttpConnection(server), "127.0.0.1", port, backlog=4096)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


async def serve_stdio(server: Server) -> None:
    """Serve standard input until it ends."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    lines = Lines(server, done)
    lines.out, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout)
    await loop.connect_read_pipe(lambda: lines, sys.stdin)
    await done.wait()


def main() -> None:
    """Read the options and serve."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--http", type=int, metavar="PORT", help="serve HTTP instead of stdio; 0 takes any port")
    options.add_argument("--tools", type=int, default=1)
    options.add_argument(
        "--pids", type=Path, metavar="DIRECTORY", help="the process id becomes the name of a file there"
    )
    chosen = options.parse_args()
    if chosen.pids is not None:
        (chosen.pids / str(os.getpid())).touch()
    server = Server(chosen.tools)
    uvloop.run(serve_stdio(server) if chosen.http is None else serve_http(server, chosen.http))


if __name__ == "__main__":
    main()
