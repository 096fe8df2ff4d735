"""What was decided about a call, and why: every step of planning leaves a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mcp_orchestrator.model.catalog import Offer
from mcp_orchestrator.model.outcome import Completed, Outcome
from mcp_orchestrator.model.routing import LogicalTool
from mcp_orchestrator.model.rules import Terms


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of explanation.

    `step` is the planning step (identity, catalog, route, schema, policy, budget, context), `rule` the id of the rule
    that spoke ("" for built-in behaviour), `where` its `file:line` ("" likewise), `text` a sentence for a person.
    """

    step: str
    text: str
    rule: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Care:
    """What a run sees to beyond making the call: of tools with several providers, and of those whose results are capped.

    `provider` is `SERVER.TOOL`, under which its health is kept; `logical` the tool of ours that it serves, if any.
    `repeatable`: the configuration says that the call may be made a second time. `limit` is how many calls it takes at
    once, `cap` the largest result in bytes; `shape` makes its result that of the logical tool. `home` is the key under
    which the choice is remembered ("": it is not).
    """

    provider: str
    logical: LogicalTool | None = None
    repeatable: bool = False
    limit: int | None = None
    cap: int | None = None
    shape: Callable[[Completed], Outcome] | None = None
    home: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Which backend carries the call out, under which of its own names, within how many seconds.

    `arguments` are those that are sent where they are not the client's own; `price` is what the call costs in
    micro-dollars (None: nothing is known); `care` None is the most frequent case.
    """

    backend: str
    name: str
    offer: Offer | None
    timeout: float
    headers: Mapping[str, str] | None = None
    arguments: Mapping[str, Any] | None = None
    price: int | None = None
    care: Care | None = None


class Others(Protocol):
    """The further providers of a logical tool, decided one at a time."""

    reasons: list[Reason]
    """Why each one looked at so far was taken or not, in order."""

    @property
    def backends(self) -> frozenset[str]:
        """The servers of all providers."""
        ...

    def next(self) -> Target | None:
        """The next one that can take the call; None when there is none left."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision. Exactly one of `target` and `refusal` is set; a refusal may be a result that we give ourselves.

    `terms` are what else the rules want before and after the call (None: nothing). `others` are further targets, to be
    tried in their order where that cannot double an effect.
    """

    target: Target | None
    refusal: Outcome | None
    reasons: tuple[Reason, ...]
    terms: Terms | None = None
    others: Others | None = None
