"""The source tree of a configuration file: plain values that know the line and column they were written at."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

Plain = None | bool | int | float | str
"""What a scalar can be once resolved."""

MAX_DEPTH: Final = 40
"""How deep a file may nest; the deepest sensible one needs 8."""

MAX_NODES: Final = 50_000
"""How many nodes a file may have after its aliases are expanded."""

LINE_BREAK: Final = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")
"""What ends a line, as YAML counts them; JSON is counted alike."""

_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}")
_BASED: Final = re.compile(r"0x[0-9a-fA-F]{1,15}|0o[0-7]{1,20}")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]{1,2})?")
_WORDS: Final[Mapping[str, Plain]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


class Place(NamedTuple):
    """A position in a file: `line` and `column` count from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A value without parts. `text` is what was written, without quotes; `value` what it means; `end` is exclusive."""

    value: Plain
    text: str
    start: Place
    end: Place


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """A sequence."""

    items: Sequence[Node]
    start: Place
    end: Place


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One key of a table with its value."""

    key: str
    start: Place
    end: Place
    value: Node


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A mapping. `shadowed` holds entries whose key was already taken: they are an error, but must still be masked."""

    entries: Mapping[str, Entry]
    start: Place
    end: Place
    shadowed: Sequence[Entry] = field(default=())

    def get(self, key: str) -> Node | None:
        """The value under a key, or None."""
        entry = self.entries.get(key)
        return None if entry is None else entry.value


Node = Scalar | Listing | Table


class MalformedError(Exception):
    """A file cannot be read as YAML or JSON; says where, and how to mend it when that is known."""

    def __init__(self, code: str, message: str, place: Place, fix: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.place = place
        self.fix = fix


def resolve_plain(text: str) -> Plain:
    """What an unquoted word means in the YAML 1.2 core schema: `yes`, `on`, `12:30` and dates stay text.

    Numbers too long to be meant as numbers stay text as well.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def plain(node: Node) -> Any:
    """The same tree as dicts, lists and scalars."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    return {key: plain(entry.value) for key, entry in node.entries.items()}


def is_empty(node: Node | None) -> bool:
    """Whether a node says nothing: absent, null, an empty list or an empty table."""
    if node is None:
        return True
    if isinstance(node, Scalar):
        return node.value is None
    if isinstance(node, Listing):
        return not node.items
    return not node.entries


def locate(root: Node, *path: str) -> Place:
    """Where the key at the end of a path of table keys is written; as far as the path leads, else the root."""
    place, node = root.start, root
    for key in path:
        entry = node.entries.get(key) if isinstance(node, Table) else None
        if entry is None:
            return place
        place, node = entry.start, entry.value
    return place


def every_entry(table: Table) -> Iterator[Entry]:
    """All entries, those shadowed by a duplicate key included."""
    yield from table.entries.values()
    yield from table.shadowed
