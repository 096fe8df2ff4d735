"""Parts of a kept result by address: `result://RUN`, a path into it, and a range of items, characters or lines.

The path is a JSON pointer (RFC 6901) into the result object, percent-encoded as in a URI: `content/0`,
`structured/rows/17`; `structured` stands for `structuredContent`. The path of an item that holds a text or a blob is
the address of that text or blob. Behind an array `A..B` selects items, behind a text characters (Unicode code points),
and `lines/A..B` lines; A counts from 0, B is not included and may be left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec

SCHEME: Final = "result://"
TEMPLATE: Final = "result://{run}{/path*}"
READER: Final = "result_read"
"""The tool of ours that reads these addresses, for clients whose models read no resources."""

STRUCTURED: Final = "structured"
LINES: Final = "lines"

_RANGE: Final = re.compile(r"([0-9]{1,15})\.\.([0-9]{0,15})")
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array: Final = msgspec.json.Decoder(list[msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)
_MAIN: Final = ("text", "data", "blob")
_ITEMS: Final = ("content", "contents", "messages")
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Span:
    """From `first` to before `last` (None: the end) of something counted in `unit`: items, characters or lines."""

    unit: str
    first: int
    last: int | None

    def within(self, total: int) -> tuple[int, int]:
        """(first, behind the last) of a whole of this length; empty behind its end."""
        first = min(self.first, total)
        return first, total if self.last is None else max(first, min(self.last, total))


@dataclass(frozen=True, slots=True)
class Selected:
    """A part that was found. `base` is its address without the range.

    `value` is raw JSON of one value; where it is a text (`text` is then the whole text) or a blob, `mime` is its media
    type. `span` is the range that was asked for.
    """

    base: str
    value: msgspec.Raw
    mime: str
    text: str | None = None
    blob: str | None = None
    span: Span | None = None


def run_of(uri: str) -> str:
    """The run that an address names; "" when it is no address of a result."""
    return uri[len(SCHEME) :].partition("/")[0] if uri.startswith(SCHEME) else ""


def segment(key: str | int) -> str:
    """One step of a path, as it is written in an address."""
    return quote(str(key).replace("~", "~0").replace("/", "~1"), safe="~")


def select(body: bytes, uri: str) -> Selected:
    """The part of a result that an address names.

    Raises:
        LookupError: there is no such part; the text says where the path ends.
        ValueError: the result is not JSON that can be looked into.
    """
    path = [_key(part) for part in uri[len(SCHEME) :].split("/")[1:]]
    path = [] if path == [""] else path
    raw, base, place = msgspec.Raw(body), SCHEME + run_of(uri), 0
    while place < len(path):
        step = _into(raw, path[place], top=place == 0)
        if step is None:
            break
        raw, base, place = step, f"{base}/{segment(path[place])}", place + 1
    return _shown(raw, base, path[place:], of_item=_is_item(path[:place]))


def unreadable(body: bytes, uri: str) -> Selected:
    """A result that cannot be looked into as one text: the whole of it, or the range of its characters that is named."""
    span = _RANGE.fullmatch(uri.rpartition("/")[2])
    wanted = Span("characters", int(span[1]), int(span[2]) if span[2] else None) if span is not None else None
    text = body.decode("utf-8", "replace")
    return Selected(SCHEME + run_of(uri), msgspec.Raw(body), _JSON, text, span=wanted)


def _is_item(path: Sequence[str]) -> bool:
    """Whether this is the path of an item that MCP defines; other objects only may look like one."""
    inner = path[1:] if path[:1] == ["result"] else path
    return len(inner) == 2 and inner[0] in _ITEMS and inner[1].isdigit()  # noqa: PLR2004 - a list and a place in it


def _key(part: str) -> str:
    return unquote(part).replace("~1", "/").replace("~0", "~")


def size_of(raw: msgspec.Raw) -> int:
    """The length of a JSON value in bytes, without a copy of it."""
    return len(memoryview(raw))


def kind_of(raw: msgspec.Raw) -> str:
    """The first character of a JSON value: `{`, `[`, `"`, or that of a number or word."""
    return bytes(memoryview(raw)[:64]).lstrip()[:1].decode("latin-1")


def fields_of(raw: msgspec.Raw | bytes) -> dict[str, msgspec.Raw]:
    """The members of an object, undecoded."""
    return _object.decode(raw)


def elements_of(raw: msgspec.Raw | bytes) -> list[msgspec.Raw]:
    """The elements of an array, undecoded."""
    return _array.decode(raw)


def text_of(raw: msgspec.Raw | bytes) -> str:
    """A text."""
    return _text.decode(raw)


def _into(raw: msgspec.Raw, key: str, *, top: bool) -> msgspec.Raw | None:
    match kind_of(raw):
        case "{":
            fields = _object.decode(raw)
            return fields.get("structuredContent" if top and key == STRUCTURED and key not in fields else key)
        case "[" if key.isascii() and key.isdigit() and len(key) <= 15:  # noqa: PLR2004 - no array is longer
            items = _array.decode(raw)
            return items[int(key)] if int(key) < len(items) else None
        case _:
            return None


def _shown(raw: msgspec.Raw, base: str, rest: Sequence[str], *, of_item: bool) -> Selected:
    kind = kind_of(raw)
    found = _main(raw, base) if kind == "{" and of_item else None
    if found is None:
        text = _text.decode(raw) if kind == '"' else None
        found = Selected(base, raw, _JSON if text is None else "text/plain", text)
    if not rest:
        return found
    unit = "items" if kind == "[" else "characters"
    if found.text is not None and rest[0] == LINES:
        unit, rest = "lines", rest[1:]
    span = _RANGE.fullmatch(rest[0]) if len(rest) == 1 else None
    if span is None or (found.text is None and kind != "["):
        raise LookupError(f"{base} is there, but it has no {'/'.join(rest)}")
    wanted = Span(unit, int(span[1]), int(span[2]) if span[2] else None)
    return Selected(found.base, found.value, found.mime, found.text, span=wanted)


def _main(raw: msgspec.Raw, base: str) -> Selected | None:
    """The text or blob that an item of content, a message or an embedded resource is about."""
    fields = _object.decode(raw)
    inner = fields.get("resource") or fields.get("content")
    if inner is not None and kind_of(inner) == "{":
        fields = _object.decode(inner)
    for key in _MAIN:
        value = fields.get(key)
        if value is None or kind_of(value) != '"' or not ("type" in fields or "uri" in fields):
            continue
        mime = _word(fields, "mimeType")
        content = _text.decode(value)
        if key == "text":
            return Selected(base, value, mime or "text/plain", content)
        return Selected(base, value, mime or "application/octet-stream", blob=content)
    return None


def _word(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    return _text.decode(value) if value is not None and kind_of(value) == '"' else ""
