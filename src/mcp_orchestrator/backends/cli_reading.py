"""What a program says on its standard output, as events, and what that means for the end of its turn."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, assert_never

import msgspec

from mcp_orchestrator.backends.agent_link import MOST_BAD_LINES
from mcp_orchestrator.backends.cli_profiles import Known, Rule, Tool, Usage
from mcp_orchestrator.backends.selectors import Selector
from mcp_orchestrator.model.agent import (
    AgentEvent,
    AgentUsage,
    CostSource,
    FileChange,
    Started,
    Text,
    Thought,
    ToolStatus,
    ToolUse,
    Used,
    Warned,
)

Tell = Callable[[AgentEvent, bytes | None], None]

_MICRO: Final = 1_000_000
_SHOWN: Final = 200
_SCALES: Final = {"k": 1_000, "m": 1_000_000}
_COUNTED: Final = ("input", "output", "cached", "cache_write", "reasoning")
_MOST_TEXT: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class Found:
    """What was read of a turn so far. `end` is None until the program tells its end, then whether it was a success."""

    texts: list[str] = field(default_factory=list)
    answer: str | None = None
    structured: Any = None
    error: str = ""
    session: str | None = None
    model: str | None = None
    usage: AgentUsage = field(default_factory=AgentUsage)
    calls: set[str] = field(default_factory=set)
    end: bool | None = None
    bad: int = 0

    @property
    def text(self) -> str:
        """The final words: those that are told as such, else the last message, or (of text) everything that was said."""
        return self.answer if self.answer is not None else "".join(self.texts).strip("\n")


class Reader:
    """Reads the lines of one turn. Feed it every line, then `finish`."""

    def __init__(self, known: Known, tell: Tell) -> None:
        self._known = known
        self._tell = tell
        self._lines: list[bytes] = []
        self._message = 0
        self._in_piece = False
        self.found = Found()

    def line(self, line: bytes) -> None:
        """The next line, without its end."""
        match self._known.profile.output:
            case "jsonl":
                self._event_line(line)
            case "json":
                self._lines.append(line)
            case "text":
                self._text_line(line.rstrip(b"\r"))
            case never:
                assert_never(never)

    def finish(self) -> None:
        """There are no more lines."""
        if self._known.profile.output == "json" and self._lines:
            whole = b"\n".join(self._lines)
            frame = _decoded(whole)
            if frame is None:
                self._skipped(whole)
            for one in frame if isinstance(frame, list) else [frame]:
                if isinstance(one, dict):
                    self._event(one, whole)

    # -- JSON ------------------------------------------------------------------------------------------------------

    def _event_line(self, line: bytes) -> None:
        frame = _decoded(line)
        if isinstance(frame, dict):
            self._event(frame, line)
        else:
            self._skipped(line)

    def _skipped(self, line: bytes) -> None:
        self.found.bad += 1
        if self.found.bad <= MOST_BAD_LINES:
            shown = line[:_SHOWN].decode("utf-8", "replace")
            more = "; further ones are skipped without a word" if self.found.bad == MOST_BAD_LINES else ""
            self._tell(Warned(f"output that is no JSON object was skipped: {shown!r}{more}", "protocol"), line)

    def _event(self, frame: dict[str, Any], raw: bytes) -> None:
        for where, ok, rule in self._known.rules:
            if where.holds(frame):
                self._apply(rule, frame, raw)
                if rule.done:
                    self.found.end = ok.holds(frame) and not (rule.error and _text(rule.error, frame))

    def _apply(self, rule: Rule, frame: dict[str, Any], raw: bytes) -> None:
        found = self.found
        found.session = _text(rule.session, frame) or found.session
        model = _text(rule.model, frame)
        if model is not None and model != found.model:
            found.model = model
            self._tell(Started(session=found.session, model=model), raw)
        if (text := _text(rule.text, frame)) is not None:
            self._say(text, raw, piece=rule.piece)
        if (answer := _text(rule.answer, frame)) is not None:
            found.answer = answer
        self._mention(rule, frame, raw)
        if (error := _text(rule.error, frame)) is not None:
            found.error = error
        if rule.structured is not None and (value := Selector.parse(rule.structured).one(frame)) is not None:
            found.structured = value
        if rule.tool is not None:
            self._call(rule.tool, frame, raw)
        if rule.usage is not None:
            self._use(_amounts(rule.usage, frame), raw, each=rule.usage.each)

    def _mention(self, rule: Rule, frame: dict[str, Any], raw: bytes) -> None:
        if (thought := _text(rule.thought, frame)) is not None:
            self._tell(Thought(thought), raw)
        if (path := _text(rule.file, frame)) is not None:
            self._tell(FileChange(path), raw)
        if (warning := _text(rule.warning, frame)) is not None:
            self._tell(Warned(warning), raw)

    def _say(self, text: str, raw: bytes, *, piece: bool) -> None:
        if not (piece and self._in_piece):
            self._message += 1
            if self._known.profile.output != "text":
                self.found.texts.clear()  # the last message is the answer
            elif self.found.texts:
                self.found.texts.append("\n")
        self._in_piece = piece
        if sum(map(len, self.found.texts)) < _MOST_TEXT:
            self.found.texts.append(text)
        self._tell(Text(text, f"m{self._message}", final=not piece), raw)

    def _call(self, tool: Tool, frame: dict[str, Any], raw: bytes) -> None:
        identity = _text(tool.id, frame)
        if identity is None:
            return
        self.found.calls.add(identity)
        self._in_piece = False
        name, word = _text(tool.name, frame), _text(tool.status, frame)
        status = tool.statuses.get(word) if word is not None else None
        if status is None and word in set(ToolStatus):
            status = ToolStatus(str(word))
        event = ToolUse(
            identity,
            name,
            tool.kinds.get(name, "other") if name is not None else None,
            _text(tool.title, frame),
            status or tool.default,
            input=_one(tool.input, frame),
            output=_one(tool.output, frame),
        )
        self._tell(event, raw)

    # -- text ------------------------------------------------------------------------------------------------------

    def _text_line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        for pattern, rule in self._known.patterns:
            found = pattern.search(text[:10_000])
            if found is not None:
                self._told(found.groupdict(), line)
                if not rule.keep:
                    return
                break
        self._say(text, line, piece=False)

    def _told(self, groups: dict[str, str | None], raw: bytes) -> None:
        found = self.found
        found.session = groups.get("session") or found.session
        if (model := groups.get("model")) and model != found.model:
            found.model = model
            self._tell(Started(session=found.session, model=model), raw)
        if path := groups.get("file"):
            self._tell(FileChange(path), raw)
        if error := groups.get("error"):
            found.error = error
            self._tell(Warned(error, "error"), raw)
        amounts = {name: _amount(value) for name in (*_COUNTED, "cost") if (value := groups.get(name))}
        if amounts:
            if amounts.get("output"):
                found.error = ""  # the model answered after all: what went wrong before was tried again
            self._use(amounts, raw, each=True)

    # -- usage -----------------------------------------------------------------------------------------------------

    def _use(self, amounts: dict[str, float | None], raw: bytes, *, each: bool) -> None:
        if all(value is None for value in amounts.values()):
            return
        usage = self.found.usage
        told: dict[str, Any] = {}
        for name in _COUNTED:
            amount, field_ = amounts.get(name), f"{name}_tokens"
            if amount is not None:
                told[field_] = round(amount) + ((getattr(usage, field_) or 0) if each else 0)
        cost = amounts.get("cost")
        if cost is not None:
            micro = round(cost * _MICRO) + ((usage.cost or 0) if each else 0)
            usage = replace(usage, cost=micro, cost_source=CostSource.REPORTED)
        self.found.usage = replace(usage, **told, model=self.found.model)
        self._tell(Used(self.found.usage), raw)


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _text(path: str | None, frame: Any) -> str | None:
    return Selector.parse(path).text(frame) if path is not None else None


def _one(path: str | None, frame: Any) -> Any:
    return Selector.parse(path).one(frame) if path is not None else None


def _amounts(usage: Usage, frame: Any) -> dict[str, float | None]:
    return {name: _amount(_one(getattr(usage, name), frame)) for name in (*_COUNTED, "cost")}


def _amount(value: Any) -> float | None:
    """A number, or a text such as `1,234`, `1.2k` or `0.0048`; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value) if value >= 0 else None
    found = re.fullmatch(r"([0-9][0-9,]*(?:\.[0-9]+)?)([kKmM]?)\.?", value) if isinstance(value, str) else None
    if found is None:
        return None
    return float(found[1].replace(",", "")) * _SCALES.get(found[2].lower(), 1)
