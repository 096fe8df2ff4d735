"""Reads the rules of `policies:` and refuses those that could not be carried out as they are meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import Notes, did_you_mean
from mcp_orchestrator.config.document import Listing, Node, Place, Scalar, Table, plain
from mcp_orchestrator.config.masking import shown
from mcp_orchestrator.config.match_sections import match_of
from mcp_orchestrator.core.conditions import Conditions, Wrong
from mcp_orchestrator.core.effects import PATTERNS, named, trouble
from mcp_orchestrator.model.rules import Effect, Phase, PolicyRule, Rate, Redaction, Scope

GROUP: Final = "group:"
_OF: Final[Mapping[str, Effect]] = {
    "approvers": Effect.ASK,
    "remember": Effect.ASK,
    "expires": Effect.ASK,
    "limit": Effect.LIMIT,
    "redact": Effect.REDACT,
    "rewrite": Effect.REWRITE,
}
"""Keys that belong to one effect."""

_PHASES: Final[Mapping[Phase, frozenset[Effect]]] = {
    Phase.LIST: frozenset({Effect.DENY, Effect.ALLOW}),
    Phase.CALL: frozenset(Effect),
    Phase.RESULT: frozenset({Effect.DENY, Effect.REDACT, Effect.ALLOW}),
}


def read_policies(root: Table, checked: list[Mapping[str, Any]], notes: Notes) -> tuple[PolicyRule, ...]:
    """All rules that are right, in the order of the file; problems go to the notes."""
    section = root.get("policies")
    nodes = [item for item in section.items if isinstance(item, Table)] if isinstance(section, Listing) else []
    conditions = Conditions()
    seen: dict[str, Place] = {}
    rules = []
    for node, values in zip(nodes, checked, strict=False):
        reader = _Rule(node, values, notes, conditions)
        rule = reader.read()
        if rule is None:
            continue
        if rule.id in seen:
            message = f"there are two rules with the id {shown(rule.id)}: the other is in line {seen[rule.id].line}"
            notes.error(Code.DUPLICATE_ID, message, reader.place("id"), "give each rule a name of its own")
        seen.setdefault(rule.id, node.start)
        rules.append(rule)
    return tuple(rules)


class _Rule:
    """One rule being read."""

    def __init__(self, node: Table, values: Mapping[str, Any], notes: Notes, conditions: Conditions) -> None:
        self._node = node
        self._values = values
        self._notes = notes
        self._conditions = conditions
        self._name = shown(str(values.get("id", "without an id")))

    def place(self, key: str) -> Place:
        """Where a key stands; the rule's own place when it is not there."""
        entry = self._node.entries.get(key)
        return self._node.start if entry is None else entry.start

    def read(self) -> PolicyRule | None:
        values = self._values
        if "effect" not in values:
            if "effect" not in self._node.entries:
                message = f"rule {self._name} says nothing of what it wants"
                fix = f"give its effect: {', '.join(Effect)}"
                self._notes.error(Code.LACKING_KEY, message, self._node.start, fix)
            return None
        effect = Effect(values["effect"])
        phases = self._phases(effect)
        self._report_useless_keys(effect)
        when = values.get("when", "")
        if "when" in values:
            for phase in phases:
                self._check(self._node.get("when"), when, phase)
        if "id" not in values:
            return None
        return PolicyRule(
            values["id"],
            effect,
            match_of(values.get("match", {})),
            when.strip(),
            phases,
            values.get("reason", ""),
            tuple(dict.fromkeys(values.get("approvers", ()))),
            Scope(values.get("remember", Scope.ONCE)),
            values.get("expires"),
            self._rate(values.get("limit")),
            self._redaction(values.get("redact")),
            self._rewrites(),
            where=f"{self._notes.file}:{self._node.start.line}",
        )

    def _phases(self, effect: Effect) -> tuple[Phase, ...]:
        default = Phase.RESULT if effect is Effect.REDACT else Phase.CALL
        given = [Phase(word) for word in self._values.get("phases", ())]
        for phase in given:
            if effect not in _PHASES[phase]:
                message = f"{effect.value} of rule {self._name} means nothing in the phase {phase.value}"
                able = ", ".join(one.value for one in Phase if effect in _PHASES[one])
                self._notes.error(Code.USELESS_KEY, message, self.place("phases"), f"phases: [{able}]")
        return tuple(dict.fromkeys(given)) or (default,)

    def _report_useless_keys(self, effect: Effect) -> None:
        for key, owner in _OF.items():
            if key in self._node.entries and owner is not effect:
                message = f"{key} of rule {self._name} means nothing for the effect {effect.value}"
                fix = f"remove it, or write effect: {owner.value}"
                self._notes.error(Code.USELESS_KEY, message, self.place(key), fix)
        for key, owner in (("limit", Effect.LIMIT), ("redact", Effect.REDACT), ("rewrite", Effect.REWRITE)):
            if owner is effect and key not in self._node.entries:
                message = f"rule {self._name} has no {key}: it would do nothing"
                self._notes.error(Code.LACKING_KEY, message, self._node.start, f"give {key}")

    def _rate(self, values: Mapping[str, Any] | None) -> Rate | None:
        if values is None or "count" not in values:
            return None
        count = values["count"]
        per = tuple(dict.fromkeys(values.get("per", ("principal",))))
        return Rate(count, values.get("every", 60.0), values.get("burst", count), per)

    def _redaction(self, values: Mapping[str, Any] | None) -> Redaction | None:
        if values is None:
            return None
        found = Redaction(*(tuple(values.get(key, ())) for key in ("patterns", "expressions", "fields")))
        for pattern in found.patterns:
            if not named(pattern):
                message = f"rule {self._name}: there is no pattern {shown(pattern)}"
                place = self._item("patterns", pattern)
                self._notes.error(Code.UNKNOWN_PATTERN, message, place, did_you_mean(pattern, list(PATTERNS)))
        for text in found.expressions:
            wrong = trouble(Redaction(expressions=(text,)))
            if wrong:
                place = self._item("expressions", text)
                self._notes.error(Code.BAD_EXPRESSION, f"rule {self._name}: {wrong}", place, "mend the expression")
        return found

    def _item(self, key: str, text: str) -> Place:
        redact = self._node.get("redact")
        listed = redact.get(key) if isinstance(redact, Table) else None
        for item in listed.items if isinstance(listed, Listing) else ():
            if isinstance(item, Scalar) and item.text == text:
                return item.start
        return self.place("redact")

    def _rewrites(self) -> dict[str, Any]:
        """The arguments that are rewritten: a CEL expression as text, a constant as {"const": value}."""
        node = self._node.get("rewrite")
        found: dict[str, Any] = {}
        for entry in node.entries.values() if isinstance(node, Table) else ():
            value = entry.value
            if isinstance(value, Scalar) and isinstance(value.value, str):
                self._check(value, value.text, Phase.CALL, wants=None)
                found[entry.key] = value.text
            elif isinstance(value, Table) and list(value.entries) == ["const"]:
                found[entry.key] = plain(value)
            else:
                message = f"rule {self._name}: {shown(entry.key)} is neither a CEL expression nor a constant"
                self._notes.error(Code.MALFORMED, message, entry.start, "write {const: VALUE}")
        return found

    def _check(self, node: Node | None, text: str, phase: Phase, *, wants: str | None = "BOOL") -> None:
        made = self._conditions.compile(text, phase, wants=wants)
        if isinstance(made, Wrong):
            place = within(self._notes.text, node, made) if isinstance(node, Scalar) else self.place("when")
            message = f"rule {self._name}: {made.message}"
            self._notes.error(Code.BAD_CONDITION, message, place, made.fix or "mend the condition")


def within(source: str, node: Scalar, wrong: Wrong) -> Place:
    """Where a mistake within an expression stands in the file; the beginning of the expression where that is not plain."""
    lines = source.splitlines()
    start = node.start
    line = lines[start.line - 1] if start.line <= len(lines) else ""
    head = line[start.column - 1 : start.column]
    if head in ("|", ">"):
        at = start.line + wrong.line - 1
        written = lines[at] if at < len(lines) else ""
        meant = _line_of(node.text, wrong.line)
        same = head == "|" and written.strip() == meant.strip()
        return Place(at + 1, len(written) - len(meant) + wrong.column) if same else start
    if wrong.line > 1 or "\n" in node.text:
        return start
    quoted = head in ("'", '"')
    first = start.column + quoted
    before = node.text[: wrong.column - 1]
    return Place(start.line, first + len(before)) if line[first - 1 :].startswith(before) else start


def _line_of(text: str, number: int) -> str:
    lines = text.split("\n")
    return lines[number - 1] if number <= len(lines) else ""
