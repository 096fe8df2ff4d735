"""What a read of a kept result is answered with: the part that its address names, bounded like everything a model sees.

A text that is longer than the bound allows is cut, and a second item of the answer tells the address of what follows. A
picture or another blob is given whole, for half of it would be of no use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.core.bounding_parts import Cuts, cut_text, first_lines
from mcp_orchestrator.core.bounding_structured import shrunk
from mcp_orchestrator.core.selecting import SCHEME, Selected, Span, elements_of, kind_of, run_of
from mcp_orchestrator.core.translate.ranges import RANGE
from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.model.results import Bound

_TRIES: Final = 16
_UNLIMITED: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is shown: `text`, where it lies in the whole, and the address of what follows ("": nothing does)."""

    text: str
    told: dict[str, Any]
    rest: str = ""
    note: str = ""


def viewed(found: Selected, uri: str, bound: Bound, *, plain: bool = False) -> bytes:
    """The result of a read, in the words of the modern era. `uri` is the address as the client wrote it.

    `plain`: a range of the answer is cut out afterwards, so it says nothing of ranges itself.
    """
    if found.blob is not None:
        return _answer([{"uri": uri, "mimeType": found.mime, "blob": found.blob}])
    limit = bound.bytes if bound.bytes is not None else _UNLIMITED
    room = limit
    answer = b""
    for _ in range(_TRIES):
        piece = _piece(found, room, bound)
        item: dict[str, Any] = {"uri": uri, "mimeType": found.mime, "text": piece.text}
        if not plain and piece.told:
            item["_meta"] = {RANGE: piece.told}
        items = [item]
        if piece.note:
            items.append({"uri": piece.rest or found.base, "mimeType": "text/plain", "text": piece.note})
        answer = _answer(items)
        over = len(answer) - limit
        if over <= 0 or room <= 0:
            break
        room = max(min(room - over - 16, room * limit // len(answer)), 0)
    return answer


def _answer(items: list[dict[str, Any]]) -> bytes:
    return encode({"contents": items, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"})


def _piece(found: Selected, room: int, bound: Bound) -> _Piece:
    if found.text is not None:
        return _of_text(found, found.text, room, bound)
    if kind_of(found.value) == "[" and found.span is not None:
        return _of_items(found, found.span, room, bound)
    return _of_json(found, room, bound)


def _of_text(found: Selected, text: str, room: int, bound: Bound) -> _Piece:
    first, last = 0, len(text)
    span = found.span
    told: dict[str, Any] = {}
    if span is not None and span.unit == "lines":
        first, last = _lines(text, span)
    elif span is not None:
        first, last = span.within(len(text))
    whole = text[first:last]
    kept = cut_text(whole, room)
    kept = first_lines(kept, bound.lines) if bound.lines is not None else kept
    if span is not None or len(kept) < len(whole):
        told = {"offset": first, "length": len(kept), "total": len(text), "unit": "characters"}
    if len(kept) == len(whole):
        return _Piece(kept, told)
    end = last if last < len(text) else ""
    rest = f"{found.base}/{first + len(kept)}..{end}"
    return _Piece(kept, told, rest, f"[{len(whole) - len(kept)} more characters follow: {rest}]")


def _lines(text: str, span: Span) -> tuple[int, int]:
    """The characters of a range of lines."""
    head = first_lines(text, span.first)
    if span.last is None:
        return len(head), len(text)
    some = first_lines(text[len(head) :], max(span.last - span.first, 0))
    return len(head), len(head) + len(some)


def _of_items(found: Selected, span: Span, room: int, bound: Bound) -> _Piece:
    every = elements_of(found.value)
    first, last = span.within(len(every))
    wanted = every[first:last]
    kept: list[str] = []
    for one in wanted[: bound.items]:
        text = bytes(one).decode()
        room -= len(encode(text))
        if room < 0:
            break
        kept.append(text)
    told = {"offset": first, "length": len(kept), "total": len(every), "unit": "items"}
    shown = f"[{','.join(kept)}]"
    if len(kept) == len(wanted):
        return _Piece(shown, told)
    place = first + len(kept)
    rest = f"{found.base}/{place}..{last if last < len(every) else ''}"
    note = f"[{len(wanted) - len(kept)} more items follow: {rest}]"
    if not kept:
        note = f"[item {place} alone is longer than the bound: read {found.base}/{place}]"
    return _Piece(shown, told, rest, note)


def _of_json(found: Selected, room: int, bound: Bound) -> _Piece:
    """Any other value: whole, or with its arrays and texts cut."""
    root = SCHEME + run_of(found.base)
    cuts = Cuts(root)
    path = found.base[len(root) + 1 :]
    items = bound.items if bound.items is not None else _UNLIMITED
    small = shrunk(found.value, room, items, path, cuts)
    if small is None:
        named = f"{found.base}/KEY" if kind_of(found.value) == "{" else f"{found.base}/A..B"
        return _Piece(
            "null", {}, "", f"[{len(memoryview(found.value))} bytes, more than the bound: read parts ({named})]"
        )
    text = bytes(small).decode()
    if small is found.value:
        return _Piece(text, {})
    return _Piece(text, {}, "", cuts.note(root, len(memoryview(found.value))))
