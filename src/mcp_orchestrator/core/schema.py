"""Arguments checked against the schema that was offered (JSON Schema 2020-12), safely for hostile schemas.

Schemas come from servers: nothing is fetched (`offline`), regular expressions cannot backtrack, and a schema whose
references would expand without measure is not used at all.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping
from typing import Any, Final

import jsonschema_rs

MAX_NODES: Final = 50_000
"""A schema that unfolds to more nodes than this is not compiled."""

MAX_MESSAGES: Final = 5
"""How many faults one message names."""


class Checker:
    """Checks arguments against one schema. `unusable` says why it cannot ("" if it can)."""

    __slots__ = ("_properties", "_validator", "unusable")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.unusable = ""
        self._validator: jsonschema_rs.Validator | None = None
        properties = schema.get("properties")
        self._properties: tuple[str, ...] = tuple(properties) if isinstance(properties, Mapping) else ()
        if unfolded_size(schema) > MAX_NODES:
            self.unusable = f"the schema unfolds to more than {MAX_NODES} parts"
            return
        try:
            self._validator = jsonschema_rs.validator_for(
                dict(schema), offline=True, pattern_options=jsonschema_rs.RegexOptions()
            )
        except (ValueError, RecursionError) as error:  # ValidationError and ReferencingError are ValueErrors or this
            self.unusable = f"the schema cannot be used: {_short(str(error))}"
        except jsonschema_rs.ReferencingError as error:
            self.unusable = f"the schema cannot be used: {_short(str(error))}"

    def faults(self, arguments: Mapping[str, Any]) -> list[str]:
        """What is wrong with `arguments`, one sentence a fault, at most five; [] when nothing is."""
        if self._validator is None or self._validator.is_valid(arguments):
            return []
        return [
            self._sentence(error) for error in itertools.islice(self._validator.iter_errors(arguments), MAX_MESSAGES)
        ]

    def _sentence(self, error: jsonschema_rs.ValidationError) -> str:
        path = "".join(f"/{part}" for part in error.instance_path)
        text = f"at {path}: {_short(error.message)}" if path else _short(error.message)
        if not path and self._properties and "unexpected" in error.message:
            for name in error.message.split("'")[1::2]:
                close = difflib.get_close_matches(name, self._properties, n=1)
                text += f" (did you mean '{close[0]}'?)" if close else ""
        return text


def unfolded_size(schema: Any) -> int:
    """How many schema nodes there are once every local reference is followed, counted without unfolding.

    References are memoised; a cycle counts once. The result is cut off just above `MAX_NODES`.
    """
    return _Counter(schema).count(schema, 0)


class _Counter:
    """Counts nodes with memory, so that 2^n expansions are seen in linear time."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[str, int] = {}

    def count(self, node: Any, depth: int) -> int:
        if depth > 200:  # noqa: PLR2004 - deeper than any schema written by a person
            return MAX_NODES + 1
        total = 1
        if isinstance(node, Mapping):
            reference = node.get("$ref")
            if isinstance(reference, str) and reference.startswith("#"):
                total += self._target(reference, depth)
            children: Any = node.values()
        elif isinstance(node, list):
            children = node
        else:
            return 1
        for child in children:
            total += self.count(child, depth + 1)
            if total > MAX_NODES:
                return MAX_NODES + 1
        return total

    def _target(self, reference: str, depth: int) -> int:
        if reference in self._known:
            return self._known[reference]
        self._known[reference] = 1  # a cycle counts once
        node: Any = self._root
        for part in reference[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            node = node.get(key) if isinstance(node, Mapping) else None
        size = self.count(node, depth + 1) if node is not None else 1
        self._known[reference] = size
        return size


def _short(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
