"""Where something is in a JSON value: a path such as `a.b[0].c`, and conditions on what stands there.

A path is names joined by dots; `[2]` takes an item of an array, `[-1]` its last one, `[*]` every item. A name with
other characters than letters, digits, `_`, `-` and `$` is written `["like this"]`. Nothing else is possible.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_PART: Final = re.compile(
    r"""(?P<dot>\.?)(?P<name>[A-Za-z0-9_$-]+)|\[(?P<index>-?[0-9]{1,6})\]|\[(?P<every>\*)\]|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]"""
)


@dataclass(frozen=True, slots=True)
class Every:
    """All items of an array."""


Part = str | int | Every


@dataclass(frozen=True, slots=True)
class Selector:
    """A path, taken apart."""

    parts: tuple[Part, ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Take a path apart.

        Raises:
            ValueError: it is none; the text says where it stops to be one.
        """
        parts: list[Part] = []
        position = 0
        while position < len(text):
            found = _PART.match(text, position)
            dotted = found is not None and found["name"] is not None and bool(found["dot"])
            named = found is not None and found["name"] is not None
            if found is None or (named and dotted != bool(parts)):
                raise ValueError(f"{text!r} is no path: {text[position:]!r} cannot stand there")
            parts.append(_part(found))
            position = found.end()
        if not parts:
            raise ValueError("a path must not be empty")
        return cls(tuple(parts))

    def all(self, value: Any) -> list[Any]:
        """What stands there; [] when nothing does. More than one only with `[*]`."""
        found = [value]
        for part in self.parts:
            found = [inner for one in found for inner in _inside(one, part)]
        return found

    def one(self, value: Any) -> Any:
        """The first thing that stands there, or None."""
        return next(iter(self.all(value)), None)

    def text(self, value: Any) -> str | None:
        """What stands there as a text, several joined; None when nothing does. What is no string is shown as JSON."""
        found = [one for one in self.all(value) if one is not None]
        if not found:
            return None
        return "".join(one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in found)


def _part(found: re.Match[str]) -> Part:
    if found["name"] is not None:
        return found["name"]
    if found["index"] is not None:
        return int(found["index"])
    if found["every"] is not None:
        return Every()
    try:
        return str(json.loads(found["quoted"]))
    except ValueError:
        raise ValueError(f"{found['quoted']} is no string") from None


def _inside(value: Any, part: Part) -> list[Any]:
    match part:
        case str():
            return [value[part]] if isinstance(value, dict) and part in value else []
        case int():
            fits = isinstance(value, list) and -len(value) <= part < len(value)
            return [value[part]] if fits else []
        case Every():
            return list(value) if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class Where:
    """Conditions that all must hold: what stands at a path equals a value, or one of a list of values.

    The value null holds where nothing stands.
    """

    conditions: tuple[tuple[Selector, Any], ...]

    @classmethod
    def parse(cls, conditions: Mapping[str, Any]) -> Where:
        """Take conditions apart. Raises ValueError for what is no path."""
        return cls(tuple((Selector.parse(path), wanted) for path, wanted in conditions.items()))

    def holds(self, value: Any) -> bool:
        """Whether a value fulfils all of them."""
        return all(_equals(selector.one(value), wanted) for selector, wanted in self.conditions)


def _equals(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return any(_equals(found, one) for one in wanted)
    return type(found) is type(wanted) and bool(found == wanted)
