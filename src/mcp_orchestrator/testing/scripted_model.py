"""A model endpoint on loopback that plays a script, so that real agents run offline: no account, no cost, no chance.

It speaks the interfaces that agents use: Anthropic Messages, OpenAI Responses and chat completions, and Gemini
(`testing.model_*`). What to say next is read off the request itself, so retries and side requests (titles,
classifiers) do no harm.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from mcp_orchestrator.testing import model_anthropic, model_gemini, model_openai, model_openai_chat

_OVER: Final = "The script is over."
_ASIDE: Final = "ok"
_EVENTS: Final = "text/event-stream"


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

    `url` is the base for Anthropic and Gemini clients (`ANTHROPIC_BASE_URL`, `GOOGLE_GEMINI_BASE_URL`); `url + "/v1"`
    the one for OpenAI clients.
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

    def answer(self, path: str, body: Mapping[str, Any]) -> tuple[str, str]:
        """The answer to one request, as its media type and text; it is remembered when it offers tools."""
        model, stream = str(body.get("model", "scripted")), body.get("stream") is True
        if path.endswith("/v1/messages"):
            text, calls, _offers = self._reply(path, body, _offered(body.get("tools")), model_anthropic.results(body))
            events = list(model_anthropic.events(text, calls, model))
            return _typed(events) if stream else _json(model_anthropic.whole(events))
        if path.endswith("/responses"):
            text, calls, offers = self._reply(path, body, _offered(body.get("tools")), model_openai.results(body))
            return _typed(list(model_openai.events(text, calls, offers)))
        if path.endswith("/chat/completions"):
            found = model_openai_chat.offered(body), model_openai_chat.results(body)
            text, calls, _offers = self._reply(path, body, *found)
            if not stream:
                return _json(model_openai_chat.whole(text, calls, model))
            return _EVENTS, _data(model_openai_chat.chunks(text, calls, model)) + "data: [DONE]\n\n"
        if path.endswith(("GenerateContent", ":generateContent")):
            found = model_gemini.offered(body), model_gemini.results(body, self._order())
            text, calls, offers = self._reply(path, body, *found)
            if not offers:
                text = model_gemini.aside(body) or text
            told = model_gemini.response(text, calls, path.rpartition("/")[2].partition(":")[0])
            return (_EVENTS, _data([told])) if path.endswith(":streamGenerateContent") else _json(told)
        return _json({"input_tokens": 10, "totalTokens": 10})

    def _reply(
        self,
        path: str,
        body: Mapping[str, Any],
        offered: Iterator[tuple[str, Mapping[str, Any]]],
        results: Iterator[tuple[str, Any]],
    ) -> tuple[str, list[tuple[str, str, Mapping[str, Any]]], Mapping[str, Any]]:
        """What to say to a request: text, calls by the names that were offered, and the offers."""
        offers, answered = dict(offered), dict(results)
        if offers:
            with self._lock:
                self._seen.append(Seen(path, body, offers, answered))
        number, turn = self._next(answered, _said(body)) if offers else (0, Turn(_ASIDE))
        calls = [
            (_call(number, place), _whole_name(use.tool, offers), use.arguments) for place, use in enumerate(turn.uses)
        ]
        return turn.text, calls, offers

    def _next(self, answered: Mapping[str, Any], said: str) -> tuple[int, Turn]:
        """The first turn that is not in the conversation yet: its calls unanswered, or its text unsaid."""
        for number, turn in enumerate(self._turns):
            done = all(_call(number, place) in answered for place in range(len(turn.uses)))
            if not done or (not turn.uses and turn.text not in said):
                return number, turn
        return len(self._turns), Turn(_OVER)

    def _order(self) -> list[str]:
        """The ids of all calls of the script, in order."""
        return [_call(number, place) for number, turn in enumerate(self._turns) for place in range(len(turn.uses))]


def _call(number: int, place: int) -> str:
    """The id of a call of the script."""
    return f"call_{number}_{place}"


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
    return next((name for name in offered if name.endswith((f"__{wanted}", f"_{wanted}"))), wanted)


def _said(body: Mapping[str, Any]) -> str:
    """All that the model said before, as one text to search."""
    before = body.get("messages") or body.get("input") or body.get("contents") or []
    roles = ("assistant", "model")
    return json.dumps([one for one in before if isinstance(one, dict) and one.get("role") in roles])


def _json(value: Mapping[str, Any]) -> tuple[str, str]:
    return "application/json", json.dumps(value)


def _typed(events: Sequence[tuple[str, dict[str, Any]]]) -> tuple[str, str]:
    lines = [f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n" for kind, data in events]
    return _EVENTS, "".join(lines)


def _data(events: Sequence[Mapping[str, Any]]) -> str:
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events)


def _handler_of(model: ScriptedModel) -> type[BaseHTTPRequestHandler]:
    """A request handler class bound to one model: the standard library makes an instance per connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._send("text/plain", "")

        def do_GET(self) -> None:
            self._send("application/json", '{"data": [], "models": []}')

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            self._send(*model.answer(self.path.partition("?")[0], body))

        def _send(self, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the standard library
            """Say nothing: the program's output belongs to its user."""

    return Handler
