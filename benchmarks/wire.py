"""The client's half of MCP 2026-07-28 as bytes: what the load sends and what it expects back.

An operation is one unit of work of the load. `first(number)` gives its first request, `follow(number, message)`
checks an answer and gives the next request of the same operation, or None when the operation is done. A wrong answer
raises `WrongAnswerError`: a benchmark that counts wrong answers as fast answers measures nothing.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

VERSION: Final = "2026-07-28"
META: Final = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
TOOL: Final = "echo"
"""What the tool of the backend is called; a gateway shows it under a name that ends so."""

FILLER: Final = "tool_"
"""How the names of the tools begin that only make a list long."""


class WrongAnswerError(Exception):
    """An answer is not the answer to what was asked, or not the whole of it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One JSON-RPC request: `body` is the encoded message, `headers` are the MCP headers of the HTTP form."""

    id: str
    body: bytes
    headers: dict[str, str]


class Operation(Protocol):
    """One unit of work, done again and again. `number` counts operations and is never used twice in a load."""

    def first(self, number: int) -> Request:
        """The request that begins operation `number`."""
        ...

    def follow(self, number: int, sent: Request, message: bytes) -> Request | None:
        """Check the answer to `sent`; the next request, or None at the end. Raises WrongAnswerError."""
        ...


class _Content(msgspec.Struct):
    type: str
    text: str = ""


class _CallResult(msgspec.Struct):
    content: list[_Content] = []
    is_error: bool = msgspec.field(default=False, name="isError")


class _Tool(msgspec.Struct):
    name: str
    input_schema: msgspec.Raw = msgspec.field(name="inputSchema")


class _ListResult(msgspec.Struct):
    tools: list[_Tool]
    next_cursor: str | None = msgspec.field(default=None, name="nextCursor")


class _CallAnswer(msgspec.Struct):
    id: Any
    result: _CallResult | None = None
    error: Any = None


class _ListAnswer(msgspec.Struct):
    id: Any
    result: _ListResult | None = None
    error: Any = None


_call_answer: Final = msgspec.json.Decoder(_CallAnswer)
_list_answer: Final = msgspec.json.Decoder(_ListAnswer)


def request(request_id: str, method: str, params: dict[str, Any], name: str | None = None) -> Request:
    """A modern request with its `_meta` and the headers that mirror it (MCP 2026-07-28, basic/transports)."""
    body = msgspec.json.encode(
        {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params | {"_meta": META}}
    )
    headers = {"MCP-Protocol-Version": VERSION, "Mcp-Method": method}
    if name is not None:
        headers["Mcp-Name"] = name
    return Request(request_id, body, headers)


class Echo:
    """Calls the echo tool with a text that is never the same and expects `size` characters that begin with it."""

    def __init__(self, tool: str, size: int) -> None:
        self.tool = tool
        self.size = size

    def first(self, number: int) -> Request:
        """A call whose `text` names its number."""
        arguments = {"text": f"n{number};", "size": self.size}
        return request(f"c{number}", "tools/call", {"name": self.tool, "arguments": arguments}, self.tool)

    def follow(self, number: int, sent: Request, message: bytes) -> None:
        """Raise WrongAnswerError unless id, beginning and length of the text are right."""
        answer = _decoded(_call_answer, message)
        _same_id(sent, answer.id)
        if answer.result is None or answer.result.is_error:
            raise WrongAnswerError(f"{sent.id} failed: {message[:300]!r}")
        text = "".join(block.text for block in answer.result.content)
        if len(text) != self.size:
            raise WrongAnswerError(f"{sent.id}: {len(text)} characters instead of {self.size}")
        if not text.startswith(f"n{number};"):
            raise WrongAnswerError(f"{sent.id} got the text of another call: {text[:40]!r}")


class ListTools:
    """Lists all tools, page after page, and expects `count` of them; `echo` is then the name of an echo tool."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.echo = TOOL
        self._seen: dict[int, set[str]] = {}
        self._pages = itertools.count()

    def first(self, number: int) -> Request:
        """The request of the first page."""
        self._seen[number] = set()
        return request(f"l{number}", "tools/list", {})

    def follow(self, number: int, sent: Request, message: bytes) -> Request | None:
        """The next page's request; at the end, raise WrongAnswerError unless every tool was there."""
        answer = _decoded(_list_answer, message)
        _same_id(sent, answer.id)
        if answer.result is None:
            raise WrongAnswerError(f"{sent.id} failed: {message[:300]!r}")
        seen = self._seen[number]
        seen.update(tool.name for tool in answer.result.tools)
        if answer.result.next_cursor is not None:
            return request(f"l{number}.{next(self._pages)}", "tools/list", {"cursor": answer.result.next_cursor})
        del self._seen[number]
        ours = sum(1 for name in seen if name.endswith(TOOL) or FILLER in name)
        if ours != self.count:
            raise WrongAnswerError(f"{sent.id}: {ours} tools instead of {self.count}")
        self.echo = next((name for name in seen if name.endswith(TOOL)), TOOL)
        return None


def last_event(body: bytes) -> bytes:
    """The data of the last event of an answer that came as server-sent events."""
    data = [line[5:].strip() for line in body.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data:")]
    whole = [item for item in data if item]
    if not whole:
        raise WrongAnswerError(f"an event stream without data: {body[:200]!r}")
    return whole[-1]


def _decoded(decoder: msgspec.json.Decoder[Any], message: bytes) -> Any:
    try:
        return decoder.decode(message)
    except ValueError as error:
        raise WrongAnswerError(f"not the answer of MCP: {error}: {message[:300]!r}") from error


def _same_id(sent: Request, got: object) -> None:
    if got != sent.id:
        raise WrongAnswerError(f"answer {got!r} to request {sent.id!r}")
