"""Expressions over the arguments of a logical tool, checked with the types and names of its own schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from mcp_orchestrator.config.diagnose import did_you_mean
from mcp_orchestrator.config.schema_kinds import part_at, types_of
from mcp_orchestrator.core.conditions import Conditions, Wrong
from mcp_orchestrator.core.mapping import CALLER, PLAIN

_DECLARED: Final = {"string": "STRING", "boolean": "BOOL", "integer": "INT"}
_GIVEN: Final[Mapping[str, str]] = {
    "STRING": "string", "BOOL": "boolean", "INT": "integer", "UINT": "integer", "DOUBLE": "number", "NULL": "null",
}  # fmt: skip
_NO_JSON: Final = frozenset({"TIMESTAMP", "DURATION", "BYTES"})
_QUOTED: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_NAMED: Final = re.compile(r"\bargs\.([A-Za-z_][A-Za-z0-9_]*)")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Typed:
    """Looks at expressions with the types that the input schema of a logical tool gives its arguments."""

    def __init__(self, schema: Mapping[str, Any], conditions: Conditions) -> None:
        self._schema = schema
        self._conditions = conditions
        found = schema.get("properties")
        self._properties: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
        more = schema.get("additionalProperties")
        self._open = more is True or isinstance(more, Mapping) or bool(schema.get("patternProperties"))
        self._open = self._open or "properties" not in schema

    def kinds(self, text: str) -> frozenset[str] | Wrong | None:
        """The JSON types that an expression may give; None: not known. It compiles with arguments of any type."""
        unknown = self._unknown(text)
        if unknown is not None:
            return unknown
        plain = PLAIN.fullmatch(text.strip())
        if plain is not None and plain[1] == "args":
            part = part_at(self._schema, plain[2])
            return types_of(part, self._schema) if isinstance(part, Mapping) else None
        made = self._conditions.compile(text, self._names(), wants=None)
        if isinstance(made, Wrong):
            if "there is no args" in made.message or re.search(r"\bhas\s*\(", text):
                made = self._conditions.compile(text, CALLER, wants=None)  # it asks which arguments there are
            if isinstance(made, Wrong):
                return made
        if made.kind in _NO_JSON:
            return Wrong(f"it gives a {made.kind.lower()}, which JSON does not have", fix="convert it with string(...)")
        return self.of_kind(made.kind)

    @staticmethod
    def of_kind(kind: str) -> frozenset[str] | None:
        """The JSON types of a type of the engine."""
        if kind.startswith("LIST"):
            return frozenset({"array"})
        if kind.startswith("MAP"):
            return frozenset({"object"})
        given = _GIVEN.get(kind)
        return None if given is None else frozenset({given})

    def _unknown(self, text: str) -> Wrong | None:
        if self._open:
            return None
        bare = _QUOTED.sub(lambda found: " " * len(found[0]), text)
        for found in _NAMED.finditer(bare):
            if found[1] not in self._properties:
                line = bare.count("\n", 0, found.start()) + 1
                column = found.start(1) - (bare.rfind("\n", 0, found.start()) + 1) + 1
                fix = did_you_mean(found[1], list(self._properties)) if self._properties else "it has none"
                return Wrong(f"the tool has no argument {found[1]}", line, column, fix)
        return None

    def _names(self) -> dict[str, str]:
        names = {name: kind for name, kind in CALLER.items() if name != "args"}
        for name, part in self._properties.items():
            if _IDENTIFIER.fullmatch(name):
                kinds = types_of(part, self._schema)
                only = next(iter(kinds)) if kinds is not None and len(kinds) == 1 else ""
                names[f"args.{name}"] = _DECLARED.get(only, "DYN")
        return names
