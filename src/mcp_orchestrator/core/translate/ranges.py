"""Part of a resource instead of all of it: which part is wanted, and how it is cut out of the answer to a read.

MCP has no such thing (2025-11-25 and 2026-07-28, server/resources), so it is asked for under a key of our own in `_meta`
of `resources/read`: `{"offset": 0, "length": 65536, "item": 0}`. The answer holds that one item of `contents`, cut, and tells
in the `_meta` of the item which part it is and how long the whole is. Text is counted in Unicode code points, a blob in
bytes of what it encodes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from mcp_orchestrator.core.wire.jsonrpc import decode, encode

RANGE: Final = "mcp-orchestrator/range"
"""The key in `_meta`, of the request and of the item of the answer."""

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_text: Final = msgspec.json.Decoder(str)
_LARGEST: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Range:
    """The wanted part of one item of `contents`; `length` None is up to the end."""

    offset: int = 0
    length: int | None = None
    item: int = 0

    def within(self, total: int) -> tuple[int, int]:
        """(first, behind the last) of a whole of this length; empty behind its end."""
        first = min(self.offset, total)
        return first, total if self.length is None else min(first + self.length, total)


def wanted(meta: Mapping[str, Any]) -> Range | str | None:
    """The range that a request asks for, what is wrong with it, or None when it wants the whole."""
    asked = meta.get(RANGE)
    if asked is None:
        return None
    if not isinstance(asked, Mapping):
        return f"_meta {RANGE!r} must be an object"
    numbers = {key: asked[key] for key in ("offset", "length", "item") if asked.get(key) is not None}
    for key, value in numbers.items():
        if type(value) is not int or not 0 <= value <= _LARGEST:
            return f"_meta {RANGE!r}: {key} must be a whole number from 0 on"
    return Range(**numbers)


def cut(result: bytes, part: Range) -> bytes | str:
    """The result of a read with only the wanted part in it, or why there is no such part.

    A result whose item says already which part it is (the server knows this key) is left alone, and so is one without
    `contents`.
    """
    try:
        fields = _fields.decode(result)
        if "contents" not in fields:
            return result
        items = _items.decode(fields["contents"])
        if any(RANGE in _meta(item) for item in items):
            return result
        if part.item >= len(items):
            return f"item {part.item} is wanted, but the resource has {len(items)}"
        item = items[part.item]
        kind = next((kind for kind in ("text", "blob") if _is_string(item.get(kind))), None)
        if kind is None:
            return "the resource has neither text nor a blob"
        content = _text.decode(item[kind])
        piece, first, total = _of_text(content, part) if kind == "text" else _of_blob(content, part)
    except (binascii.Error, ValueError, RecursionError):
        return "the contents of the resource are not as MCP has them, so no part can be cut out"
    said: dict[str, Any] = {
        "offset": first,
        "length": part.within(total)[1] - first,
        "total": total,
        "unit": "characters" if kind == "text" else "bytes",
        "item": part.item,
        "items": len(items),
    }
    meta: dict[str, Any] = {**_meta(item), RANGE: said}
    shown: dict[str, Any] = {**item, kind: piece, "_meta": meta}
    return encode({**fields, "contents": [shown]})


def _of_text(text: str, part: Range) -> tuple[str, int, int]:
    first, last = part.within(len(text))
    return text[first:last], first, len(text)


def _of_blob(blob: str, part: Range) -> tuple[str, int, int]:
    """Only the groups of four characters that hold the part are decoded. Raises ValueError for what is no Base64."""
    if len(blob) % 4 or "\n" in blob or "\r" in blob:
        raise ValueError("no Base64")
    total = len(blob) // 4 * 3 - (blob.endswith("=") + blob.endswith("=="))
    first, last = part.within(total)
    group = first // 3
    raw = base64.b64decode(blob[group * 4 : -(-last // 3) * 4], validate=True)
    return base64.b64encode(raw[first - group * 3 : last - group * 3]).decode("ascii"), first, total


def _is_string(raw: msgspec.Raw | None) -> bool:
    return raw is not None and bytes(memoryview(raw)[:1]) == b'"'


def _meta(item: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    meta = decode(item["_meta"]) if "_meta" in item else None
    return meta if isinstance(meta, dict) else {}
