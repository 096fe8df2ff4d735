"""The file that a scripted agent plays: read, and checked so that every mistake is told with its line.

The format is described in `docs/reference/agent-script.md`; `STEPS` is all that it knows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.config import json_text, yaml_text
from mcp_orchestrator.config.document import (
    Listing,
    MalformedError,
    Node,
    Place,
    Scalar,
    Table,
    plain,
)
from mcp_orchestrator.model.agent import EndStatus, ToolStatus, TroubleKind

MAX_BYTES: Final = 1024 * 1024
"""Largest script, in bytes."""


class ScriptError(ValueError):
    """A script cannot be played; the text names file, line and what to write instead."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. `kind` is a key of `STEPS`, `value` its plain JSON, `then` what follows an answer, by word."""

    kind: str
    value: Any
    line: int
    then: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Script:
    """What an agent plays: the steps of each turn. Turns after the last one play the last one again.

    `resumed`, where there is one, is played instead when a session is taken up again.
    """

    turns: tuple[tuple[Step, ...], ...]
    model: str | None = None
    resumed: tuple[Step, ...] | None = None

    def turn(self, number: int) -> tuple[Step, ...]:
        """The steps of a turn; the first one is number 1."""
        return self.turns[min(number, len(self.turns)) - 1]


Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _anything(_value: Any) -> bool:
    return True


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _options(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(one, str) for one in value.values())


def _plan(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, str) or (isinstance(one, dict) and len(one) == 1 and all(map(_text, one.values())))
        for one in value
    )


