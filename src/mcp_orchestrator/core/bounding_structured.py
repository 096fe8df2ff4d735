"""A structured content within a bound: arrays lose their tail and long texts their end, everything else stays.

What is left has the form that it had, so that it mostly fits the schema still; whoever cuts asks the schema.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from mcp_orchestrator.core.bounding_parts import Cuts
from mcp_orchestrator.core.selecting import elements_of, fields_of, kind_of, segment, size_of, text_of
from mcp_orchestrator.core.wire.jsonrpc import encode

DEEPEST: Final = 64
"""Levels that are looked into; what lies deeper is kept as it is, or not at all."""

SHORTEST: Final = 200
"""Characters of a text up to which it is never cut: names, addresses and dates stay whole."""

_PASSES: Final = 48
_UNLIMITED: Final = 1 << 60


def shrunk(raw: msgspec.Raw, room: int, items: int, path: str, cuts: Cuts) -> msgspec.Raw | None:
    """`raw` itself when it is within the bound, else a smaller value; None when that takes more than cutting.

    `room` is in bytes, `items` how many elements of each array may stay. What was cut is added to `cuts`.
    """
    size = size_of(raw)
    if size <= room and size <= 2 * items:
        return raw
    chars = _UNLIMITED
    for _ in range(_PASSES):
        attempt = Cuts(cuts.uri)
        seen = _Seen()
        small = _smaller(raw, path, _Limits(items, chars, attempt, seen), 0)
        size = size_of(small)
        if size <= room:
            cuts.left += attempt.left
            return small
        # The next limits are in proportion to what is too much, and at least a quarter less than what there is.
        if seen.items <= 1 and seen.chars <= SHORTEST:
            return None
        part = min(room / size, 0.75)
        items = max(int(min(items, seen.items) * part), 1)
        if seen.chars > SHORTEST:
            chars = max(int(min(chars, seen.chars) * part), SHORTEST)
    return None


class _Seen:
    """The longest array and text that were kept."""

    __slots__ = ("chars", "items")

    def __init__(self) -> None:
        self.items = 0
        self.chars = 0


class _Limits:
    """How much may stay, and where is noted what did not."""

    __slots__ = ("chars", "cuts", "items", "seen")

    def __init__(self, items: int, chars: int, cuts: Cuts, seen: _Seen) -> None:
        self.items = items
        self.chars = chars
        self.cuts = cuts
        self.seen = seen


def _smaller(raw: msgspec.Raw, path: str, limits: _Limits, depth: int) -> msgspec.Raw:
    size = size_of(raw)
    kind = kind_of(raw)
    if kind == '"':
        return _text(raw, path, limits)
    if depth >= DEEPEST or kind not in "{[":
        return raw
    if size <= min(2 * limits.items, limits.chars, SHORTEST):
        limits.seen.items = max(limits.seen.items, 1)
        return raw  # nothing in it can be too long
    if kind == "{":
        fields = fields_of(raw)
        made: dict[str, Any] = {
            key: _smaller(value, _below(path, segment(key)), limits, depth + 1) for key, value in fields.items()
        }
        return raw if all(made[key] is value for key, value in fields.items()) else msgspec.Raw(encode(made))
    every = elements_of(raw)
    some = every[: limits.items]
    limits.seen.items = max(limits.seen.items, len(some))
    if len(some) < len(every):
        limits.cuts.add(
            _below(path, f"{len(some)}.."), f"{len(every) - len(some)} of {len(every)} items of {path or 'it'}"
        )
    smaller = [_smaller(value, _below(path, str(place)), limits, depth + 1) for place, value in enumerate(some)]
    same = len(some) == len(every) and all(one is value for one, value in zip(smaller, every, strict=True))
    return raw if same else msgspec.Raw(encode(smaller))


def _below(path: str, step: str) -> str:
    return f"{path}/{step}" if path else step


def _text(raw: msgspec.Raw, path: str, limits: _Limits) -> msgspec.Raw:
    if size_of(raw) - 2 <= SHORTEST:
        return raw
    text = text_of(raw)
    if len(text) <= limits.chars:
        limits.seen.chars = max(limits.seen.chars, len(text))
        return raw
    kept = text[: limits.chars]
    limits.seen.chars = max(limits.seen.chars, len(kept))
    rest = _below(path, f"{len(kept)}..")
    limits.cuts.add(rest, f"{len(text) - len(kept)} of {len(text)} characters of {path}")
    return msgspec.Raw(encode(kept + f"[... {len(text) - len(kept)} more characters: {limits.cuts.address(rest)}]"))
