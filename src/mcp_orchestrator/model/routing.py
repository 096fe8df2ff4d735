"""Tools as the configuration wants them: overrides of a server's tools, logical tools with providers, how providers stand."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ArgumentOverride:
    """What becomes of one argument of a server's tool. `const` and `default` hold the value alone, or are empty.

    `rename` is the name that clients see. With `hide` the argument is not shown and never sent (unless fixed by `const`
    or filled in by `default`).
    """

    rename: str = ""
    description: str = ""
    hide: bool = False
    const: tuple[Any, ...] = ()
    default: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Override:
    """What becomes of one tool of a server. `tool` is `SERVER.TOOL`; what is empty or None stays as it is.

    `price` is in micro-dollars a call, `timeout` in seconds, `max_result_bytes` the largest result that is taken. With
    `idempotent` a call may be made a second time though nobody knows what became of the first.
    """

    tool: str
    name: str = ""
    title: str = ""
    description: str = ""
    hide: bool = False
    arguments: Mapping[str, ArgumentOverride] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    annotations: Mapping[str, Any] = field(default_factory=dict)
    price: int | None = None
    timeout: float | None = None
    max_result_bytes: int | None = None
    idempotent: bool = False
    where: str = field(default="", compare=False)

    @property
    def repeatable(self) -> bool:
        """Whether the configuration says that a call may be repeated: idempotent, or only reading."""
        return self.idempotent or self.annotations.get("readOnlyHint") is True


class Strategy(enum.StrEnum):
    """By what a provider is chosen."""

    FAILOVER = "failover"
    WEIGHTED = "weighted"
    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    STICKY = "sticky"


@dataclass(frozen=True, slots=True)
class ArgumentSource:
    """Where one argument of a provider comes from: a CEL `expression`, or a fixed value (`const`).

    `default` is what it is when the expression reads an argument that the caller left out. Both hold the value alone.
    """

    expression: str = ""
    const: tuple[Any, ...] = ()
    default: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class ResultShape:
    """What becomes of a provider's result: fields of `structured` by CEL expression, or one expression for the whole.

    `text` is a template with CEL expressions in double braces; empty, the text is the structured result as JSON.
    """

    structured: Mapping[str, str] | str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """One tool that can do the work of a logical one. `tool` is `SERVER.TOOL`.

    `arguments` None: those of the caller pass, but for what `rename` and `drop` say. With `arguments` only those are
    sent, unless `rename` or `drop` is given too. `price` is in micro-dollars a call, `timeout` in seconds. `repeatable`
    is what the configuration says, never the server.
    """

    tool: str
    when: str = ""
    arguments: Mapping[str, ArgumentSource] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    result: ResultShape | None = None
    weight: int = 1
    price: int | None = None
    repeatable: bool = False
    max_concurrent: int | None = None
    timeout: float | None = None
    where: str = field(default="", compare=False)

    @property
    def passes(self) -> bool:
        """Whether the caller's arguments pass under their own names, but for what is said otherwise."""
        return self.arguments is None or bool(self.rename or self.drop)


@dataclass(frozen=True, slots=True)
class LogicalTool:
    """One tool of ours with several providers.

    `by` is what a choice is stable for: `caller`, `context`, `call` (each chooses anew) or `args.NAME`. `timeout` is
    seconds for all tries together. After `eject_after` failures in a row a provider is left out for `eject_for` seconds.
    With `next_on_error` a tool's own error (`isError`) of a repeatable provider sends the call to the next.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any]
    providers: tuple[Provider, ...]
    title: str = ""
    output_schema: Mapping[str, Any] | None = None
    annotations: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    strategy: Strategy = Strategy.FAILOVER
    by: str = "caller"
    timeout: float = 300.0
    eject_after: int = 5
    eject_for: float = 30.0
    next_on_error: bool = False
    where: str = field(default="", compare=False)


@dataclass(slots=True)
class Standing:
    """How a provider stands. Times are monotonic seconds; `latency` is the moving mean of calls that went well.

    `ejected_until` 0: it is not ejected. After that time one call at a time may probe it (`probing`).
    """

    failures: int = 0
    ejections: int = 0
    ejected_until: float = 0.0
    probing: bool = False
    busy: int = 0
    latency: float | None = None
    measured_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What planning knows of the world when it chooses a provider.

    `now` is monotonic seconds, `chance` in [0, 1). `standings` are by provider (`SERVER.TOOL`), `ejected` are those that were
    ejected and have not been well since; `down` says by server why it is not available now, `homes` is which provider
    served a sticky key last.
    """

    now: float = 0.0
    chance: float = 0.0
    standings: Mapping[str, Standing] = field(default_factory=dict)
    ejected: Collection[str] = ()
    down: Mapping[str, str] = field(default_factory=dict)
    homes: Mapping[str, str] = field(default_factory=dict)
