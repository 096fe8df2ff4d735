"""JSON text to a source tree, with the comments and trailing commas that editors allow in settings files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

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
)

_BLANK: Final = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?(?![0-9A-Za-z_.])")
_WORD: Final = re.compile(r"(?:true|false|null)(?![0-9A-Za-z_])")


def parse(text: str, duplicate: Callable[[str, Place, Place], None]) -> Node | None:
    """The tree of a JSON text, None when it holds nothing but blanks and comments.

    `duplicate` is told of keys given twice: the key, where again, where first.

    Raises:
        MalformedError: malformed, too deep or too large.
    """
    reader = _Reader(text, duplicate)
    reader.skip()
    if reader.done:
        return None
    node = reader.node(0)
    reader.skip()
    if not reader.done:
        raise reader.fault("text after the end of the JSON value")
    return node


class _Reader:
    """A position in the text, moving forward."""

    def __init__(self, text: str, duplicate: Callable[[str, Place, Place], None]) -> None:
        self._text = text
        self._duplicate = duplicate
        self._at = 0
        self._nodes = 0
        self._line = 1
        self._line_start = 0
        self._counted = 0

    @property
    def done(self) -> bool:
        return self._at >= len(self._text)

    def skip(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def fault(self, message: str, fix: str = "") -> MalformedError:
        return MalformedError(Code.SYNTAX, message, self._place(), fix)

    def _place(self) -> Place:
        """The place of the current position, counting only what was passed since the last time."""
        for match in LINE_BREAK.finditer(self._text, self._counted, self._at):
            self._line += 1
            self._line_start = match.end()
        self._counted = self._at
        return Place(self._line, self._at - self._line_start + 1)

    def node(self, depth: int) -> Node:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            limit = (
                f"nested more than {MAX_DEPTH} levels deep" if depth > MAX_DEPTH else f"more than {MAX_NODES} values"
            )
            raise MalformedError(Code.TOO_MUCH, limit, self._place())
        match self._text[self._at : self._at + 1]:
            case "{":
                return self._table(depth)
            case "[":
                return self._listing(depth)
            case _:
                return self._scalar()

    def _scalar(self) -> Scalar:
        for pattern in (_STRING, _NUMBER, _WORD):
            match = pattern.match(self._text, self._at)
            if match:
                break
        else:
            raise self._unreadable()
        start = self._place()
        try:
            value = json.loads(match[0])
        except ValueError as error:
            raise self.fault(f"malformed text: {str(error).split(':', 1)[0]}") from None
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            raise self.fault("half of a surrogate pair in a text")
        self._at = match.end()
        return Scalar(value, value if isinstance(value, str) else match[0], start, self._place())

    def _unreadable(self) -> MalformedError:
        if self.done:
            return self.fault("the file ends too early", "a quote, bracket or brace is not closed")
        if self._text[self._at] == '"':
            return self.fault("a text that does not end on its line", 'close it with "')
        if self._text[self._at] == "'":
            return self.fault("text in single quotes", "JSON wants double quotes")
        return self.fault("not a JSON value", "texts need double quotes")

    def _listing(self, depth: int) -> Listing:
        start = self._place()
        items: list[Node] = []
        self._at += 1
        while not self._closes("]", first=not items):
            items.append(self.node(depth + 1))
        return Listing(tuple(items), start, self._place())

    def _table(self, depth: int) -> Table:
        start = self._place()
        entries: dict[str, Entry] = {}
        shadowed: list[Entry] = []
        self._at += 1
        while not self._closes("}", first=not entries):
            entry = self._entry(depth)
            if entry.key in entries:
                self._duplicate(entry.key, entry.start, entries[entry.key].start)
                shadowed.append(entry)
            else:
                entries[entry.key] = entry
        return Table(entries, start, self._place(), tuple(shadowed))

    def _entry(self, depth: int) -> Entry:
        if self._text[self._at : self._at + 1] != '"':
            raise self.fault("a key must be text in double quotes")
        key = self._scalar()
        self.skip()
        if self._text[self._at : self._at + 1] != ":":
            raise self.fault("a colon is missing after the key")
        self._at += 1
        self.skip()
        return Entry(key.text, key.start, key.end, self.node(depth + 1))

    def _closes(self, bracket: str, *, first: bool) -> bool:
        """Pass what separates items; True when the collection ends here. A comma before the end is forgiven."""
        self.skip()
        if not first and self._text[self._at : self._at + 1] == ",":
            self._at += 1
            self.skip()
        elif not first and self._text[self._at : self._at + 1] != bracket:
            raise self.fault("a comma is missing here" if not self.done else "the file ends too early")
        if self._text[self._at : self._at + 1] == bracket:
            self._at += 1
            return True
        return False
