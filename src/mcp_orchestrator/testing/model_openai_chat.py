"""The OpenAI chat completions interface of the scripted model: `POST /v1/chat/completions`, streamed and not.

As opencode 1.18.33 and Mistral Vibe 3.0.2 use it (both 2026-11-24).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Calls = Sequence[tuple[str, str, Mapping[str, Any]]]
"""Id, name and arguments of each call."""


def offered(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The tools of a request by name."""
    for tool in body.get("tools") or ():
        function = tool.get("function") or {}
        if "name" in function:
            yield function["name"], function


def results(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The calls that the agent has answered, with its answers."""
    for message in body.get("messages") or ():
        if message.get("role") == "tool":
            yield message.get("tool_call_id", ""), message.get("content")


def chunks(text: str, calls: Calls, model: str) -> list[dict[str, Any]]:
    """The stream of one completion."""
    pieces: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": text}, "finish_reason": None}]
    for index, (call, name, arguments) in enumerate(calls):
        function = {"name": name, "arguments": json.dumps(dict(arguments))}
        made = {"index": index, "id": call, "type": "function", "function": function}
        pieces.append({"delta": {"tool_calls": [made]}, "finish_reason": None})
    pieces.append({"delta": {}, "finish_reason": "tool_calls" if calls else "stop"})
    common = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 0, "model": model}
    stream = [{**common, "choices": [{"index": 0, **piece}]} for piece in pieces]
    return [*stream, {**common, "choices": [], "usage": _usage()}]


def whole(text: str, calls: Calls, model: str) -> dict[str, Any]:
    """The same completion in one piece."""
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [
            {"id": call, "type": "function", "function": {"name": name, "arguments": json.dumps(dict(arguments))}}
            for call, name, arguments in calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    common = {"id": "chatcmpl-scripted", "object": "chat.completion", "created": 0, "model": model}
    return {**common, "choices": [choice], "usage": _usage()}


def _usage() -> dict[str, int]:
    return {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
