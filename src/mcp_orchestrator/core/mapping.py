"""Arguments and results of logical tools put into the words of a provider and back: prepared once, applied to each call."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp_orchestrator.core.conditions import Circumstances, Condition, Conditions, Fault, Wrong
from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.call import Call
from mcp_orchestrator.model.outcome import Completed
from mcp_orchestrator.model.routing import ArgumentSource, Provider, ResultShape

CALLER: Final[Mapping[str, str]] = {
    "args": "MAP",
    "principal.id": "STRING",
    "principal.kind": "STRING",
    "principal.groups": "LIST",
    "principal.team": "STRING",
    "client.name": "STRING",
    "client.version": "STRING",
    "client.era": "STRING",
    "profile": "STRING",
    "context.id": "STRING",
}
"""What `when` and mapped arguments may read."""

RESULT: Final[Mapping[str, str]] = {
    **CALLER,
    "result.text": "STRING",
    "result.structured": "DYN",
    "result.json": "DYN",
}
"""What a mapped result may read besides: its text, its structured content, and its text read as JSON."""

PLAIN: Final = re.compile(
    r"(args|result\.text|result\.structured|result\.json)((?:\.[A-Za-z_][A-Za-z0-9_]*|\[[0-9]{1,6}\]|\[\"[^\"\\]*\"\])*)"
)
"""An expression that only selects: carried out without the engine, so that values pass whole and untouched."""

HOLE: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
"""An expression in a template."""

_STEP: Final = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]+)\]|\[\"([^\"]*)\"\]")
_ABSENT: Final = Fault("it reads something that is not there", absent=True)


class Circle:
    """What expressions about one call see; put into the engine's form when one is first evaluated."""

    __slots__ = ("_conditions", "_made", "_names", "values")

    def __init__(self, conditions: Conditions, names: Mapping[str, str], values: dict[str, Any]) -> None:
        self._conditions = conditions
        self._names = names
        self._made: Circumstances | None = None
        self.values = values

    @property
    def circumstances(self) -> Circumstances:
        """The values for the engine, which sees bounded copies of arguments and results."""
        if self._made is None:
            self._made = self._conditions.circumstances(self._names, dict(self.values))
        return self._made


