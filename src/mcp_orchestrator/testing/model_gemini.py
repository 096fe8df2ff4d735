"""The Gemini interface of the scripted model: `generateContent` and `streamGenerateContent`, as Gemini CLI 0.61.0 uses it.

Its calls have no ids on the wire of older clients, so they are told apart by their place: the n-th call of the
conversation is the n-th of the script (2026-11-24).
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
        for declared in tool.get("functionDeclarations") or ():
            yield declared["name"], declared


def results(body: Mapping[str, Any], order: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """The calls that the agent has answered; `order` is the ids of the script's calls, in order."""
    answers = [
        part["functionResponse"]
        for content in body.get("contents") or ()
        for part in content.get("parts") or ()
        if "functionResponse" in part
    ]
    for place, answer in enumerate(answers):
        identifier = answer.get("id") if answer.get("id") in order else None
        if identifier is not None or place < len(order):
            yield identifier or order[place], answer.get("response")


def response(text: str, calls: Calls, model: str) -> dict[str, Any]:
    """One answer; as a stream it is the only event."""
    parts: list[dict[str, Any]] = [{"text": text}] if text else []
    parts += [{"functionCall": {"id": call, "name": name, "args": dict(given)}} for call, name, given in calls]
    candidate = {"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "scripted"}


def aside(body: Mapping[str, Any]) -> str | None:
    """What to say to a side request that wants JSON (which model to take, say); None where it does not."""
    config = body.get("generationConfig") or {}
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    return json.dumps(_filled(schema)) if isinstance(schema, dict) else None


def _filled(schema: Mapping[str, Any]) -> Any:
    """The plainest value that fits a schema."""
    if schema.get("enum"):
        return schema["enum"][0]
    match str(schema.get("type")).lower():
        case "object":
            properties = schema.get("properties") or {}
            return {name: _filled(properties.get(name) or {}) for name in schema.get("required") or properties}
        case "array":
            return []
        case "number" | "integer":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case _:
            return "ok"
