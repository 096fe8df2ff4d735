"""A checked CEL expression as a tree, read from its serialized form: what limits and explanations are made of.

The engine gives its syntax tree only as a `cel.expr.CheckedExpr` message (cel-spec, proto/cel/expr/checked.proto and
syntax.proto). The few fields that matter here are read by hand, so that protobuf need not be installed.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


class Form(enum.Enum):
    """What a node is. The numbers are those of the fields of `Expr`."""

    CONSTANT = 3
    NAME = 4
    SELECT = 5
    CALL = 6
    LIST = 7
    STRUCT = 8
    LOOP = 9


@dataclass(frozen=True, slots=True)
class Tree:
    """One node.

    `name` is the variable, field or function; `parts` the operands (of a call its target first, if it has one). Of a
    loop `name` is the variable, `parts` are range, start, condition, step and result, and `sum` is the accumulator.
    `text` is the value of a string constant. `scalar` tells that the checker knows it as a number, text, boolean, time
    or null, `number` that it is a number or a time.
    """

    form: Form
    name: str = ""
    parts: tuple[Tree, ...] = ()
    text: str | None = None
    sum: str = ""
    scalar: bool = False
    number: bool = False

    def walk(self) -> Iterator[Tree]:
        """This node and all below it."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def keys(self, variable: str) -> frozenset[str] | None:
        """The keys of an object that are read here; None where that is not plain (it is walked through, or compared)."""
        return _keys(self, variable)

    def names(self) -> set[str]:
        """The variables that are read here."""
        return {node.name for node in self.walk() if node.form is Form.NAME}


def _keys(tree: Tree, variable: str) -> frozenset[str] | None:
    if tree.form is Form.NAME:
        return None if tree.name == variable else frozenset()
    key = _key(tree, variable)
    if key is not None:
        return frozenset({key})
    found: frozenset[str] = frozenset()
    for part in tree.parts:
        keys = _keys(part, variable)
        if keys is None:
            return None
        found |= keys
    return found


def _key(tree: Tree, variable: str) -> str | None:
    """The key, where this is `variable.key`, `variable["key"]` or `"key" in variable`."""
    parts = tree.parts
    if tree.form is Form.SELECT and _is(parts[0], variable):
        return tree.name
    if tree.form is Form.CALL and tree.name == "_[_]" and _is(parts[0], variable):
        return parts[1].text
    if tree.form is Form.CALL and tree.name == "@in" and _is(parts[1], variable):
        return parts[0].text
    return None


def _is(tree: Tree, variable: str) -> bool:
    return tree.form is Form.NAME and tree.name == variable


# Type.primitive: BOOL 1, INT64 2, UINT64 3, DOUBLE 4, STRING 5, BYTES 6. Type.well_known: TIMESTAMP 2, DURATION 3.
_NUMBERS = frozenset({2, 3, 4})
_SCALARS = frozenset({1, 2, 3, 4, 5})
_TIMES = frozenset({2, 3})

# The fields of a constant: its text, and its numbers.
_TEXT = 6
_FIGURES = frozenset({3, 4, 5})
_CONTINUES = 128


def read(serialized: bytes) -> Tree:
    """The tree of a serialized `CheckedExpr`.

    Raises:
        ValueError: it is not one.
    """
    fields = _fields(_only(_fields(serialized), 2))  # a google.protobuf.Any: its address, its value
    types = dict(_typed(entry) for entry in fields.get(3, ()))
    names = dict(_resolved(entry) for entry in fields.get(2, ()))
    try:
        return _node(_only(fields, 4), types, names)
    except (KeyError, StopIteration, UnicodeDecodeError) as error:
        raise ValueError("not a checked expression") from error


def _node(message: bytes, types: Mapping[int, bytes], names: Mapping[int, str]) -> Tree:  # noqa: PLR0911 - one line a form
    fields = _fields(message)
    ident = _whole(fields, 2)
    kind = _fields(types[ident]) if ident in types else {}
    primitive, time = _whole(kind, 3), _whole(kind, 5)
    scalar, number = primitive in _SCALARS or time in _TIMES, primitive in _NUMBERS or time in _TIMES
    form = next(form for form in Form if form.value in fields)
    inside = _fields(_only(fields, form.value))
    if ident in names and form in {Form.NAME, Form.SELECT}:
        # A dotted variable is written as a chain of selects.
        return Tree(Form.NAME, names[ident], scalar=scalar, number=number)
    match form:
        case Form.CONSTANT:
            texts = _all(inside, _TEXT)
            text = texts[0].decode() if texts else None
            return Tree(form, text=text, scalar=True, number=bool(inside.keys() & _FIGURES))
        case Form.NAME:
            return Tree(form, _text(inside, 1), scalar=scalar, number=number)
        case Form.SELECT:
            operand = _node(_only(inside, 1), types, names)
            return Tree(form, _text(inside, 2), (operand,), scalar=scalar, number=number)
        case Form.CALL:
            parts = tuple(_node(part, types, names) for part in (*_all(inside, 1), *_all(inside, 3)))
            return Tree(form, _text(inside, 2), parts, scalar=scalar, number=number)
        case Form.LIST:
            return Tree(form, "", tuple(_node(part, types, names) for part in _all(inside, 1)))
        case Form.STRUCT:
            entries = [_fields(entry) for entry in _all(inside, 2)]
            inner = [part for entry in entries for number in (3, 4) for part in _all(entry, number)]
            return Tree(form, _text(inside, 1), tuple(_node(part, types, names) for part in inner))
        case Form.LOOP:
            parts = tuple(_node(_only(inside, number), types, names) for number in (2, 4, 5, 6, 7))
            return Tree(form, _text(inside, 1), parts, sum=_text(inside, 3), scalar=scalar, number=number)


_Fields = dict[int, list[int | bytes]]


def _fields(message: bytes) -> _Fields:
    """The fields of a message by number (protobuf wire format: varint, 64 bit, length-delimited, 32 bit)."""
    found: _Fields = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        value: int | bytes
        match key & 7:
            case 0:
                value, at = _varint(message, at)
            case 1:
                value, at = message[at : at + 8], at + 8
            case 2:
                length, at = _varint(message, at)
                value, at = message[at : at + length], at + length
            case 5:
                value, at = message[at : at + 4], at + 4
            case _:
                raise ValueError("not a checked expression")
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message):
            raise ValueError("not a checked expression")
        byte = message[at]
        value |= (byte % _CONTINUES) << shift
        at, shift = at + 1, shift + 7
        if byte < _CONTINUES:
            return value, at


def _only(fields: _Fields, number: int) -> bytes:
    return next(iter(_all(fields, number)), b"")


def _all(fields: _Fields, number: int) -> list[bytes]:
    return [value for value in fields.get(number, ()) if isinstance(value, bytes)]


def _text(fields: _Fields, number: int) -> str:
    return _only(fields, number).decode()


def _whole(fields: _Fields, number: int) -> int:
    value = fields.get(number, [0])[0]
    return value if isinstance(value, int) else 0


def _typed(entry: int | bytes) -> tuple[int, bytes]:
    fields = _fields(entry if isinstance(entry, bytes) else b"")
    return _whole(fields, 1), _only(fields, 2)


def _resolved(entry: int | bytes) -> tuple[int, str]:
    fields = _fields(entry if isinstance(entry, bytes) else b"")
    return _whole(fields, 1), _text(_fields(_only(fields, 2)), 1)
