"""A model endpoint on loopback that plays a script, so that real agents run offline: no account, no cost, no chance.

It speaks the streams of two model interfaces: Anthropic Messages (`POST /v1/messages`), as Claude Code 2.1.330 uses
it, and OpenAI Responses (`POST /v1/responses`, `wire_api = "responses"`), as Codex 0.169.0 uses it (both 2026-11-24).
What to say next is read off the request itself, so retries and side requests (titles, classifiers) do no harm.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

_OVER: Final = "The script is over."
_ASIDE: Final = "ok"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call of the model.

    `tool` is the whole name that the agent offers, or its end: `notes__add` finds `mcp__gateway__notes__add`.
    """

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """What the model says in one reply: text, then tool calls. The agent answers these before the next turn."""

    text: str = ""
    uses: Sequence[ToolUse] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """One request of an agent to the model.

    `offered` maps the whole name of each tool to its definition, `results` the calls of the script that were answered,
    in order, to what the agent made of the answer: a text, or a list of content parts.
    """

    path: str
    body: Mapping[str, Any]
    offered: Mapping[str, Mapping[str, Any]]
    results: Mapping[str, Any]


class ScriptedModel:
    """Serves `turns` on 127.0.0.1 while its `with` block lasts. `seen` holds the requests that offered tools.

    `url` is the base for Anthropic clients (`ANTHROPIC_BASE_URL`); `url + "/v1"` the one for OpenAI clients.
    """

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._turns = tuple(turns)
        self._lock = threading.Lock()
        self._seen: list[Seen] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def seen(self) -> tuple[Seen, ...]:
        """The requests so far that offered at least one tool, oldest first."""
        with self._lock:
            return tuple(self._seen)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reply(self, path: str, body: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events, `(type, data)`, that answer one request; it is remembered when it offers tools."""
        anthropic = "messages" in path
        offered = dict(_offered(body.get("tools")))
        answered = dict(_anthropic_results(body) if anthropic else _openai_results(body))
        if offered:
            with self._lock:
                self._seen.append(Seen(path, body, offered, answered))
        number, turn = self._next(answered, _said(body)) if offered else (0, Turn(_ASIDE))
        calls = [
            (f"call_{number}_{place}", _whole_name(use.tool, offered), use.arguments)
            for place, use in enumerate(turn.uses)
        ]
        model = str(body.get("model", "scripted"))
        return _anthropic_events(turn.text, calls, model) if anthropic else _openai_events(turn.text, calls, offered)

    def _next(self, answered: Mapping[str, Any], said: str) -> tuple[int, Turn]:
        """The first turn that is not in the conversation yet: its calls unanswered, or its text unsaid."""
        for number, turn in enumerate(self._turns):
            done = all(f"call_{number}_{place}" in answered for place in range(len(turn.uses)))
            if not done or (not turn.uses and turn.text not in said):
                return number, turn
        return len(self._turns), Turn(_OVER)


def _offered(tools: Any, space: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Whole names of the tools of a request; those of a namespace (Responses) are `NAMESPACE__NAME`."""
    for tool in tools if isinstance(tools, list) else ():
        if tool.get("type") == "namespace":
            yield from _offered(tool.get("tools"), f"{tool['name']}__")
        elif "name" in tool:
            yield space + tool["name"], tool


def _whole_name(wanted: str, offered: Mapping[str, Any]) -> str:
    """The offered name that is or ends in `wanted`; else `wanted` itself, which the agent may then refuse."""
    if wanted in offered:
        return wanted
    return next((name for name in offered if name.endswith(f"__{wanted}")), wanted)


def _said(body: Mapping[str, Any]) -> str:
    """All that assistants said before, as one text to search."""
    before = body.get("messages") or body.get("input") or []
    return json.dumps([one for one in before if isinstance(one, dict) and one.get("role") == "assistant"])


def _anthropic_results(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for message in body.get("messages", ()):
        for block in message["content"] if isinstance(message.get("content"), list) else ():
            if block.get("type") == "tool_result":
                yield block["tool_use_id"], block.get("content")


def _openai_results(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for item in body["input"] if isinstance(body.get("input"), list) else ():
        if item.get("type") == "function_call_output":
            yield item["call_id"], item.get("output")


_Calls = Sequence[tuple[str, str, Mapping[str, Any]]]
_Events = Iterator[tuple[str, dict[str, Any]]]


def _anthropic_events(text: str, calls: _Calls, model: str) -> _Events:
    """The stream of one assistant message: blocks of text and tool use, each opened, filled and closed."""
    usage = {"input_tokens": 10, "output_tokens": 5}
    message = {"id": "msg_scripted", "type": "message", "role": "assistant", "model": model, "content": []}
    yield "message_start", {"message": message | {"stop_reason": None, "stop_sequence": None, "usage": usage}}
    blocks: list[tuple[dict[str, Any], dict[str, Any]]] = []
    if text:
        blocks.append(({"type": "text", "text": ""}, {"type": "text_delta", "text": text}))
    for call, name, arguments in calls:
        opened = {"type": "tool_use", "id": call, "name": name, "input": {}}
        blocks.append((opened, {"type": "input_json_delta", "partial_json": json.dumps(dict(arguments))}))
    for index, (opened, delta) in enumerate(blocks):
        yield "content_block_start", {"index": index, "content_block": opened}
        yield "content_block_delta", {"index": index, "delta": delta}
        yield "content_block_stop", {"index": index}
    reason = "tool_use" if calls else "end_turn"
    yield "message_delta", {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}
    yield "message_stop", {}


def _openai_events(text: str, calls: _Calls, offered: Mapping[str, Any]) -> _Events:
    """The stream of one response: its items, each added and done. A call names the namespace of its tool apart."""
    response: dict[str, Any] = {"id": "resp_scripted", "object": "response", "output": []}
    yield "response.created", {"response": response | {"status": "in_progress"}}
    items: list[dict[str, Any]] = []
    if text:
        content = [{"type": "output_text", "text": text, "annotations": []}]
        items.append({"type": "message", "id": "msg_scripted", "role": "assistant", "content": content})
    for call, name, arguments in calls:
        own = str(offered[name]["name"]) if name in offered else name
        space = {"namespace": name.removesuffix(f"__{own}")} if own != name else {}
        item = {"type": "function_call", "id": f"fc_{call}", "call_id": call, "name": own}
        items.append(item | space | {"arguments": json.dumps(dict(arguments))})
    for index, item in enumerate(items):
        yield "response.output_item.added", {"output_index": index, "item": item | {"status": "in_progress"}}
        yield "response.output_item.done", {"output_index": index, "item": item | {"status": "completed"}}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, **details}
    yield "response.completed", {"response": response | {"status": "completed", "output": items, "usage": usage}}


def _handler_of(model: ScriptedModel) -> type[BaseHTTPRequestHandler]:
    """A request handler class bound to one model: the standard library makes an instance per connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._send(b"", "text/plain")

        def do_GET(self) -> None:
            self._send(b'{"data": [], "models": []}')

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            path = self.path.partition("?")[0]
            if path.endswith("/v1/messages"):
                events = list(model.reply(path, body))
                if not body.get("stream"):
                    self._send(json.dumps(_folded(events)).encode())
                    return
            elif path.endswith("/v1/responses"):
                events = list(model.reply(path, body))
            else:
                self._send(b'{"input_tokens": 10}')
                return
            lines = [f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n" for kind, data in events]
            self._send("".join(lines).encode(), "text/event-stream")

        def _send(self, body: bytes, kind: str = "application/json") -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the standard library
            """Say nothing: the program's output belongs to its user."""

    return Handler


def _folded(events: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The message that a stream of Anthropic events makes, for requests that do not stream."""
    message: dict[str, Any] = dict(events[0][1]["message"])
    content: list[dict[str, Any]] = []
    for kind, data in events:
        if kind == "content_block_start":
            content.append(dict(data["content_block"]))
        elif kind == "content_block_delta" and "text" in data["delta"]:
            content[-1]["text"] = data["delta"]["text"]
        elif kind == "content_block_delta":
            content[-1]["input"] = json.loads(data["delta"]["partial_json"])
        elif kind == "message_delta":
            message |= data["delta"]
    return message | {"content": content}
