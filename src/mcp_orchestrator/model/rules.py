"""Rules: what a policy says, what was decided about one call, and on what terms it may be carried out."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mcp_orchestrator.model.plan import Reason


class Phase(enum.StrEnum):
    """When a rule is asked: before something is listed, before a call is made, before a result is handed on."""

    LIST = "list"
    CALL = "call"
    RESULT = "result"


class Effect(enum.StrEnum):
    """What a rule wants. All rules that match count; deny > ask > limit > allow. `redact` and `rewrite` add up."""

    DENY = "deny"
    ASK = "ask"
    LIMIT = "limit"
    REDACT = "redact"
    REWRITE = "rewrite"
    ALLOW = "allow"


class Scope(enum.StrEnum):
    """For what an approval holds."""

    ONCE = "once"
    RUN = "run"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class Match:
    """The plain part of a rule: every field that is given must fit; within a field one pattern is enough (globs).

    `tool` is over dotted names (`SERVER.TOOL`, the bare name of a tool of ours, a URI for resources), `labels` must all
    be there, `annotations` must be equal. `kind` is a word of `CallKind`, `delegation` or `sampling`.
    """

    tool: tuple[str, ...] = ()
    server: tuple[str, ...] = ()
    agent: tuple[str, ...] = ()
    principal: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    client: tuple[str, ...] = ()
    profile: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    annotations: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in `seconds`, `burst` at once, for each value of `per`.

    `per`: `principal`, `group`, `client`, `tool`, `server`, `agent`, `context`.
    """

    count: int
    seconds: float
    burst: int
    per: tuple[str, ...] = ("principal",)


@dataclass(frozen=True, slots=True)
class Redaction:
    """What is taken out of arguments or results.

    Named `patterns` and own regular expressions (RE2); `fields` are paths whose values are replaced as a whole.
    """

    patterns: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule of `policies:`. `when` is CEL over the variables of its phase ("" is true). Times are seconds.

    `rewrite` maps argument names to CEL expressions or (wrapped in {"const": ...}) to constants.
    """

    id: str
    effect: Effect
    match: Match = field(default_factory=Match)
    when: str = ""
    phases: tuple[Phase, ...] = (Phase.CALL,)
    reason: str = ""
    approvers: tuple[str, ...] = ()
    scope: Scope = Scope.ONCE
    expires: float | None = None
    rate: Rate | None = None
    redact: Redaction | None = None
    rewrite: Mapping[str, Any] = field(default_factory=dict)
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Approval:
    """A person must agree before the call is made: what rule wants it, who may agree, and for how much it holds."""

    rule: str
    where: str
    approvers: tuple[str, ...]
    scope: Scope
    expires: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate that the call counts against: `key` names whose."""

    rule: str
    where: str
    rate: Rate
    key: str


@dataclass(frozen=True, slots=True)
class Hold:
    """What is reserved of a budget before the call, for whom (`key`).

    `unit` is a word of `model.budget.Unit`, `amount` and `limit` whole numbers of it: micro-dollars, tokens, calls,
    thousandths of a second. `window` is the id of the stretch of time, `ends` its end (None: never).
    """

    budget: str
    where: str
    key: str
    unit: str
    amount: int
    limit: int = 0
    window: str = ""
    ends: float | None = None

    @property
    def place(self) -> tuple[str, str, str, str]:
        """Where the ledger keeps it: budget, key, window, unit. The holds of one call are taken in this order."""
        return self.budget, self.key, self.window, self.unit


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a result: as the rules hand it on (None: they withhold it), and what each of them said."""

    result: bytes | None
    reasons: tuple[Reason, ...] = ()


class Judge(Protocol):
    """Does to what a server gives what the rules want."""

    def __call__(self, result: bytes) -> Judged:
        """To a result: the encoded object."""
        ...

    def veil(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """To what is said on the way (progress, log messages, questions), where conditions cannot be asked yet."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a planned call may be carried out. Empty: on none, which is the most frequent case.

    `arguments` are the arguments as rules have rewritten them (None: as they came). `redactions` are for the result.
    `judge` does to a result what the rules want, as they were when the call was planned; None: nothing.
    """

    approvals: tuple[Approval, ...] = ()
    limits: tuple[Limit, ...] = ()
    holds: tuple[Hold, ...] = ()
    redactions: tuple[Redaction, ...] = ()
    arguments: Mapping[str, Any] | None = None
    judge: Judge | None = field(default=None, compare=False)
