"""The JSON Schema (2020-12) of the configuration file for editors, made from the same description that is checked."""

from __future__ import annotations

from typing import Any, Final, assert_never

from mcp_orchestrator.config.sections import FILTER_KEYS, ROOT, SERVER_KEYS, SERVER_NAME
from mcp_orchestrator.config.shape import (
    UNBOUNDED,
    Choice,
    Duration,
    Field,
    Flag,
    Held,
    Later,
    ListOf,
    Money,
    Record,
    Servers,
    Shape,
    Size,
    TableOf,
    Text,
    Unread,
    Whole,
)
from mcp_orchestrator.config.units import DURATION_PATTERN, SIZE_PATTERN, show_duration, show_size

_REFERENCE: Final = {"type": "string", "pattern": r"^\$\{env:[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\}$"}
_LATER: Final[dict[str, dict[str, Any]]] = {
    "table": {"type": ["object", "null"], "maxProperties": 0},
    "list": {"type": ["array", "null"], "maxItems": 0},
    "flag": {"enum": [False, None]},
}
_URLS: Final = ("url", "httpUrl", "serverUrl")
_SAYS: Final = {"type": "string", "minLength": 1}
_TEXT_LIKE: Final = {"type": ["string", "number", "boolean"]}
_HELD: Final[dict[str, dict[str, Any]]] = {
    "command": {"anyOf": [_SAYS, {"type": "array", "items": _TEXT_LIKE, "minItems": 1}]},
    "words": {"type": ["array", "null"], "items": _TEXT_LIKE},
    "pairs": {"type": ["object", "null"], "additionalProperties": _TEXT_LIKE},
    "address": {"type": "string", "pattern": r"^(https?://|\$\{)"},
    "options": {"type": ["object", "null"], "additionalProperties": _TEXT_LIKE},
    "entry": {"anyOf": [{"type": "string", "pattern": "#"}, {"type": "object", "required": ["distribution"]}]},
    "distribution": {"type": "object", "minProperties": 1},
    "rewrites": {
        "type": ["object", "null"],
        "additionalProperties": {
            "anyOf": [_SAYS, {"type": "object", "required": ["const"], "maxProperties": 1}],
        },
    },
    "json": {},
    "sources": {
        "type": ["object", "null"],
        "additionalProperties": {
            "anyOf": [
                _SAYS,
                {
                    "type": "object",
                    "properties": {"from": _SAYS, "const": {}, "default": {}},
                    "additionalProperties": False,
                    "minProperties": 1,
                },
            ],
        },
    },
    "structured": {"anyOf": [_SAYS, {"type": "object", "additionalProperties": _SAYS, "minProperties": 1}]},
    "unpriced": {
        "anyOf": [
            {"const": "deny"},
            *(
                {"type": "object", "properties": {name: kind}, "required": [name], "additionalProperties": False}
                for name, kind in (
                    ("flat", {"type": "number", "minimum": 0}),
                    ("unmeasured", {"type": "integer", "minimum": 1}),
                )
            ),
        ]
    },
}


def editor_schema() -> dict[str, Any]:
    """The schema as plain JSON data; a new object at every call."""
    schema = _schema(ROOT)
    schema["patternProperties"] = {"^x-": {"description": "A place for anchors; not used."}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mcp-orchestrator configuration",
        "description": "orchestrator.yaml or orchestrator.json",
        **schema,
    }


def _schema(shape: Shape) -> dict[str, Any]:
    schema: dict[str, Any]
    match shape:
        case Record():
            properties = {field.name: _described(field) for field in shape.fields}
            schema = {"type": ["object", "null"], "properties": properties, "additionalProperties": False}
            if shape.needs:
                schema |= {"type": "object", "anyOf": [{"required": [name]} for name in shape.needs]}
        case TableOf():
            schema = _named(shape.key, _schema(shape.item))
        case ListOf():
            several: dict[str, Any] = {"type": ["array", "null"], "items": _schema(shape.item)}
            schema = {"anyOf": [several, _schema(shape.item)]} if shape.alone else several
        case Later():
            schema = dict(_LATER[shape.kind])
        case Servers():
            schema = _named(SERVER_NAME, _server())
        case Held():
            schema = dict(_HELD[shape.kind])
        case Unread():
            schema = {}
        case Text() | Flag() | Whole() | Duration() | Size() | Money() | Choice():
            schema = _scalar(shape)
        case _:
            assert_never(shape)
    return schema


