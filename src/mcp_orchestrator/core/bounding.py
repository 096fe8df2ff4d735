"""A bounded copy of a result: what is left out is named, with the address at which the whole of it can be read.

Texts are cut and end in a note, pictures, sounds and blobs become links, arrays of the structured content lose their
tail; a structured content that would not fit the tool's output schema any more is left out. `isError` always stays, and
`_meta` tells where the whole is, how long it is and its digest. What is within the bound is not touched at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from mcp_orchestrator.core.bounding_parts import Budget, Cuts, bounded_items, shares
from mcp_orchestrator.core.bounding_structured import shrunk
from mcp_orchestrator.core.selecting import STRUCTURED, elements_of, fields_of, kind_of, size_of
from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.results import Bound

WHOLE: Final = "mcp-orchestrator/result"
"""The key in `_meta` of a bounded result: `{uri, bytes, sha256, leftOut}`."""

LEAST_BYTES: Final = 2048
"""The smallest bound in bytes: room for the notes and for what says where the whole is."""

_KEPT: Final = ("isError", "resultType", "ttlMs", "cacheScope", "_meta")
_LISTS: Final = {"content": "content", "messages": "messages", "contents": "contents"}
_TRIES: Final = 12
_UNLIMITED: Final = 1 << 60

Fits = Callable[[Any], bool]
"""Whether a structured content fits the schema that the tool's clients know."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a bounded copy is made by: the bound, the address of the whole, and whether clients know links."""

    bound: Bound
    uri: str
    links: bool
    fits: Fits


def floor_of(bounds: Sequence[Bound]) -> int:
    """The length in bytes up to which no result can be over any of these bounds: one comparison tells."""
    floor = _UNLIMITED
    for bound in bounds:
        if bound.bytes is not None:
            floor = min(floor, bound.bytes)
        for number in (bound.items, bound.lines):
            if number is not None:
                floor = min(floor, 2 * number)  # an item and its comma, a line and its escaped end: two bytes at least
    return floor


def may_be_over(result: bytes, bound: Bound) -> bool:
    """Whether a result can be over a bound; False is certain, at the price of a search for three bytes."""
    if bound.bytes is not None and len(result) > bound.bytes:
        return True
    if bound.items is not None and result.count(b",") >= bound.items:
        return True
    return bound.lines is not None and result.count(b"\\n") + result.count(b"\\u000") >= bound.lines


def bounded(
    result: bytes, bound: Bound, uri: str, *, links: bool = True, fits: Fits = lambda _value: True
) -> bytes | None:
    """The bounded copy of a result; None when it is within the bound, or is nothing that can be bounded.

    `uri` is the address under which the whole is kept. Without `links` the client is of a revision before 2025-06-18,
    which knows no `resource_link`, so that a note stands in its place.
    """
    if not may_be_over(result, bound):
        return None
    try:
        fields = fields_of(result)
    except (ValueError, RecursionError):
        return None
    if "resultType" in fields and bytes(fields["resultType"]).strip() != b'"complete"':
        return None  # a question or a task: nothing that a model reads
    prefix = ""
    if "result" in fields and "status" in fields and kind_of(fields["result"]) == "{":
        prefix = "result"  # `tasks/get` brings the result of the call along
    inner = fields_of(fields[prefix]) if prefix else fields
    if not any(key in inner for key in (*_LISTS, "structuredContent")):
        return None
    wanted = _Wanted(bound, f"{uri}/{prefix}" if prefix else uri, links, fits)
    outside = len(result) - size_of(fields[prefix]) if prefix else 0
    made = _Copy(inner, wanted, _whole(result, uri)).made(outside)
    if made is None:
        return None
    return encode({**fields, prefix: msgspec.Raw(made)}) if prefix else made


def _whole(result: bytes, uri: str) -> dict[str, Any]:
    return {"uri": uri, "bytes": len(result), "sha256": hashlib.sha256(result).hexdigest()}


