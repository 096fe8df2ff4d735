"""One rule, compiled: its plain part as patterns over what is wanted and who wants it, its condition by phase."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.conditions import Condition, Conditions, Wrong
from mcp_orchestrator.core.matching import Patterns
from mcp_orchestrator.model.rules import Effect, Phase, PolicyRule

if TYPE_CHECKING:
    from mcp_orchestrator.core.rulings import Asker

DELEGATION: Final = "delegation"
SAMPLING: Final = "sampling"
ELICITATION: Final = "elicitation"

HINTS: Final[Mapping[str, bool]] = {
    "readOnlyHint": False,
    "destructiveHint": True,
    "idempotentHint": False,
    "openWorldHint": True,
}
"""What holds of a tool that says nothing (MCP 2025-11-25 and 2026-07-28 schema, ToolAnnotations)."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What somebody wants to use.

    `kinds` are words of `CallKind`, `delegation`, `sampling` or `elicitation`; the first is what it is, the others what
    it belongs to (completing or subscribing to something is also a use of it). `names` are what patterns over tools are
    tried on: the dotted name, of resources the URI, too. `pin` tells definitions of the same name apart.
    """

    kinds: tuple[str, ...]
    names: tuple[str, ...]
    server: str = ""
    labels: tuple[str, ...] = ()
    annotations: Mapping[str, Any] = field(default_factory=dict)
    agent: str = ""
    agent_labels: tuple[str, ...] = ()
    pin: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """What the plain part of rules looks at; annotations are behind the pin."""
        return self.kinds, self.names, self.server, self.labels, self.agent, self.agent_labels, self.pin

    def hint(self, name: str) -> bool:
        """A hint of the tool, or what holds without it. Only a tool that only reads destroys nothing."""
        value = self.annotations.get(name)
        if name == "destructiveHint" and self.annotations.get("readOnlyHint") is True:
            return False
        return value if isinstance(value, bool) else HINTS[name]

    def annotation(self, name: str) -> Any:
        """Any annotation."""
        return self.hint(name) if name in HINTS else self.annotations.get(name)


class Compiled:
    """A rule that can be asked. `never`: its condition, if any, needs nothing but what is known before a call."""

    def __init__(self, rule: PolicyRule, conditions: Mapping[Phase, Condition], *, never: bool) -> None:
        match = rule.match
        self.rule = rule
        self.effect = rule.effect
        self.order = 0
        self.phases = frozenset(rule.phases)
        self.conditions = conditions
        self.never = never
        self.reads = frozenset[str]().union(*(condition.reads for condition in conditions.values()))
        self.keys = together(condition.keys for condition in conditions.values())
        self.rewrites: dict[str, Condition] = {}
        self.constants: dict[str, Any] = {}
        self._tool, self._server, self._agent = Patterns(match.tool), Patterns(match.server), Patterns(match.agent)
        self._kind, self._client, self._profile = Patterns(match.kind), Patterns(match.client), Patterns(match.profile)
        self._principal, self._group = Patterns(match.principal), Patterns(match.group)

    @property
    def reads_time(self) -> bool:
        """Whether what it says changes with time alone."""
        return any("now" in condition.reads for condition in self.conditions.values())

    def may_concern(self, *kinds: str) -> bool:
        """Whether the rule could be about one of these kinds."""
        return self._kind.fit_one_of(kinds)

    def fits(self, subject: Subject) -> bool:
        """Whether the plain part fits what is wanted."""
        match = self.rule.match
        return (
            self._tool.fit_one_of(subject.names)
            and self._kind.fit_one_of(subject.kinds)
            and self._server.fit(subject.server)
            and self._agent.fit(subject.agent)
            and all(label in subject.labels or label in subject.agent_labels for label in match.labels)
            and all(subject.annotation(name) == value for name, value in match.annotations.items())
        )

    def fits_caller(self, asker: Asker) -> bool:
        """Whether the plain part fits who wants it."""
        return (
            self._principal.fit_one_of(asker.ids)
            and self._group.fit_one_of(asker.principal.groups)
            and self._client.fit(asker.client)
            and self._profile.fit(asker.profile)
        )

    def what_would_change(self, subject: Subject) -> str:
        """What would have to be otherwise for the rule not to apply, for a person."""
        if self.rule.when:
            return f"It applies because of its condition: {' '.join(self.rule.when.split())}"
        match = self.rule.match
        about = [
            f"{word} {', '.join(patterns)}"
            for word, patterns in (
                ("principal", match.principal),
                ("group", match.group),
                ("client", match.client),
                ("profile", match.profile),
            )
            if patterns
        ]
        if about:
            return f"It applies to {' and '.join(about)} only; for everybody else the rule would have to be changed"
        return f"It applies whatever the arguments are: to use {subject.names[0]}, the rule would have to be changed"


def together(several: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """All keys of several sets; None (any key) as soon as one is."""
    found: frozenset[str] = frozenset()
    for keys in several:
        if keys is None:
            return None
        found |= keys
    return found


def compiled(rule: PolicyRule, conditions: Conditions) -> Compiled:
    """A rule that can be asked.

    Raises:
        ValueError: a condition or expression of it is wrong; the configuration refuses such a rule.
    """
    found: dict[Phase, Condition] = {}
    never = True
    for phase in rule.phases if rule.when else ():
        found[phase] = _good(conditions.compile(rule.when, phase), rule)
    if rule.when and rule.effect is Effect.DENY and Phase.CALL in rule.phases:
        early = conditions.compile(rule.when, Phase.LIST)
        never = isinstance(early, Condition) and "now" not in early.reads
        if isinstance(early, Condition) and never:
            found.setdefault(Phase.LIST, early)
    made = Compiled(rule, found, never=never)
    for name, source in rule.rewrite.items():
        if isinstance(source, Mapping):
            made.constants[name] = source.get("const")
        else:
            made.rewrites[name] = _good(conditions.compile(str(source), Phase.CALL, wants=None), rule)
            made.reads |= made.rewrites[name].reads
            made.keys = together((made.keys, made.rewrites[name].keys))
    return made


def _good(made: Condition | Wrong, rule: PolicyRule) -> Condition:
    if isinstance(made, Wrong):
        raise ValueError(f"rule '{rule.id}': {made.message}")  # noqa: TRY004 - the promised kind of error
    return made
