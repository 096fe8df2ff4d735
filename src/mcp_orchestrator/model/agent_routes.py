"""Routes of delegations: which agents take which work, what follows when one cannot, and how their work is verified."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Order(enum.StrEnum):
    """In which order the agents of a route are tried.

    `order`: as the file has them; `cheapest`: by what their runs cost on the average, as far as that was measured;
    `idle`: those with the fewest runs first.
    """

    ORDER = "order"
    CHEAPEST = "cheapest"
    IDLE = "idle"


class Then(enum.StrEnum):
    """What follows when an agent of a route could not do the work and has not begun with it."""

    NEXT = "next"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """Which delegations a route is for: every field that is given must fit; within a field one pattern is enough.

    `labels` must all be asked for. `task` are globs over the whole task, or RE2 between slashes, searched for in it.
    `workspace`, `principal`, `group`, `client` and `context` are globs; `mode` is `read` or `write` ("": either).
    """

    labels: tuple[str, ...] = ()
    task: tuple[str, ...] = ()
    workspace: tuple[str, ...] = ()
    principal: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    client: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Verify:
    """How the work of an agent is looked at once it says that it is done: by a program, by a JSON Schema, or by both.

    `command` is a command line without a shell, run in the workspace for at most `timeout` seconds; 0 is a pass.
    """

    command: tuple[str, ...] = ()
    timeout: float = 300.0
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AgentRoute:
    """One route. `to` are agents by name; `when` is CEL ("": true).

    `on_quota`, `on_missing` and `on_failed` say what follows when an agent has no quota left, is not there or not signed
    in, or did nothing else than fail. With `escalate` the next agent goes on with work that was not verified. `compare`
    agents (0: one) do the task at once, each in a place of its own.
    """

    id: str
    to: tuple[str, ...]
    match: RouteMatch = field(default_factory=RouteMatch)
    when: str = ""
    strategy: Order = Order.ORDER
    on_quota: Then = Then.NEXT
    on_missing: Then = Then.NEXT
    on_failed: Then = Then.FAIL
    verify: Verify | None = None
    escalate: bool = False
    compare: int = 0
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """How an agent stands now. `benched` says until when (seconds since the epoch) and why it is left out.

    `working` counts its runs that are not over; `cost` is the mean of what its runs cost, in micro-dollars.
    """

    benched_until: float = 0.0
    why: str = ""
    working: int = 0
    cost: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found; `said` is for a person, and for the agent that goes on: bounded."""

    passed: bool
    said: str = ""
