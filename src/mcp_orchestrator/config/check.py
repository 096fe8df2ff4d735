"""Checks a source tree against the format and reads plain values out of it, noting every problem on the way."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import Notes, did_you_mean
from mcp_orchestrator.config.document import (
    Entry,
    Listing,
    Node,
    Place,
    Scalar,
    Table,
    every_entry,
    is_empty,
    resolve_plain,
)
from mcp_orchestrator.config.masking import looks_secret, shown
from mcp_orchestrator.config.references import References
from mcp_orchestrator.config.sections import ROOT, ROOT_HINTS
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
from mcp_orchestrator.config.units import parse_duration, parse_size, show_duration, show_size

ABSENT: Final = object()
"""Stands for a value that could not be read; the problem is in the notes."""

MICRO: Final = 1_000_000
"""Micro-dollars in a dollar."""

_WORDS: Final = {"yes": "write true", "on": "write true", "no": "write false", "off": "write false"}

Checked = Mapping[str, Any]
"""A record's readable keys with plain values: seconds, bytes, texts, lists, tables. Absent keys are missing."""


def check(root: Table, references: References) -> Checked:
    """Read everything but the server blocks, which stay nodes. Problems go to the notes of `references`."""
    checker = _Checker(references)
    for entry in every_entry(root):
        if entry.key not in {"mcpServers", "servers"}:
            checker.literal_secrets(entry.value, entry.key)
    return checker.record(ROOT, root, "", hints=ROOT_HINTS)


