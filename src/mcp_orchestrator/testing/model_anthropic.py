"""The Anthropic Messages interface of the scripted model: `POST /v1/messages`, as Claude Code 2.1.330 uses it (2026-11-24)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Calls = Sequence[tuple[str, str, Mapping[str, Any]]]
"""Id, name and arguments of each call."""
Events = Iterator[tuple[str, dict[str, Any]]]
"""Type and data of each event of a stream."""


def results(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The calls that the agent has answered, with its answers."""
    for message in body.get("messages", ()):
        for block in message["content"] if isinstance(message.get("content"), list) else ():
            if block.get("type") == "tool_result":
                yield block["tool_use_id"], block.get("content")


def events(text: str, calls: Calls, model: str) -> Events:
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


def whole(events: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
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
