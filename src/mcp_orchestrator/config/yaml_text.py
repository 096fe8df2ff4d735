"""YAML text to a source tree: safe, bounded, without the surprises of YAML 1.1."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.document import (
    LINE_BREAK,
    MAX_DEPTH,
    MAX_NODES,
    Entry,
    Listing,
    MalformedError,
    Node,
    Place,
    Scalar,
    Table,
    resolve_plain,
)

Duplicate = Callable[[str, Place, Place], None]
"""Told of a key that is given twice: the key, where again, where first."""

_CONTROL: Final = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdff\ufe00-\ufffd\U00010000-\U0010ffff]")
_TOML_TABLE: Final = re.compile(r"^\[\[?[A-Za-z_][\w.\"-]*\]\]?\s*$")
_CORE: Final = "tag:yaml.org,2002:"
_TAGS: Final = frozenset(_CORE + name for name in ("str", "int", "float", "bool", "null", "map", "seq"))
_MERGE: Final = "<<"


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been seen. `key` waits for its value; `mapping` tells the kind."""

    mapping: bool
    start: Place
    anchor: str | None
    items: list[Node] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    key: Scalar | None = None
    nodes: int = 1
    height: int = 1


def parse(text: str, duplicate: Duplicate) -> Node | None:
    """The tree of the only document in `text`, None when there is none.

    Plain scalars mean what the YAML 1.2 core schema says; `<<` merges tables; aliases are shared, not copied.

    Raises:
        MalformedError: malformed, too deep or too large once aliases count, a foreign tag, or a second document.
    """
    control = _CONTROL.search(text)
    if control:
        name = f"U+{ord(control[0]):04X}"
        raise MalformedError(Code.SYNTAX, f"control character {name}", _place_at(text, control.start()), "remove it")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = _Builder(duplicate)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise _fault(error, text) from None
    except yaml.YAMLError as error:
        raise MalformedError(Code.SYNTAX, str(error).splitlines()[0], Place(1, 1)) from None
    return builder.root


def _place_at(text: str, index: int) -> Place:
    breaks = [match.end() for match in LINE_BREAK.finditer(text, 0, index)]
    return Place(len(breaks) + 1, index - (breaks[-1] if breaks else 0) + 1)


def _fault(error: yaml.MarkedYAMLError, text: str) -> MalformedError:
    """The parser's complaint as ours, with the mistakes that people really make told plainly."""
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    lines = LINE_BREAK.split(text)
    last = max((number for number, line in enumerate(lines, 1) if line.strip()), default=1)
    unfinished = place.line > last
    if unfinished:  # shown where the text ends, since nothing is left to show
        place = Place(last, len(lines[last - 1]) + 1)
    rest = lines[place.line - 1][place.column - 1 :] if place.line <= len(lines) else ""
    message = error.problem or "malformed"
    if "nesting depth" in message:  # libyaml 0.2.6 reads ahead and gives up at 1000 levels, before we have counted 40
        return _too_deep(place)
    if error.context and error.context_mark:
        message = f"{message} ({error.context} of line {error.context_mark.line + 1})"
    if any(_TOML_TABLE.match(line) for line in lines[: place.line]):
        return MalformedError(
            Code.SYNTAX, "this is TOML, not YAML", place, "write it as YAML: mcpServers: {NAME: {command: …}}"
        )
    return MalformedError(Code.SYNTAX, *_plainly(message, rest, unfinished=unfinished, place=place))


def _plainly(message: str, rest: str, *, unfinished: bool, place: Place) -> tuple[str, Place, str]:
    """Message, place and fix. `rest` is the text from where the parser stopped to the end of its line."""
    fix = ""
    if rest.startswith("\t"):
        message, fix = "a tab where YAML needs spaces", "indent with spaces"
    elif "mapping values are not allowed" in message:
        fix = "a value that contains a colon and a space needs quotes; or the indentation is wrong"
    elif rest[:1] in {"@", "`", "%"}:
        fix = f"a text that starts with {rest[0]} needs quotes"
    elif unfinished or "unexpected end of stream" in message:
        fix = "a quote or bracket is not closed"
    elif "expected ',' or" in message:
        fix = "a comma is missing, or a bracket or brace is not closed"
    elif "undefined alias" in message:
        fix = "an asterisk at the start of a text is an alias; put the text in quotes"
    return message, place, fix