class _Checker:
    """One pass over one file."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._notes: Notes = references.notes

    def record(
        self, shape: Record, node: Table, path: str, *, hints: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        fields = {field.name: field for field in shape.fields}
        values: dict[str, Any] = {}
        for entry in node.entries.values():
            field = fields.get(entry.key)
            if field is None:
                if path or not entry.key.startswith("x-"):  # a place for anchors, as in Compose files
                    self._unknown(entry, shape.names(), path, hints or {})
                continue
            value = self._field(field, entry, path)
            if value is not ABSENT:
                values[field.name] = value
        if shape.needs and not any(name in node.entries for name in shape.needs):
            self._lacking(shape.needs, node.start, path)
        return values

    def _lacking(self, needs: Sequence[str], place: Place, path: str) -> None:
        *others, last = needs
        fix = f"give {', '.join(others)} or {last}" if others else f"give {last}"
        self._notes.error(Code.LACKING_KEY, f"{path} has no {needs[0]}", place, fix)

    def _unknown(self, entry: Entry, names: list[str], path: str, hints: Mapping[str, str]) -> None:
        inside = f" in {path}" if path else ""
        hint = hints.get(entry.key)
        fix = f'did you mean "{hint}"?' if hint else did_you_mean(entry.key, names)
        self._notes.error(Code.UNKNOWN_KEY, f"unknown key {shown(entry.key)}{inside}", entry.start, fix)

    def _field(self, field: Field, entry: Entry, path: str) -> Any:
        name = f"{path}.{field.name}" if path else field.name
        if isinstance(field.shape, Later):
            self._later(field.shape, entry, name)
            return ABSENT
        return self.value(field.shape, entry.value, name)

    def _later(self, shape: Later, entry: Entry, name: str) -> None:
        node = entry.value
        if is_empty(node) or (shape.kind == "flag" and isinstance(node, Scalar) and node.value is False):
            return
        why = "it would restrict nothing" if shape.restricts else "nothing would come of it"
        message = f"{name} is not carried out by this version yet: remove it"
        self._notes.error(Code.NOT_CARRIED_OUT, f"{message} ({why})", entry.start, f"remove {name}, or leave it empty")

    def value(self, shape: Shape, node: Node, path: str) -> Any:
        match shape:
            case Servers() | Held() | Unread():
                return node
            case Record() | TableOf() | ListOf():
                return self._collection(shape, node, path)
            case Later():
                return ABSENT
            case Text() | Flag() | Whole() | Duration() | Size() | Money() | Choice():
                if isinstance(node, Scalar) and node.value is not None:
                    return self._scalar(shape, node, path)
                self._wrong(path, node, _expected(shape))
                return ABSENT
            case _:
                assert_never(shape)

    def _collection(self, shape: Record | TableOf | ListOf, node: Node, path: str) -> Any:
        if isinstance(node, Scalar) and node.value is None:
            if isinstance(shape, Record) and shape.needs:
                self._lacking(shape.needs, node.start, path)
            return [] if isinstance(shape, ListOf) else {}
        if isinstance(shape, ListOf):
            return self._list(shape, node, path)
        if not isinstance(node, Table):
            self._wrong(path, node, "keys with values")
            return ABSENT
        return self.record(shape, node, path) if isinstance(shape, Record) else self._table(shape, node, path)

    def _list(self, shape: ListOf, node: Node, path: str) -> Any:
        if shape.alone and isinstance(node, Scalar):
            value = self.value(shape.item, node, path)
            return ABSENT if value is ABSENT else [value]
        if not isinstance(node, Listing):
            self._wrong(path, node, "a list", 'write it in brackets: ["…"]' if isinstance(node, Scalar) else "")
            return ABSENT
        values = [self.value(shape.item, item, f"{path}[{number}]") for number, item in enumerate(node.items)]
        return [value for value in values if value is not ABSENT]

    def _table(self, shape: TableOf, node: Table, path: str) -> dict[str, Any]:
        values = {}
        for entry in node.entries.values():
            if not re.fullmatch(shape.key, entry.key):
                self._notes.error(
                    Code.MALFORMED, f"{shown(entry.key)} in {path} is not {shape.form}", entry.start, "rename it"
                )
                continue
            value = self.value(shape.item, entry.value, f"{path}.{entry.key}")
            if value is not ABSENT:
                values[entry.key] = value
        return values

    def _wrong(self, path: str, node: Node, expected: str, fix: str = "") -> None:
        if isinstance(node, Scalar) and node.value is None:
            self._notes.error(
                Code.WRONG_TYPE, f"{path} has no value", node.start, f"give {expected}, or remove the key"
            )
            return
        found = "a list" if isinstance(node, Listing) else "a mapping" if isinstance(node, Table) else "a single value"
        message = f"{path} must be {expected}, not {found}"
        self._notes.error(Code.WRONG_TYPE, message, node.start, fix or f"write {expected}")

    def _scalar(self, shape: Text | Flag | Whole | Duration | Size | Money | Choice, node: Scalar, path: str) -> Any:
        secret = isinstance(shape, Text) and shape.secrets
        references = self._references.within(foreign=False, secrets_fit=True) if secret else self._references
        filled = references.fill(node)
        if filled is None:
            return ABSENT
        meant = resolve_plain(filled.text) if filled.referred else node.value
        quoted = "what the reference stands for" if filled.referred else shown(node.text)
        return self._meaning(shape, meant, filled.text, (path, quoted, node.start))

    def _meaning(
        self,
        shape: Text | Flag | Whole | Duration | Size | Money | Choice,
        meant: Any,
        text: str,
        about: tuple[str, str, Place],
    ) -> Any:
        """The value of a scalar. `about` is what messages need: path, the value as it may be quoted, place."""
        path, quoted, place = about
        match shape:
            case Text():
                return self._text(shape, text, about)
            case Choice():
                if text in shape.words:
                    return text
                fix = did_you_mean(text, shape.words)
                self._notes.error(Code.NOT_A_CHOICE, f"{path} cannot be {quoted}", place, fix)
            case Flag() | Whole() | Duration() | Size() | Money():
                value = _quantity(shape, meant)
                if value is not None:
                    return value if isinstance(shape, Flag) else self._ranged(shape, value, about)
                code = Code.NOT_A_QUANTITY if isinstance(shape, Duration | Size) else Code.WRONG_TYPE
                fix = _WORDS.get(text.casefold(), "") if isinstance(shape, Flag) else ""
                expected = _expected(shape)
                self._notes.error(
                    code, f"{path} must be {expected}, not {quoted}", place, fix or f"write {_example(shape, expected)}"
                )
            case _:
                assert_never(shape)
        return ABSENT

    def _text(self, shape: Text, text: str, about: tuple[str, str, Place]) -> Any:
        path, quoted, place = about
        if shape.pattern and not re.fullmatch(shape.pattern, text):
            self._notes.error(
                Code.MALFORMED, f"{path} is {quoted}, expected {shape.form}", place, f"write {shape.form}"
            )
            return ABSENT
        return text

    def _ranged(self, shape: Whole | Duration | Size | Money, value: float, about: tuple[str, str, Place]) -> Any:
        path, quoted, place = about
        if shape.least <= value <= shape.most:
            return round(value * MICRO) if isinstance(shape, Money) else value
        least, most = (_show(shape, limit) for limit in (shape.least, shape.most))
        limits = f"at least {least}" if shape.most >= UNBOUNDED else f"between {least} and {most}"
        near = least if value < shape.least else most
        self._notes.error(Code.OUT_OF_RANGE, f"{path} must be {limits}, not {quoted}", place, f"write {near}, say")
        return ABSENT

    def literal_secrets(self, node: Node, name: str) -> None:
        """Refuse what looks like a secret outside the server blocks."""
        if isinstance(node, Scalar):
            if looks_secret(node.text, name):
                message = f"what looks like a secret in clear text under {shown(name)}"
                self._notes.error(Code.LITERAL_SECRET, message, node.start, "refer to it: ${secret:env/NAME}")
        elif isinstance(node, Listing):
            for item in node.items:
                self.literal_secrets(item, name)
        else:
            for entry in every_entry(node):
                self.literal_secrets(entry.value, entry.key)


def _quantity(shape: Flag | Whole | Duration | Size | Money, meant: Any) -> float | None:
    """What a scalar says as this kind of value, or None."""
    match shape:
        case Flag():
            return meant if isinstance(meant, bool) else None
        case Whole():
            return meant if isinstance(meant, int) and not isinstance(meant, bool) else None
        case Duration():
            return 0.0 if shape.endless and meant == shape.endless else parse_duration(meant)
        case Size():
            return parse_size(meant)
        case Money():
            number = isinstance(meant, int | float) and not isinstance(meant, bool) and math.isfinite(meant)
            return float(meant) if number else None
        case _:
            assert_never(shape)


def _show(shape: Whole | Duration | Size | Money, value: float) -> str:
    """A limit in the form in which the value is written."""
    match shape:
        case Whole():
            return str(int(value))
        case Duration():
            return show_duration(value)
        case Size():
            return show_size(int(value))
        case Money():
            return f"{value:g}"
        case _:
            assert_never(shape)


def _example(shape: Flag | Whole | Duration | Size | Money, expected: str) -> str:
    """What to write instead, with the units of the shape spelt out."""
    match shape:
        case Flag() | Whole() | Money():
            return expected
        case Duration():
            return "a number and a unit: 500ms, 30s, 10m, 1h, 1d" + (f"; or {shape.endless}" if shape.endless else "")
        case Size():
            return "a number and a unit: 64KiB, 16MiB, 1GiB"
        case _:
            assert_never(shape)


def _expected(shape: Text | Flag | Whole | Duration | Size | Money | Choice) -> str:
    """What a scalar should be, in words."""
    match shape:
        case Text():
            words = shape.form or "text"
        case Flag():
            words = "true or false"
        case Whole():
            words = "a whole number"
        case Duration():
            words = f"a duration such as 30s or a number of seconds{f', or {shape.endless}' if shape.endless else ''}"
        case Size():
            words = "a size such as 16MiB or a number of bytes"
        case Money():
            words = "a number of US dollars such as 2.5"
        case Choice():
            words = f"one of {', '.join(shape.words)}"
        case _:
            assert_never(shape)
    return words
