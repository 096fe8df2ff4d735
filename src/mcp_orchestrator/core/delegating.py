"""Pure decisions of a delegation: which agent takes it, what its result looks like, how an interrupted one goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from mcp_orchestrator.core.schema import Checker
from mcp_orchestrator.model.agent import (
    AgentMode,
    AgentSpec,
    AgentUsage,
    CostSource,
    Ended,
    EndStatus,
    TroubleKind,
)
from mcp_orchestrator.model.agent_routes import AgentRoute
from mcp_orchestrator.model.delegation import Changes, Delegated, DelegationState
from mcp_orchestrator.model.plan import Reason

MOST_SHOWN: Final = 20
"""Labels of an order that a refusal repeats, and characters of each."""

_FENCE: Final = "```"
MICRO: Final = 1_000_000
"""Micro-dollars in a dollar."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The agent that takes a delegation, or (None) why none does; with the reasons.

    `route` is the one that it comes by; `several` are the agents whose work is to be compared, if any.
    """

    agent: AgentSpec | None
    reasons: tuple[Reason, ...]
    refusal: str = ""
    route: AgentRoute | None = None
    several: tuple[AgentSpec, ...] = ()


def choose(agents: Sequence[AgentSpec], named: str | None, labels: Sequence[str], mode: AgentMode) -> Choice:
    """The agent that was named; else the first of the configuration that has every label and may do as much as asked."""
    enabled = [spec for spec in agents if not spec.disabled]
    if named is not None:
        found = next((spec for spec in enabled if spec.name == named), None)
        if found is None:
            known = ", ".join(spec.name for spec in enabled) or "none"
            return _none(f"there is no agent '{named}'; there are: {known}")
        if mode is AgentMode.WRITE and found.most_mode is AgentMode.READ:
            return _none(f"agent '{named}' may only read ({found.where or 'its configuration'}); use mode read")
        return Choice(found, (Reason("route", f"{named} was asked for", where=found.where),))
    able = [spec for spec in enabled if mode is AgentMode.READ or spec.most_mode is AgentMode.WRITE]
    for spec in able:
        if set(labels) <= set(spec.labels):
            why = f"the first agent with {_few(labels)}" if labels else "the first agent of the configuration"
            return Choice(spec, (Reason("route", f"{spec.name}: {why}", where=spec.where),))
    have = "; ".join(f"{spec.name} has {', '.join(spec.labels) or 'none'}" for spec in able)
    return _none(f"no agent has all of the labels {_few(labels)} and may {mode.value} ({have or 'no agent may'})")


def _few(words: Sequence[str]) -> str:
    shown = ", ".join(word[:MOST_SHOWN] for word in words[:MOST_SHOWN])
    return shown if len(words) <= MOST_SHOWN else f"{shown} and {len(words) - MOST_SHOWN} more"


def _none(text: str) -> Choice:
    return Choice(None, (Reason("route", text),), text)


def checked(ended: Ended, schema: Mapping[str, Any] | None) -> tuple[Ended, list[str]]:
    """The end with its structured answer verified by us, whatever the agent claims; and what is wrong with it.

    An agent that gave no structured answer is taken by its words, if they are JSON (bare or in one fenced block).
    """
    if schema is None or ended.status is not EndStatus.COMPLETED:
        return ended, []
    value = ended.structured if ended.structured is not None else _json_in(ended.text)
    if value is None:
        return ended, ["the agent gave no JSON"]
    faults = Checker(schema).faults(value)
    return replace(ended, structured=value), list(faults)


def unfit(ended: Ended, faults: Sequence[str]) -> Ended:
    """The end of a turn whose answer does not fit the schema: the work may well be done, the answer is no good."""
    text = f"the answer does not fit the output schema: {'; '.join(faults)}"
    return replace(
        ended,
        status=EndStatus.FAILED,
        structured=None,
        trouble=TroubleKind.INVALID,
        message=text,
        evidence=ended.evidence or "checked against the schema by the gateway",
    )


def _json_in(text: str) -> Any:
    stripped = text.strip()
    if _FENCE in stripped:
        stripped = stripped.split(_FENCE)[1].removeprefix("json").strip()
    try:
        return msgspec.json.decode(stripped.encode())
    except ValueError:
        return None


def again_for_schema(faults: Sequence[str], schema: Mapping[str, Any]) -> str:
    """The one further request to an agent whose answer did not fit."""
    shown = msgspec.json.encode(schema).decode()
    return (
        f"Your last answer did not fit the JSON Schema that was asked for: {'; '.join(faults)}. Do nothing else; answer "
        f"with one JSON value that fits this schema, without any other text:\n{shown}"
    )


def with_schema(task: str, schema: Mapping[str, Any] | None) -> str:
    """The task with a request for JSON, for agents that have no means of their own for it."""
    if schema is None:
        return task
    shown = msgspec.json.encode(schema).decode()
    return f"{task}\n\nEnd with one JSON value, in a ```json block, that fits this JSON Schema:\n{shown}"


def going_on(task: str) -> str:
    """What an agent is told that was interrupted in the middle by a restart of the gateway."""
    return (
        "You were interrupted in the middle of the task below, because the program that started you was restarted. "
        "Look at what you have done already, do not do it twice, and finish the task.\n\n" + task
    )


def taken_over(task: str, said: str) -> str:
    """What an agent is told that goes on with the work of another one, which was looked at and not found good."""
    return (
        "Another agent has worked at the task below in this very directory, and said that it is done. Its work was looked "
        "at, and was not accepted, for the reason between the lines. Look at what is there, and finish the task so that it "
        f"is accepted.\n\n-----\n{said}\n-----\n\n{task}"
    )


def added(before: AgentUsage, more: AgentUsage) -> AgentUsage:
    """The usage of two turns together. What only one of them told counts, money as well: what was spent stays spent."""

    def plus(one: int | None, other: int | None) -> int | None:
        return other if one is None else one if other is None else one + other

    sources = {one.cost_source for one in (before, more) if one.cost is not None}
    return AgentUsage(
        input_tokens=plus(before.input_tokens, more.input_tokens),
        output_tokens=plus(before.output_tokens, more.output_tokens),
        cached_tokens=plus(before.cached_tokens, more.cached_tokens),
        cache_write_tokens=plus(before.cache_write_tokens, more.cache_write_tokens),
        reasoning_tokens=plus(before.reasoning_tokens, more.reasoning_tokens),
        cost=plus(before.cost, more.cost),
        cost_source=sources.pop() if len(sources) == 1 else CostSource.COMPUTED if sources else CostSource.UNMEASURED,
        model=more.model or before.model,
    )


def status_word(kept: Delegated, *, asks: bool) -> str:
    """The one word for where a delegation stands, as results and the command line show it."""
    if kept.ended is not None:
        return kept.ended.status.value
    if asks:
        return "input_required"
    return "queued" if kept.state is DelegationState.ACCEPTED else "working"


def shown_usage(usage: AgentUsage) -> dict[str, Any]:
    """Usage as results show it: only what was told."""
    fields = {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "cachedTokens": usage.cached_tokens,
        "cacheWriteTokens": usage.cache_write_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "model": usage.model,
    }
    return {name: value for name, value in fields.items() if value is not None}


def shown_cost(usage: AgentUsage) -> dict[str, Any]:
    """Money in dollars with its source; never a false zero."""
    if usage.cost is None or usage.cost_source is CostSource.UNMEASURED:
        return {"usd": None, "source": CostSource.UNMEASURED.value}
    return {"usd": usage.cost / MICRO, "source": usage.cost_source.value}


def shown_changes(changes: Changes, *, diff: bool) -> dict[str, Any]:
    """Changes as results show them."""
    files = [
        {"path": one.path, "change": one.change, "added": one.added, "removed": one.removed}
        | ({"binary": True} if one.binary else {})
        | ({"before": one.before} if one.before is not None else {})
        for one in changes.files
    ]
    return {"files": files} | ({"diff": changes.diff, "truncated": changes.truncated} if diff else {})