class _Builder:
    """Makes nodes from parser events with a stack of its own, so that no input can exhaust ours."""

    def __init__(self, duplicate: Duplicate) -> None:
        self.root: Node | None = None
        self._duplicate = duplicate
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int, int]] = {}
        self._documents = 0
        self._nodes = 0

    def take(self, event: Any) -> None:
        """Work in the next event; events are untyped in the stubs of PyYAML."""
        start = Place(event.start_mark.line + 1, event.start_mark.column + 1)
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._add(self._scalar(event, start), event.anchor, 1, 0)
        elif kind is yaml.AliasEvent:
            self._alias(event.anchor, start)
        elif kind in {yaml.MappingStartEvent, yaml.SequenceStartEvent}:
            self._check_tag(event.tag, start)
            if len(self._open) >= MAX_DEPTH:
                raise _too_deep(start)
            self._open.append(_Open(kind is yaml.MappingStartEvent, start, event.anchor))
        elif kind in {yaml.MappingEndEvent, yaml.SequenceEndEvent}:
            self._close(Place(event.end_mark.line + 1, event.end_mark.column + 1))
        elif kind is yaml.DocumentStartEvent:
            self._documents += 1
            if self._documents > 1:
                raise MalformedError(Code.SYNTAX, "a second document in the same file", start, 'remove the line "---"')

    def _scalar(self, event: Any, start: Place) -> Scalar:
        self._check_tag(event.tag, start)
        end = Place(event.end_mark.line + 1, event.end_mark.column + 1)
        plainly = (event.implicit[0] and event.tag in {None, "!"}) or event.tag in _TAGS - {_CORE + "str"}
        value = resolve_plain(event.value) if plainly and event.tag != "!" else event.value
        return Scalar(value, event.value, start, end)

    @staticmethod
    def _check_tag(tag: str | None, place: Place) -> None:
        if tag not in {None, "!"} and tag not in _TAGS:
            raise MalformedError(Code.SYNTAX, "a tag that is not allowed here", place, "remove the word after the !")

    def _alias(self, name: str, place: Place) -> None:
        if name not in self._anchors:
            inside = any(one.anchor == name for one in self._open)
            message = "an alias that contains itself" if inside else "an alias without an anchor before it"
            fix = "" if inside else f'define "&{name}" before, or put the text in quotes'
            raise MalformedError(Code.TOO_MUCH if inside else Code.SYNTAX, message, place, fix)
        node, nodes, height = self._anchors[name]
        if len(self._open) + height > MAX_DEPTH:
            raise _too_deep(place)
        self._add(node, None, nodes, height, place)

    def _add(self, node: Node, anchor: str | None, nodes: int, height: int, place: Place | None = None) -> None:
        """Put a finished node where it belongs. `place` is the alias that stands for it, if any."""
        place = place or node.start
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise MalformedError(Code.TOO_MUCH, f"more than {MAX_NODES} values after aliases are expanded", place)
        if anchor:
            self._anchors[anchor] = (node, nodes, height)
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.nodes += nodes
        parent.height = max(parent.height, height + 1)
        if not parent.mapping:
            parent.items.append(node)
        elif parent.key is None:
            if not isinstance(node, Scalar):
                raise MalformedError(Code.NOT_A_MAPPING, "a key must be text, not a list or mapping", place)
            parent.key = Scalar(node.value, node.text, place, node.end)
        else:
            key, parent.key = parent.key, None
            parent.entries.append(Entry(key.text, key.start, key.end, node))

    def _close(self, end: Place) -> None:
        done = self._open.pop()
        node = self._table(done, end) if done.mapping else Listing(tuple(done.items), done.start, end)
        self._nodes -= done.nodes - 1
        self._add(node, done.anchor, done.nodes, done.height)

    def _table(self, done: _Open, end: Place) -> Table:
        entries: dict[str, Entry] = {}
        shadowed: list[Entry] = []
        merged: list[Entry] = []
        for entry in done.entries:
            if entry.key == _MERGE:
                merged += _merge_sources(entry)
            elif entry.key in entries:
                self._duplicate(entry.key, entry.start, entries[entry.key].start)
                shadowed.append(entry)
            else:
                entries[entry.key] = entry
        for entry in merged:
            entries.setdefault(entry.key, entry)
        return Table(entries, done.start, end, tuple(shadowed))


def _merge_sources(entry: Entry) -> list[Entry]:
    """The entries that `<<` brings in: those of one table, or of a list of tables, the first one winning."""
    sources = entry.value.items if isinstance(entry.value, Listing) else [entry.value]
    found: list[Entry] = []
    for source in sources:
        if not isinstance(source, Table):
            raise MalformedError(Code.SYNTAX, "<< must be followed by a mapping or a list of mappings", entry.start)
        found += source.entries.values()
    return found


def _too_deep(place: Place) -> MalformedError:
    return MalformedError(Code.TOO_MUCH, f"nested more than {MAX_DEPTH} levels deep", place)
