"""The items of a result within a bound: texts cut at a character, pictures and blobs as links, and notes of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from mcp_orchestrator.core.selecting import fields_of, kind_of, segment, size_of, text_of
from mcp_orchestrator.core.wire.jsonrpc import encode

LEAST_SHARE: Final = 320
"""Bytes that an item gets at least: less would hold nothing but the note that it was cut."""

TOLD: Final = 6
"""How many of the things that were left out are named one by one."""

_NOTE: Final = 96


@dataclass(slots=True)
class Cuts:
    """What was left out of a result; `uri` is the address of its whole."""

    uri: str
    left: list[tuple[str, str]] = field(default_factory=list)

    def add(self, path: str, what: str) -> None:
        """Note that something was left out; `path` is where it can be read, below the address of the whole."""
        self.left.append((path, what))

    def address(self, path: str) -> str:
        """The address of a part."""
        return f"{self.uri}/{path}" if path else self.uri

    def told(self) -> list[dict[str, str]]:
        """For programs: the first few, each with its address."""
        return [{"uri": self.address(path), "what": what} for path, what in self.left[:TOLD]]

    def note(self, whole: str, size: int) -> str:
        """For models: what is missing and how it is read."""
        named = "; ".join(f"{what} ({self.address(path)})" for path, what in self.left[:TOLD])
        more = f"; and {len(self.left) - TOLD} more" if len(self.left) > TOLD else ""
        return (
            f"[Not all of this result is shown. Left out: {named}{more}. The whole ({size} bytes) is the resource "
            f"{whole}; parts of it have addresses like these, with A..B for items or characters and lines/A..B for lines.]"
        )

    def __bool__(self) -> bool:
        """Whether anything was left out."""
        return bool(self.left)


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of a list of items may be shown."""

    size: int
    items: int
    lines: int