def _named(key: str, item: dict[str, Any]) -> dict[str, Any]:
    """A table whose keys match a pattern."""
    return {"type": ["object", "null"], "patternProperties": {f"^{key}$": item}, "additionalProperties": False}


def _described(field: Field) -> dict[str, Any]:
    schema = {"description": field.text, **_schema(field.shape)}
    if field.default is not None:
        schema["default"] = shown_default(field)
    if field.example is not None:
        schema["examples"] = [field.example]
    return schema


def shown_default(field: Field) -> Any:
    """A default as one would write it: `10m`, `16MiB`, `true`."""
    if isinstance(field.shape, Duration):
        return show_duration(field.default)
    return show_size(field.default) if isinstance(field.shape, Size) else field.default


def _scalar(shape: Text | Flag | Whole | Duration | Size | Money | Choice) -> dict[str, Any]:
    match shape:
        case Text():
            form = {"type": "string", "pattern": f"^({shape.pattern})$"} if shape.pattern else {"type": "string"}
            return {"anyOf": [form, {"type": "string", "pattern": r"\$\{"}]} if shape.pattern else form
        case Flag():
            return {"anyOf": [{"type": "boolean"}, _REFERENCE]}
        case Whole() | Money():
            kind = "integer" if isinstance(shape, Whole) else "number"
            return {"anyOf": [{"type": kind, **_limits(shape.least, shape.most)}, _REFERENCE]}
        case Duration():
            number = {"type": "number", **_limits(shape.least, shape.most)}
            words = [{"const": shape.endless}] if shape.endless else []
            return {"anyOf": [number, {"type": "string", "pattern": DURATION_PATTERN}, *words, _REFERENCE]}
        case Size():
            number = {"type": "integer", **_limits(shape.least, shape.most)}
            return {"anyOf": [number, {"type": "string", "pattern": SIZE_PATTERN}, _REFERENCE]}
        case Choice():
            return {"anyOf": [{"enum": [str(word) for word in shape.words]}, _REFERENCE]}
        case _:
            assert_never(shape)


def _limits(least: float, most: float) -> dict[str, float]:
    return {"minimum": least} if most >= UNBOUNDED else {"minimum": least, "maximum": most}


def _server() -> dict[str, Any]:
    """One verbatim block: our keys are typed, unknown ones allowed."""
    values: dict[str, dict[str, Any]] = {
        "type": {"enum": ["stdio", "http", "sse", "streamable-http", "streamableHttp", "local", "remote"]},
        "command": {"anyOf": [{"type": "string"}, {"type": "array"}, {"type": "object"}]},
        "args": {"type": "array", "items": _TEXT_LIKE},
        "env": {"type": "object", "additionalProperties": _TEXT_LIKE},
        "environment": {"type": "object", "additionalProperties": _TEXT_LIKE},
        "headers": {"type": "object", "additionalProperties": _TEXT_LIKE},
        "cwd": {"type": "string"},
        **{key: {"type": "string", "pattern": r"^(https?://|\$\{|$)"} for key in _URLS},
        "timeout": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": DURATION_PATTERN}]},
        "disabled": {"type": "boolean"},
        "enabled": {"type": "boolean"},
        **{key: {"type": ["array", "null"], "items": {"type": "string"}} for key in FILTER_KEYS},
    }
    properties = {key.name: {"description": key.text, **values.get(key.name, {})} for key in SERVER_KEYS}
    return {
        "type": "object",
        "properties": properties,
        "anyOf": [{"required": [key]} for key in ("command", *_URLS)],
        "not": {"required": ["command", "url"], "properties": {"command": _SAYS, "url": _SAYS}},
    }