def _word(words: type[EndStatus | TroubleKind | ToolStatus]) -> Check:
    return lambda value: isinstance(value, str) and value in set(words)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a step takes: a single value (`alone`), or fields, those of `needed` being required."""

    says: str
    alone: Check | None = None
    fields: Mapping[str, Check] = field(default_factory=dict)
    needed: tuple[str, ...] = ()

    def fits(self, value: Any) -> bool:
        if self.alone is not None and self.alone(value):
            return True
        if not self.fields or not isinstance(value, dict):
            return False
        known = all(key in self.fields and self.fields[key](one) for key, one in value.items())
        return known and all(key in value for key in self.needed)


_TEXT: Final = _Shape("a text", _text)
_NOTHING: Final = _Shape("true", lambda value: value is True)

_PERMISSION: Final = _Shape(
    "", fields={"what": _text, "details": _text, "options": _options}, needed=("what", "details", "options")
)
_FORM: Final = _Shape("", fields={"message": _text, "schema": _object}, needed=("message", "schema"))
_URL: Final = _Shape("", fields={"message": _text, "url": _text}, needed=("message", "url"))

STEPS: Final[Mapping[str, _Shape]] = {
    "say": _TEXT,
    "think": _TEXT,
    "warn": _TEXT,
    "plan": _Shape("a list of texts, or of TEXT: STATUS", _plan),
    "tool": _Shape(
        "{name, id?, kind?, title?, input?, output?, status?}",
        fields={
            "name": _text,
            "id": _text,
            "kind": _text,
            "title": _text,
            "input": _anything,
            "output": _anything,
            "status": _word(ToolStatus),
        },
        needed=("name",),
    ),
    "write": _Shape(
        "{path, text, executable?}",
        fields={"path": _text, "text": _text, "executable": _flag},
        needed=("path", "text"),
    ),
    "delete": _Shape("the path of a file", _text),
    "use": _Shape(
        "{input_tokens?, output_tokens?, cost?} (cost in dollars)",
        fields={"input_tokens": _count, "output_tokens": _count, "cost": _amount},
    ),
    "pause": _Shape("seconds", _amount),
    "wait": _Shape("{until: FILE}", fields={"until": _text}, needed=("until",)),
    "call": _Shape("{tool, arguments?}", fields={"tool": _text, "arguments": _object}, needed=("tool",)),
    "ask": _Shape(
        "one of permission: {what, details, options}, form: {message, schema}, url: {message, url}",
        fields={
            "permission": _PERMISSION.fits,
            "form": _FORM.fits,
            "url": _URL.fits,
        },
    ),
    "end": _Shape(
        "{status?, text?, structured?, trouble?, message?, retryable?}",
        fields={
            "status": _word(EndStatus),
            "text": _text,
            "structured": _anything,
            "trouble": _word(TroubleKind),
            "message": _text,
            "retryable": _flag,
        },
    ),
    "crash": _NOTHING,
    "hang": _NOTHING,
}
"""Every step by its word, with what it takes."""

_LAST: Final = frozenset({"end", "crash", "hang"})


def read_script(path: Path) -> Script:
    """The script in a YAML or JSON file.

    Raises:
        ScriptError: it cannot be read, or is no script.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScriptError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ScriptError(f"{path}: larger than {MAX_BYTES >> 20} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ScriptError(f"{path}: not UTF-8") from None
    return _Reader(path).script(text)


class _Reader:
    """Reads one file; every complaint names it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def script(self, text: str) -> Script:
        parse = json_text.parse if self._path.suffix == ".json" else yaml_text.parse
        try:
            root = parse(text, self._duplicate)
        except MalformedError as error:
            fix = f"; {error.fix}" if error.fix else ""
            raise self._wrong(error.place, f"{error.message}{fix}") from None
        if isinstance(root, Listing):
            return Script((self._steps(root),))
        if not isinstance(root, Table):
            raise self._wrong(Place(1, 1), "a script is a list of steps, or {turns: [STEPS, ...], resumed?, model?}")
        self._only(root, ("turns", "resumed", "model"))
        turns, resumed, model = (root.get(key) for key in ("turns", "resumed", "model"))
        if not isinstance(turns, Listing) or not turns.items:
            raise self._wrong(root.start, "turns must be a list with the steps of each turn")
        if model is not None and not (isinstance(model, Scalar) and isinstance(model.value, str)):
            raise self._wrong(model.start, "model must be a text")
        return Script(
            tuple(self._steps(turn) for turn in turns.items),
            str(model.value) if model is not None else None,
            self._steps(resumed) if resumed is not None else None,
        )

    def _steps(self, node: Node) -> tuple[Step, ...]:
        if not isinstance(node, Listing):
            raise self._wrong(node.start, 'steps are a list: put "- " before each of them')
        steps = tuple(self._step(item) for item in node.items)
        for step, following in itertools.pairwise(steps):
            if step.kind in _LAST:
                raise self._wrong(Place(following.line, 1), f"nothing can follow {step.kind} in line {step.line}")
        return steps

    def _step(self, node: Node) -> Step:
        if isinstance(node, Scalar) and node.value in _LAST | {"end"}:
            return Step(str(node.value), {} if node.value == "end" else True, node.start.line)
        if not isinstance(node, Table):
            raise self._wrong(node.start, f"a step is one of {', '.join(STEPS)} with its value")
        words = [key for key in node.entries if key != "then"]
        if len(words) != 1 or words[0] not in STEPS:
            raise self._wrong(
                node.start, f"a step is one of {', '.join(STEPS)} with its value; this has {_named(words)}"
            )
        kind = words[0]
        entry = node.entries[kind]
        value = plain(entry.value)
        shape = STEPS[kind]
        if not shape.fits(value) or (kind == "ask" and len(value) != 1):
            raise self._wrong(entry.value.start, f"{kind} takes {shape.says}{_words_of(kind)}")
        return Step(kind, value, node.start.line, self._then(kind, node))

    def _then(self, kind: str, node: Table) -> dict[str, tuple[Step, ...]]:
        then = node.entries.get("then")
        if then is None:
            return {}
        if kind != "ask":
            raise self._wrong(then.start, "then belongs to ask alone")
        if not isinstance(then.value, Table):
            raise self._wrong(then.start, "then takes steps by answer: {accept: [...], decline: [...], else: [...]}")
        asked = plain(node.entries["ask"].value)
        known = {"accept", "decline", "cancel", "else", *asked.get("permission", {}).get("options", ())}
        for word, branch in then.value.entries.items():
            if word not in known:
                raise self._wrong(branch.start, f"no answer '{word}'; there are: {', '.join(sorted(known))}")
        return {word: self._steps(branch.value) for word, branch in then.value.entries.items()}

    def _only(self, table: Table, known: tuple[str, ...]) -> None:
        for key, entry in table.entries.items():
            if key not in known:
                raise self._wrong(entry.start, f"no key '{key}' here; there are: {', '.join(known)}")

    def _duplicate(self, key: str, again: Place, first: Place) -> None:
        raise self._wrong(again, f"'{key}' is there already, in line {first.line}")

    def _wrong(self, place: Place, text: str) -> ScriptError:
        return ScriptError(f"{self._path}:{place.line}:{place.column}: {text}")


def _named(words: list[str]) -> str:
    return ", ".join(f"'{word}'" for word in words) or "none"


def _words_of(kind: str) -> str:
    match kind:
        case "end":
            return f" with status {', '.join(EndStatus)}; trouble {', '.join(TroubleKind)}"
        case "tool":
            return f" with status {', '.join(ToolStatus)}"
        case _:
            return ""
