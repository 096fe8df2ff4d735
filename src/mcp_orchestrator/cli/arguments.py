"""Arguments of a tool from words of a shell: `key=value` read by the offered schema, `key:=JSON`, `key=@file`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.cli.exits import bad_usage
from mcp_orchestrator.core.wire.jsonrpc import decode

_WORD: Final = re.compile(r"(?P<key>[^=]+?)(?P<sign>:=|=)(?P<value>.*)", re.DOTALL)
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_DEEPEST: Final = 8
_ALL: Final = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})
_ORDER: Final = ("integer", "number", "boolean", "null", "array", "object")


def read(words: Sequence[str], json_text: str | None, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments object: that of `--json` (text, `@file` or `-` for standard input), with the words on top.

    A key that is given several times becomes an array.

    Raises:
        Ended: exit code 2; a word, a file or a value cannot be read, and why.
    """
    arguments: dict[str, Any] = {}
    if json_text is not None:
        given = _json(_text_of(json_text), "--json")
        if not isinstance(given, dict):
            bad_usage("--json must be an object", """write it like --json '{"key": "value"}'""")
        arguments.update(given)
    collected: dict[str, list[Any]] = {}
    for word in words:
        key, value = _pair(word, schema)
        collected.setdefault(key, []).append(value)
    for key, values in collected.items():
        arguments[key] = values[0] if len(values) == 1 else [item for value in values for item in _items(value)]
    return arguments


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _pair(word: str, schema: Mapping[str, Any]) -> tuple[str, Any]:
    match = _WORD.fullmatch(word)
    if match is None:
        bad_usage(f"not an argument: '{word}'", "write key=value, key:=JSON or key=@file")
    key, value = match["key"], match["value"]
    if match["sign"] == ":=":
        return key, _json(_text_of(value), key)
    text = _text_of(value)
    properties = schema.get("properties")
    declared = properties.get(key) if isinstance(properties, Mapping) else None
    return key, _typed(key, text, declared, schema)


def _text_of(value: str) -> str:
    """`value`, or the UTF-8 content of the file that `@PATH` names, or standard input for `@-` and `-`."""
    if value in ("-", "@-"):
        return sys.stdin.read()
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        bad_usage(f"cannot read {value[1:]}: {error}", """a value that begins with @ is written key:='"@..."'""")


def _json(text: str, key: str) -> Any:
    try:
        return decode(text.encode("utf-8", "surrogateescape"))
    except ValueError as error:
        bad_usage(f"{key} is not valid JSON: {error}")


def _typed(key: str, text: str, declared: Any, root: Mapping[str, Any]) -> Any:
    """The text as the type that the schema declares. Where a string is possible, it stays one."""
    kinds = _kinds(declared, root, 0)
    if "string" in kinds:
        return text
    for kind in _ORDER:
        fits, value = _as(kind, text) if kind in kinds else (False, None)
        if fits:
            return value
    if "array" not in kinds:
        expected = " or ".join(kind for kind in _ORDER if kind in kinds)
        bad_usage(f"{key} must be {expected}, not '{text}'", f"write {key}:=JSON to say exactly what is meant")
    item = declared.get("items") if isinstance(declared, Mapping) else None
    return [_typed(key, text, item, root)]


def _as(kind: str, text: str) -> tuple[bool, Any]:
    match kind:
        case "integer" | "number" if _INTEGER.fullmatch(text):
            return True, int(text)
        case "number":
            return _number(text)
        case "boolean" if text.lower() in ("true", "false"):
            return True, text.lower() == "true"
        case "null" if text == "null":
            return True, None
        case "array" | "object" if text.lstrip().startswith("[" if kind == "array" else "{"):
            return True, _json(text, f"this {kind}")
        case _:
            return False, None


def _number(text: str) -> tuple[bool, Any]:
    try:
        value = float(text)
    except ValueError:
        return False, None
    return value - value == 0, value  # infinities and NaN are no JSON


def _kinds(schema: Any, root: Mapping[str, Any], depth: int) -> frozenset[str]:
    """The JSON types that a schema allows; all of them where it does not say."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return _ALL
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _kinds(_resolved(reference, root), root, depth + 1)
    declared = schema.get("type")
    if isinstance(declared, str | list):
        return frozenset([declared] if isinstance(declared, str) else map(str, declared))
    choices = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(choices, list):
        return frozenset().union(*(_kinds(choice, root, depth + 1) for choice in choices))
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    return frozenset(map(_kind_of, values)) if isinstance(values, list) else _ALL


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _resolved(reference: str, root: Mapping[str, Any]) -> Any:
    node: Any = root
    if not reference.startswith("#"):
        return None
    for part in reference[1:].split("/")[1:]:
        node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
    return node
