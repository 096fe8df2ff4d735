"""The language in which the configuration format is described, once, for checking, for editors and for the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

UNBOUNDED: Final = 10**15
"""Stands for no upper limit."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text. `pattern` (a regular expression for the whole) and `form` (the same in words) restrict it.

    With `secrets`, references to secrets may stand in it: whoever reads the value keeps it to himself.
    """

    pattern: str = ""
    form: str = ""
    secrets: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `least` to `most`."""

    least: int = 0
    most: int = UNBOUNDED


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, or text such as `10m`; from `least` to `most` seconds. `endless` is a word that stands for 0."""

    least: float = 0.0
    most: float = 366 * 86400.0
    endless: str = ""


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes, or text such as `16MiB`; from `least` to `most` bytes."""

    least: int = 0
    most: int = UNBOUNDED


@dataclass(frozen=True, slots=True)
class Money:
    """US dollars as a number from `least` to `most`; read as whole micro-dollars."""

    least: float = 0.0
    most: float = UNBOUNDED


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of texts, or of records. With `alone` a single item may stand for a list of one."""

    item: Text | Record
    alone: bool = False


@dataclass(frozen=True, slots=True)
class TableOf:
    """A table whose keys are names (matching `key`) and whose values all have the shape `item`."""

    item: Shape
    key: str
    form: str
    placeholder: str


@dataclass(frozen=True, slots=True)
class Later:
    """Part of the format that this version does not carry out: it may only be absent, empty or false."""

    kind: Literal["table", "list", "flag"]
    restricts: bool


@dataclass(frozen=True, slots=True)
class Servers:
    """Server blocks of other programs, taken verbatim; read by `servers.py`."""


@dataclass(frozen=True, slots=True)
class Held:
    """A part that is left as it is written, because it may hold secrets or is of another's format; read by `agents.py`.

    `command` is text or a list of words, `words` a list, `pairs` names with values, `address` a URL, `options` names
    with plain values, `entry` an entry of the ACP registry or where it is, `distribution` the part of such an entry,
    `unpriced` what becomes of a call whose price is not known, `rewrites` arguments with what they become, `json` any
    value, `sources` arguments with where they come from, `structured` a result by expressions.
    """

    kind: Literal[
        "command",
        "words",
        "pairs",
        "address",
        "options",
        "entry",
        "distribution",
        "unpriced",
        "rewrites",
        "json",
        "sources",
        "structured",
    ]


@dataclass(frozen=True, slots=True)
class Unread:
    """Anything at all: accepted because other programs' files hold it, and not used."""


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a record. `text` describes it; `default` is what holds when it is absent, None if nothing does."""

    name: str
    shape: Shape
    text: str
    default: Any = None
    example: Any = None


@dataclass(frozen=True, slots=True)
class Record:
    """A table with fixed keys. Unknown ones are errors. Of the keys in `needs`, if any, at least one must be there."""

    fields: Sequence[Field]
    needs: Sequence[str] = ()

    def names(self) -> list[str]:
        """The keys in order."""
        return [field.name for field in self.fields]


Shape = (
    Text | Flag | Whole | Duration | Size | Money | Choice | ListOf | TableOf | Later | Servers | Held | Unread | Record
)  # fmt: skip