def shares(sizes: Sequence[int], total: int) -> list[int]:
    """Of `total`, what each of these gets: the small ones all they need, the large ones the same of what is left."""
    given, left = [0] * len(sizes), total
    for rank, place in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        given[place] = min(sizes[place], left // (len(sizes) - rank))
        left -= given[place]
    return given


def bounded_items(name: str, items: Sequence[msgspec.Raw], budget: Budget, cuts: Cuts, *, links: bool) -> list[Any]:
    """The items of a list (`content`, `messages`, `contents`) that fit a budget, cut where they must be."""
    shown = _as_many(items, budget)
    sizes = [size_of(item) + 1 for item in shown]
    bytes_for = shares(sizes, budget.size)
    texts = [_text_in(item) for item in shown]
    lines = [text.count("\n") + 1 if text is not None else 0 for text in texts]
    lines_for = shares(lines, budget.lines) if sum(lines) > budget.lines else lines
    made: list[Any] = []
    spare = budget.size - sum(bytes_for)
    for place, item in enumerate(shown):
        path = f"{name}/{place}"
        fits = sizes[place] <= bytes_for[place] and lines[place] <= lines_for[place]
        text = texts[place]
        if fits:
            made.append(item)
        elif text is not None:
            one = _cut(item, text, path, (bytes_for[place] + spare, lines_for[place]), cuts)
            spare -= max(len(encode(one)) + 1 - bytes_for[place], 0)
            made.append(one)
        else:
            one = _in_place(item, name, path, cuts, links=links)
            made += [one] if one is not None and len(encode(one)) <= bytes_for[place] else []
    if len(shown) < len(items):
        path = f"{name}/{len(shown)}.."
        cuts.add(path, f"{len(items) - len(shown)} of {len(items)} items of {name}")
    return made


def _as_many(items: Sequence[msgspec.Raw], budget: Budget) -> Sequence[msgspec.Raw]:
    """The first items, so many that each of them gets enough room to say something."""
    room, count = budget.size, 0
    for item in items[: budget.items]:
        room -= min(size_of(item) + 1, LEAST_SHARE)
        if room < 0:
            break
        count += 1
    return items[:count]


def _text_in(item: msgspec.Raw) -> str | None:
    """The text of an item: its own, or that of the one block in a message."""
    if kind_of(item) != "{":
        return None
    fields = fields_of(item)
    if "content" in fields and kind_of(fields["content"]) == "{":
        fields = fields_of(fields["content"])
    return text_of(fields["text"]) if "text" in fields and kind_of(fields["text"]) == '"' else None


def _cut(item: msgspec.Raw, text: str, path: str, most: tuple[int, int], cuts: Cuts) -> Any:
    """An item with the beginning of its text, at most so many (bytes, lines), and a note of what is missing."""
    size, lines = most
    around = _around(item)
    if around > size // 2:
        cuts.add(path, f"an item of {size_of(item)} bytes")
        note = f"[item left out: {cuts.address(path)}]"
        return _with_text(item, note, bare=True)
    room = size - around - _NOTE - len(cuts.uri) - len(path)
    kept = first_lines(cut_text(text, room), lines)
    rest = f"{path}/{len(kept)}.."
    cuts.add(rest, f"{len(text) - len(kept)} of {len(text)} characters of {path}")
    return _with_text(item, f"{kept}[... {len(text) - len(kept)} more characters: {cuts.address(rest)}]")


def _around(item: msgspec.Raw) -> int:
    """The bytes of an item without those of its text."""
    fields = fields_of(item)
    inner = fields_of(fields["content"]) if "content" in fields else fields
    return size_of(item) - size_of(inner["text"])


def _with_text(item: msgspec.Raw, text: str, *, bare: bool = False) -> Any:
    fields = fields_of(item)
    if "content" in fields:
        inner = fields_of(fields["content"])
        block: dict[str, Any] = {"type": "text"} if bare else dict(inner)
        return {
            **({"role": fields["role"]} if bare and "role" in fields else fields),
            "content": {**block, "text": text},
        }
    own = ("type", "uri", "mimeType")
    return {**({key: fields[key] for key in own if key in fields} if bare else fields), "text": text}


def first_lines(text: str, count: int) -> str:
    """The first `count` lines of a text, with their ends."""
    place = 0
    for _ in range(count):
        place = text.find("\n", place) + 1
        if not place:
            return text
    return text[:place]


def cut_text(text: str, room: int) -> str:
    """As much of the beginning of a text as takes at most `room` bytes as JSON, without its quotation marks."""
    if room <= 0:
        return ""
    low, high = 0, min(len(text), room)
    if len(encode(text[:high])) - 2 <= room:
        return text[:high]
    while low < high:
        middle = (low + high + 1) // 2
        if len(encode(text[:middle])) - 2 <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _in_place(item: msgspec.Raw, name: str, path: str, cuts: Cuts, *, links: bool) -> Any | None:
    """What stands for an item that cannot be cut: a link to it, or a note; None where neither can be."""
    size = size_of(item)
    fields = fields_of(item) if kind_of(item) == "{" else {}
    inner = fields
    for key in ("content", "resource"):
        if key in inner and kind_of(inner[key]) == "{":
            inner = fields_of(inner[key])
    mime = text_of(inner["mimeType"]) if "mimeType" in inner and kind_of(inner["mimeType"]) == '"' else ""
    mime = mime[:80]
    what = f"{mime or 'an item'} of {size} bytes"
    cuts.add(path, what)
    address = cuts.address(path)
    if name == "contents":
        uri = fields.get("uri") or msgspec.Raw(encode(address))
        return {"uri": uri, "text": f"[{what}: {address}]", "mimeType": "text/plain"}
    block: dict[str, Any] = {"type": "text", "text": f"[{what}: {address}]"}
    if links:
        block = {"type": "resource_link", "uri": address, "name": segment(path.replace("/", "-")), "description": what}
        if mime:
            block["mimeType"] = mime
    return {"role": fields.get("role", "user"), "content": block} if name == "messages" else block
