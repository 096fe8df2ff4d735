"""What a JSON Schema says of types, as far as it is plain; and single values checked against a part of a schema."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from mcp_orchestrator.core.schema import Checker

ALL: Final = frozenset({"string", "number", "integer", "boolean", "null", "array", "object"})
_STEP: Final = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]+)\]|\[\"([^\"]*)\"\]")
_DEEPEST: Final = 20
_NAMES: Final[Mapping[type, str]] = {
    type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array",
}  # fmt: skip


def types_of(part: Any, root: Mapping[str, Any], depth: int = 0) -> frozenset[str] | None:
    """The JSON types that a schema allows; None when that is not plain, or when all are allowed."""
    if not isinstance(part, Mapping) or depth > _DEEPEST:
        return None
    reference = part.get("$ref")
    if isinstance(reference, str):
        return types_of(_target(reference, root), root, depth + 1)
    declared = part.get("type")
    if isinstance(declared, str | list):
        return frozenset({declared} if isinstance(declared, str) else declared) & ALL or None
    choices = part.get("anyOf") or part.get("oneOf")
    if isinstance(choices, list):
        found = [types_of(choice, root, depth + 1) for choice in choices]
        return None if None in found or not found else frozenset().union(*(kinds for kinds in found if kinds))
    if isinstance(part.get("enum"), list):
        return frozenset(_type_of(value) for value in part["enum"])
    return frozenset({_type_of(part["const"])}) if "const" in part else None


def fits(kinds: Collection[str], wanted: Collection[str]) -> bool:
    """Whether a value of one of these types can be of one of those: a whole number is a number, which may be whole."""
    numbers = {"number", "integer"}
    return any(kind in wanted or (kind in numbers and numbers & set(wanted)) for kind in kinds)


def part_at(schema: Mapping[str, Any], path: str) -> Any:
    """The schema of what a path of an expression selects; None when that is not plain; the step that is not there as text."""
    part: Any = schema
    for step in _STEP.finditer(path):
        while isinstance(part, Mapping) and isinstance(part.get("$ref"), str):
            part = _target(part["$ref"], schema)
        if not isinstance(part, Mapping):
            return None
        name = step[1] if step[1] is not None else step[3]
        if name is None:
            part = part.get("items")
            continue
        properties = part.get("properties")
        if not isinstance(properties, Mapping):
            return None
        if name not in properties:
            more = part.get("additionalProperties")
            return None if more is True or isinstance(more, Mapping) or part.get("patternProperties") else name
        part = properties[name]
    return part


def value_faults(schema: Mapping[str, Any], name: str, value: Any) -> list[str]:
    """What is wrong with a value of one property."""
    properties = schema.get("properties")
    part = properties.get(name) if isinstance(properties, Mapping) else None
    if not isinstance(part, Mapping):
        return []
    shared = {key: schema[key] for key in ("$defs", "definitions", "$schema") if key in schema}
    return Checker({**shared, "type": "object", "properties": {name: part}}).faults({name: value})


def _target(reference: str, root: Mapping[str, Any]) -> Any:
    node: Any = root if reference.startswith("#") else None
    for part in reference[1:].split("/")[1:]:
        node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
    return node


def _type_of(value: Any) -> str:
    return _NAMES.get(type(value), "object")
