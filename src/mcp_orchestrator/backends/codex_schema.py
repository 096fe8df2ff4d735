"""Which output schemas the model's endpoint takes from Codex, which always asks for its strict mode.

In strict mode (OpenAI structured outputs; Codex 0.169.0, 2026-11-24) every object must be closed and require all its
properties, and only some keywords are known; anything else fails the whole request with HTTP 400.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_KNOWN: Final = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "description"}
    | {"title", "$defs", "$ref", "definitions", "pattern", "format", "minimum", "maximum", "exclusiveMinimum"}
    | {"exclusiveMaximum", "multipleOf", "minItems", "maxItems", "$schema"}
)


def strict(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema in its strict form, or None when it has none that means the same.

    Objects that do not say whether they are closed are closed: that only forbids what nobody asked for.
    """
    if schema.get("type") != "object":
        return None  # the top must be an object
    found = _strict(schema)
    return found if isinstance(found, dict) else None


def in_words(prompt: str, schema: Mapping[str, Any]) -> str:
    """The prompt, with the schema of the answer spelled out in it."""
    text = json.dumps(schema, ensure_ascii=False)
    return f"{prompt}\n\nAnswer with nothing but a JSON value that fits this JSON Schema, without a code fence:\n{text}"


def _strict(schema: object) -> object:
    if not isinstance(schema, Mapping):
        return None
    if not set(schema) <= _KNOWN or schema.get("additionalProperties", False) is not False:
        return None
    made = dict(schema)
    if "properties" in schema or schema.get("type") == "object":
        properties = schema.get("properties", {})
        if set(schema.get("required", ())) != set(properties):
            return None
        made["additionalProperties"] = False
    for key in ("properties", "$defs", "definitions"):
        if key in schema:
            made[key] = {name: _strict(one) for name, one in schema[key].items()}
            if None in made[key].values():
                return None
    if "items" in schema:
        made["items"] = _strict(schema["items"])
    if "anyOf" in schema:
        made["anyOf"] = [_strict(one) for one in schema["anyOf"]]
    return None if made.get("items", 0) is None or None in made.get("anyOf", ()) else made
