"""What was decided about a call, and why: every step of planning leaves a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcp_orchestrator.model.catalog import Offer
from mcp_orchestrator.model.outcome import Outcome
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
class Target:
    """Which backend carries the call out, under which of its own names, within how many seconds."""

    backend: str
    name: str
    offer: Offer | None
    timeout: float
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision. Exactly one of `target` and `refusal` is set; a refusal may be a result that we give ourselves.

    `terms` are what else the rules want before and after the call (None: nothing).
    """

    target: Target | None
    refusal: Outcome | None
    reasons: tuple[Reason, ...]
    terms: Terms | None = None
