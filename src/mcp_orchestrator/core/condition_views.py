"""Arguments and results as conditions see them: bounded in every direction, and nothing is cut in silence.

What is too long, too deep or too much cannot be read: a condition that touches it fails, and a failing condition denies.
A value that were only shortened would let a caller hide what a rule looks for behind padding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

LONGEST_TEXT: Final = 64 * 1024
"""Characters of a text."""

LONGEST_RESULT: Final = 1024 * 1024
"""Characters of the text of a result."""

LONGEST_LIST: Final = 1000
"""Elements of a list, and keys of an object."""

DEEPEST: Final = 32
MOST_NODES: Final = 20_000
UNREADABLE: Final = 1 << 64
"""Stands for what cannot be read: no number of CEL, so that the engine fails when it is touched, and only then."""

MOST_TOLD: Final = 10
"""Places that are told of."""

_NUL: Final = "\x00"
"""At this character the engine cuts a text off (cel-expr-python 0.1.3, 2026-11)."""

_LEAST: Final = -(1 << 63)
_MOST: Final = (1 << 63) - 1


class View:
    """The bounded view of one value. `cut` tells, by path, what cannot be read and why."""

    __slots__ = ("_left", "_longest", "cut", "value")

    def __init__(self, value: Any, longest: int = LONGEST_TEXT) -> None:
        self._longest = longest
        self.cut: dict[str, str] = {}
        self._left = MOST_NODES
        self.value = self._seen(value, "", 0)

    def _seen(self, value: Any, path: str, depth: int) -> Any:  # noqa: PLR0911 - one line a kind of value
        self._left -= 1
        if self._left < 0:
            return self._cannot("", f"there are more than {MOST_NODES} values")
        kind = type(value)
        if kind is str:
            fits = len(value) <= self._longest and _NUL not in value and (value.isascii() or _whole(value))
            return value if fits else self._text(value, path)
        if kind is int:
            return value if _LEAST <= value <= _MOST else self._cannot(path, "the number has more than 64 bits")
        if kind is float or kind is bool or value is None:
            return value
        if depth >= DEEPEST:
            return self._cannot(path, f"it lies more than {DEEPEST} deep")
        if isinstance(value, Mapping):
            return self._object(value, path, depth)
        if isinstance(value, list | tuple):
            if len(value) > LONGEST_LIST:
                return self._cannot(path, f"the list has {len(value)} elements, more than {LONGEST_LIST}")
            return [self._seen(one, f"{path}[{number}]", depth + 1) for number, one in enumerate(value)]
        return self._cannot(path, "it is no JSON value")

    def _object(self, value: Mapping[Any, Any], path: str, depth: int) -> Any:
        if len(value) > LONGEST_LIST:
            return self._cannot(path, f"the object has {len(value)} keys, more than {LONGEST_LIST}")
        if not all(type(key) is str and len(key) <= LONGEST_TEXT and _NUL not in key and _whole(key) for key in value):
            return self._cannot(path, "a key is no text of Unicode characters, or too long")
        return {key: self._seen(one, f"{path}.{key}" if path else key, depth + 1) for key, one in value.items()}

    def _text(self, value: str, path: str) -> int:
        if not _whole(value):
            return self._cannot(path, "the text holds half of a surrogate pair")
        if _NUL in value:
            return self._cannot(path, "the text holds a NUL character")
        digest = hashlib.sha256(value.encode()).hexdigest()
        return self._cannot(path, f"the text has {len(value)} characters, more than {self._longest} (sha256 {digest})")

    def _cannot(self, path: str, why: str) -> int:
        if len(self.cut) < MOST_TOLD:
            self.cut[path[:100]] = why
        return UNREADABLE


def _whole(text: str) -> bool:
    """Whether a text is made of whole characters: half of a surrogate pair raises inside the engine."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
