"""The generated parts of the configuration reference: every key and every problem code, each under its heading."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, assert_never

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.editor_schema import shown_default
from mcp_orchestrator.config.sections import BASIC_ENVIRONMENT, ROOT, SERVER_KEYS
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
from mcp_orchestrator.config.units import show_duration, show_size


def markdown() -> str:
    """Everything that is generated: the keys, then the problem codes."""
    return f"## Keys\n\n{_keys()}\n## Problems\n\n{_PROBLEMS}\n\n{_codes()}".strip()


_PROBLEMS: Final = (
    "Every problem has a code, a position, an excerpt in which secrets are masked, and where possible a fix. All "
    "problems of a file are reported at once. Errors refuse the file (exit code 2), warnings do not."
)


_HELD: Final = {
    "command": "Text, split into words as a shell does, or a list of words.",
    "words": "List; each item text.",
    "pairs": "Names with values.",
    "address": "A URL that starts with `http://` or `https://`.",
    "options": "Names with values: text, numbers, `true` or `false`.",
    "entry": "The entry itself, or text: `FILE#ID`.",
    "distribution": "Keys: `npx`, `uvx`, `binary`.",
    "rewrites": "Names of arguments with a CEL expression or `{const: VALUE}`.",
    "json": "Any value.",
    "sources": "Names of arguments with a CEL expression, `{const: VALUE}`, or `{from: EXPRESSION, default: VALUE}`.",
    "structured": "Names of fields with CEL expressions, or one CEL expression.",
    "unpriced": "`deny`, `{flat: DOLLARS}` or `{unmeasured: CALLS}`.",
}


def _keys() -> str:
    """A heading and a paragraph for every key, in the order of the file."""
    return "\n".join(line for field in ROOT.fields for line in _field(field, ""))


def _codes() -> str:
    """A heading and a paragraph for every problem code."""
    parts = []
    for code in Code:
        title, text = code.explained
        parts.append(f"### {code}: {title}\n\n{text}\n")
    return "\n".join(parts)


def _field(field: Field, path: str) -> Iterator[str]:
    name = f"{path}.{field.name}" if path else field.name
    yield f"{'####' if path else '###'} `{name}`\n"
    yield f"{field.text}\n"
    facts = [_form(field.shape)] if _form(field.shape) else []
    if field.default is not None:
        facts.append(f"Default: `{json.dumps(shown_default(field)).strip(chr(34))}`.")
    if field.example is not None:
        facts.append(f"Example: `{json.dumps(field.example)}`.")
    if facts:
        yield f"{' '.join(facts)}\n"
    inner = field.shape
    if isinstance(inner, TableOf):
        name, inner = f"{name}.{inner.placeholder}", inner.item
    if isinstance(inner, ListOf):
        name, inner = f"{name}[]", inner.item
    if isinstance(inner, Record):
        for one in inner.fields:
            yield from _field(one, name)
    if isinstance(inner, Servers) and field.name == "mcpServers":
        yield from _server_keys(name)


def _server_keys(path: str) -> Iterator[str]:
    variables = ", ".join(f"`{name}`" for name in BASIC_ENVIRONMENT)
    yield (
        f"A started server gets these variables of the gateway, when set: {variables}, and those whose names begin with "
        "`LC_` or `XDG_` (on Windows also what programs do not start without); and what `env` gives it.\n"
    )
    for key in SERVER_KEYS:
        yield f"#### `{path}.SERVER.{key.name}`\n"
        yield f"{'Not carried out, a warning says so. ' if key.use == 'dropped' else ''}{key.text}\n"


def _form(shape: Shape) -> str:
    """What a value looks like, in words; empty where the description says it all."""
    match shape:
        case Text():
            form = f"Text: {shape.form}." if shape.form else "Text."
        case Flag():
            form = "`true` or `false`."
        case Whole() | Duration() | Size() | Money():
            form = _range(shape)
        case Choice():
            form = f"One of {', '.join(f'`{word}`' for word in shape.words)}."
        case ListOf():
            form = (
                "List of mappings."
                if isinstance(shape.item, Record)
                else f"List; each item {shape.item.form or 'text'}."
            )
        case TableOf():
            form = f"Keys: {shape.form}."
        case Held():
            form = _HELD[shape.kind]
        case Record() | Servers() | Unread() | Later():
            form = ""
        case _:
            assert_never(shape)
    return form


def _range(shape: Whole | Duration | Size | Money) -> str:
    match shape:
        case Whole():
            kind, least, most = "Whole number", str(shape.least), str(shape.most)
        case Duration():
            kind, least, most = "Duration", show_duration(shape.least), show_duration(shape.most)
        case Money():
            kind, least, most = "US dollars", f"{shape.least:g}", f"{shape.most:g}"
        case Size():
            kind, least, most = "Size", show_size(shape.least), show_size(shape.most)
        case _:
            assert_never(shape)
    return f"{kind}, at least {least}." if shape.most >= UNBOUNDED else f"{kind}, {least} to {most}."
