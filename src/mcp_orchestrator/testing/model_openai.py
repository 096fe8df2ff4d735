"""The OpenAI Responses interface of the scripted model: `POST /v1/responses`, as Codex 0.169.0 uses it (2026-11-24)."""

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
    for item in body["input"] if isinstance(body.get("input"), list) else ():
        if item.get("type") == "function_call_output":
            yield item["call_id"], item.get("output")


def events(text: str, calls: Calls, offered: Mapping[str, Any]) -> Events:
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