def caller(call: Call, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of `CALLER` for a call."""
    who, client = call.principal, call.client
    info = client.info or {}
    name, version = info.get("name"), info.get("version")
    return {
        "args": arguments,
        "principal.id": who.id,
        "principal.kind": who.kind,
        "principal.groups": list(who.groups),
        "principal.team": who.team,
        "client.name": name if isinstance(name, str) else "",
        "client.version": version if isinstance(version, str) else "",
        "client.era": client.era.value,
        "profile": call.profile or "",
        "context.id": call.context or "",
    }


class Expression:
    """One expression that gives a JSON value."""

    __slots__ = ("_condition", "_root", "_steps", "text")

    def __init__(self, text: str, condition: Condition) -> None:
        self.text = text
        self._condition = condition
        found = PLAIN.fullmatch(text.strip())
        self._root = found[1] if found is not None else ""
        self._steps: list[str | int] = (
            [
                int(step[2]) if step[2] is not None else step[1] if step[1] is not None else step[3]
                for step in _STEP.finditer(found[2])
            ]
            if found is not None
            else []
        )

    def of(self, circle: Circle) -> Any:
        """The value, or a `Fault`."""
        if not self._root:
            return _as_json(self._condition.value(circle.circumstances))
        value = circle.values.get(self._root)
        for step in self._steps:
            if value is not _ABSENT:
                value = _inside(value, step)
        return value


def _inside(value: Any, step: str | int) -> Any:
    if isinstance(step, str):
        return value[step] if isinstance(value, Mapping) and step in value else _ABSENT
    return value[step] if isinstance(value, list) and step < len(value) else _ABSENT


def expression(text: str, names: Mapping[str, str], conditions: Conditions) -> Expression | Wrong:
    """Compile an expression that gives a JSON value."""
    found = conditions.compile(text, names, wants=None)
    return found if isinstance(found, Wrong) else Expression(text, found)


def _sure(text: str, names: Mapping[str, str], conditions: Conditions) -> Expression:
    found = expression(text, names, conditions)
    if isinstance(found, Wrong):  # the configuration was checked, so that nothing else than a bug leads here
        raise ValueError(f"{text}: {found.message}")  # noqa: TRY004 - the text is wrong, not its type
    return found


class Arguments:
    """Makes the arguments of a provider out of those of the caller."""

    __slots__ = ("_drop", "_passes", "_rename", "_sources")

    def __init__(self, provider: Provider, conditions: Conditions) -> None:
        self._passes = provider.passes
        self._rename = dict(provider.rename)
        self._drop = frozenset(provider.drop)
        self._sources = [
            (name, _sure(source.expression, CALLER, conditions) if source.expression else None, source)
            for name, source in (provider.arguments or {}).items()
        ]

    def __call__(self, circle: Circle) -> dict[str, Any] | str:
        """The arguments to be sent, or why they cannot be made."""
        given = circle.values["args"]
        sent: dict[str, Any] = {}
        if self._passes:
            rename, drop = self._rename, self._drop
            sent = {rename.get(name, name): value for name, value in given.items() if name not in drop}
        for name, compiled, source in self._sources:
            value = _source(compiled, source, circle)
            if not isinstance(value, Fault):
                sent[name] = value
            elif not value.absent:
                return f"argument {name}: {value.text}"
            else:
                sent.pop(name, None)
        return sent


def _source(compiled: Expression | None, source: ArgumentSource, circle: Circle) -> Any:
    if source.const:
        return source.const[0]
    value = compiled.of(circle) if compiled is not None else _ABSENT
    left_out = value is None or (
        isinstance(value, Fault) and value.absent
    )  # clients write null for what they leave out
    return source.default[0] if left_out and source.default else value


class Results:
    """Makes the result of a logical tool out of that of a provider."""

    __slots__ = ("_conditions", "_fields", "_text", "_whole")

    def __init__(self, shape: ResultShape, conditions: Conditions) -> None:
        self._conditions = conditions
        structured = shape.structured
        self._whole = _sure(structured, RESULT, conditions) if isinstance(structured, str) and structured else None
        self._fields = (
            {name: _sure(text, RESULT, conditions) for name, text in structured.items()}
            if not isinstance(structured, str)
            else {}
        )
        self._text = (
            [
                _sure(part, RESULT, conditions) if number % 2 else part
                for number, part in enumerate(HOLE.split(shape.text))
            ]
            if shape.text
            else []
        )

    def __call__(self, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any] | str:
        """The fields of the result object, or why they cannot be made. `values` are those of `caller`."""
        circle = Circle(self._conditions, RESULT, {**values, **seen(fields)})
        made = {key: value for key, value in fields.items() if key not in {"content", "structuredContent"}}
        structured: Any = None
        if self._whole is not None:
            structured = self._whole.of(circle)
            if isinstance(structured, Fault):
                return f"structured: {structured.text}"
        elif self._fields:
            structured = {}
            for name, compiled in self._fields.items():
                value = compiled.of(circle)
                if isinstance(value, Fault) and not value.absent:
                    return f"structured.{name}: {value.text}"
                if not isinstance(value, Fault):
                    structured[name] = value
        text = self._filled(circle)
        if isinstance(text, Fault):
            return f"text: {text.text}"
        if structured is not None:
            made["structuredContent"] = structured
        made["content"] = [{"type": "text", "text": text if self._text else encode(structured).decode()}]
        return made

    def _filled(self, circle: Circle) -> str | Fault:
        parts = []
        for part in self._text:
            value = part.of(circle) if isinstance(part, Expression) else part
            if isinstance(value, Fault) and not value.absent:
                return value
            gone = isinstance(value, Fault) or value is None
            parts.append("" if gone else value if isinstance(value, str) else encode(value).decode())
        return "".join(parts)


def seen(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The variables that a result adds: text (all blocks, one a line), structured content, text read as JSON."""
    content = fields.get("content")
    blocks = content if isinstance(content, list) else []
    texts = [block.get("text") for block in blocks if isinstance(block, Mapping) and block.get("type") == "text"]
    text = "\n".join(part for part in texts if isinstance(part, str))
    structured = fields.get("structuredContent")
    try:
        read = decode(text.encode()) if text.lstrip()[:1] in ("{", "[") else None
    except ValueError:
        read = None
    return {"result.text": text, "result.structured": structured, "result.json": read}


class Shaper:
    """Gives the result of a provider the form of the logical tool; checks it against the schema that was promised.

    `mapped` is None where results pass as they are, `faults` tells what does not fit ([]: nothing).
    """

    __slots__ = ("_faults", "_mapped", "_values")

    def __init__(
        self, mapped: Results | None, faults: Callable[[Any], list[str]] | None, values: dict[str, Any]
    ) -> None:
        self._mapped = mapped
        self._faults = faults
        self._values = values

    def __call__(self, outcome: Completed) -> Completed | str:
        """The result, or what is wrong with it. Errors of the tool itself pass untouched."""
        try:
            fields = decode(outcome.result)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            return "it is no JSON object"
        if fields.get("isError") is True or fields.get("resultType", "complete") != "complete":
            return outcome
        made = self._mapped(fields, self._values) if self._mapped is not None else self._structured(fields)
        if isinstance(made, str):
            return made
        wrong = self._faults(made.get("structuredContent")) if self._faults is not None else []
        if wrong:
            return f"it does not fit the output schema: {'; '.join(wrong)}"
        try:
            return outcome if made is fields else Completed(encode(made), outcome.era)
        except (ValueError, OverflowError):
            return "it cannot be written as JSON"

    def _structured(self, fields: dict[str, Any]) -> dict[str, Any] | str:
        """A result that is not mapped; JSON in its text stands in for structured content that is promised."""
        if self._faults is None or "structuredContent" in fields:
            return fields
        read = seen(fields)["result.json"]
        return "it has no structured content" if read is None else {**fields, "structuredContent": read}


def _as_json(value: Any) -> Any:
    """A value of the engine as JSON, or a `Fault` for what is none."""
    kind = type(value)
    if kind in (str, int, bool) or value is None or isinstance(value, Fault):
        return value
    if kind is float:
        return value if math.isfinite(value) else Fault("it gives a number that JSON does not have")
    if kind is list:
        made = [_as_json(one) for one in value]
        return next((one for one in made if isinstance(one, Fault)), made)
    if kind is dict:
        if not all(isinstance(key, str) for key in value):
            return Fault("it gives an object with keys that are no text")
        found = {key: _as_json(one) for key, one in value.items()}
        return next((one for one in found.values() if isinstance(one, Fault)), found)
    return Fault(f"it gives a {kind.__name__}, which JSON does not have")