class _Copy:
    """One bounded copy being made."""

    def __init__(self, fields: Mapping[str, msgspec.Raw], wanted: _Wanted, whole: Mapping[str, Any]) -> None:
        self._fields = fields
        self._wanted = wanted
        self._whole = whole
        self._limit = wanted.bound.bytes if wanted.bound.bytes is not None else _UNLIMITED
        self._items = wanted.bound.items if wanted.bound.items is not None else _UNLIMITED
        self._lines = wanted.bound.lines if wanted.bound.lines is not None else _UNLIMITED

    def made(self, outside: int) -> bytes | None:
        """The copy, or None when nothing needed to be left out. `outside` bytes are around it."""
        limit = max(self._limit - outside, LEAST_BYTES)
        room = limit
        for _ in range(_TRIES):
            try:
                copy, cuts = self._attempt(room)
            except (ValueError, RecursionError):
                return self._least()  # something in it is no JSON, or lies too deep
            if not cuts:
                return None
            if len(copy) <= limit:
                return copy
            room = room - (len(copy) - limit) - 32
            if room <= 0:
                break
        return self._least()

    def _attempt(self, room: int) -> tuple[bytes, Cuts]:
        """A copy whose parts have `room` bytes together, and what was left out of it."""
        cuts = Cuts(self._wanted.uri)
        shown: dict[str, Any] = {}
        name = next((key for key in _LISTS if key in self._fields), "")
        for key, raw in self._fields.items():
            if key in (name, "structuredContent"):
                continue
            if size_of(raw) <= room // 8 or key in ("isError", "resultType"):
                shown[key] = raw
                room -= size_of(raw)
            else:
                cuts.add(key, f"{key} ({size_of(raw)} bytes)")
        items = elements_of(self._fields[name]) if name else []
        structured = self._fields.get("structuredContent")
        sizes = [sum(size_of(item) + 1 for item in items), size_of(structured) if structured is not None else 0]
        total = max(room - self._reserved(sizes, room), 0)
        _, for_structured = shares(sizes, total)
        if structured is not None:
            self._put_structured(shown, structured, for_structured, cuts)
        if name:
            budget = Budget(total - for_structured, self._items, self._lines)
            shown[name] = bounded_items(name, items, budget, cuts, links=self._wanted.links)
        if cuts:
            self._tell(shown, name, cuts)
        return encode(shown), cuts

    def _reserved(self, sizes: Sequence[int], room: int) -> int:
        """Bytes for the notes, where the parts do not fit as they are."""
        return 0 if sum(sizes) + 64 <= room else min(900 + 3 * len(self._wanted.uri), room // 2)

    def _put_structured(self, shown: dict[str, Any], raw: msgspec.Raw, room: int, cuts: Cuts) -> None:
        before = len(cuts.left)
        small = shrunk(raw, room, self._items, STRUCTURED, cuts)
        if small is raw:
            shown["structuredContent"] = raw
        elif small is not None and self._fits(small):
            shown["structuredContent"] = small
        else:
            del cuts.left[before:]
            cuts.add(STRUCTURED, f"structuredContent ({size_of(raw)} bytes) as a whole")

    def _fits(self, raw: msgspec.Raw) -> bool:
        try:
            value = decode(raw)
        except ValueError:
            return True  # a number that nobody can read, such as 1e400, was in it before
        return self._wanted.fits(value)

    def _tell(self, shown: dict[str, Any], name: str, cuts: Cuts) -> None:
        """Say what was left out: to programs in `_meta`, to models in a note at the end."""
        meta = decode(shown["_meta"]) if "_meta" in shown else {}
        told = {**self._whole, "leftOut": cuts.told()}
        shown["_meta"] = {**(meta if isinstance(meta, dict) else {}), WHOLE: told}
        note = cuts.note(str(self._whole["uri"]), int(self._whole["bytes"]))
        text = {"type": "text", "text": note}
        match name:
            case "messages":
                shown[name] = [*shown[name], {"role": "user", "content": text}]
            case "contents":
                one = {"uri": self._wanted.uri, "mimeType": "text/plain", "text": note}
                shown[name] = [*shown[name], one]
            case _:
                shown["content"] = [*shown.get("content", []), text]

    def _least(self) -> bytes:
        """Hardly more than where the whole is: for what is too odd to be cut by parts."""
        shown: dict[str, Any] = {
            key: raw
            for key, raw in self._fields.items()
            if key in _KEPT[:4] and size_of(raw) < 64  # noqa: PLR2004
        }
        cuts = Cuts(self._wanted.uri)
        cuts.add("", "everything")
        name = next((key for key in _LISTS if key in self._fields), "content")
        shown[name] = []
        self._tell(shown, name, cuts)
        return encode(shown)
