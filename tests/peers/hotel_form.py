"""What both hotels ask their guests, and how they write down what reached them: the witnesses of the agents' tests."""

import json
from pathlib import Path
from typing import Any

FORM = {
    "type": "object",
    "properties": {
        "guest": {"type": "string", "title": "Who?", "minLength": 1},
        "nights": {"type": "integer", "minimum": 1, "maximum": 30},
        "breakfast": {"type": "boolean", "default": False},
        "bed": {"type": "string", "enum": ["single", "double"]},
    },
    "required": ["guest", "nights"],
}


def question(room: str) -> str:
    return f"Who takes room {room}?"


def booked(record: str, room: str, version: str, answer: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Add a line of JSON to the record; returns what the tool tells."""
    row = {"room": room, "version": version, "action": answer["action"], "content": answer.get("content"), **more}
    with Path(record).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    return {"room": room, "action": answer["action"], "guest": (answer.get("content") or {}).get("guest", "")}
