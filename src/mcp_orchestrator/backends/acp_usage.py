"""What a turn of an ACP agent used, from the different places and in the different sums in which agents tell it.

Some tell the turn, some the session so far, some the last model call only; money comes as the session so far
(`usage_update`). What cannot be told apart is not measured, rather than guessed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from mcp_orchestrator.backends.acp_profiles import Usage
from mcp_orchestrator.backends.agent_link import Frame, record, whole, words_of
from mcp_orchestrator.model.agent import AgentUsage, CostSource

_MICRO: Final = 1_000_000
_NAMES: Final = {
    "input_tokens": ("inputTokens", "input_tokens", "promptTokenCount", "prompt_tokens"),
    "output_tokens": ("outputTokens", "output_tokens", "candidatesTokenCount", "completion_tokens"),
    "cached_tokens": ("cachedReadTokens", "cached_read_tokens", "cachedInputTokens", "cached_tokens"),
    "cache_write_tokens": ("cachedWriteTokens", "cached_write_tokens", "cacheWriteTokens"),
    "reasoning_tokens": ("thoughtTokens", "thought_tokens", "reasoningTokens", "reasoning_tokens"),
}

_Counts = dict[str, int]


class Meter:
    """Measures the turns of one session. `known` False: it was made by an earlier process, whose sums are not known."""

    def __init__(self, where: Usage | None, *, known: bool) -> None:
        self._where = where
        self._cost: float | None = None
        self._cost_before: float | None = 0.0 if known else None
        self._sums: _Counts | None = {} if known else None
        self._calls: _Counts = {}
        self.usage = AgentUsage()

    def begin(self) -> None:
        """A turn begins."""
        self._calls = {}
        if self._cost is not None:
            self._cost_before = self._cost
        self.usage = AgentUsage()

    def update(self, update: Frame) -> bool:
        """Take in what an update tells; whether there is news of the turn. Heard outside of turns too."""
        if update.get("sessionUpdate") == "usage_update":
            return self._money(record(update.get("cost")))
        if self._where is None or not self._where.every:
            return False
        counts = _counts(_at(update, self._where.at))
        if not counts:
            return False
        for name, count in counts.items():
            self._calls[name] = self._calls.get(name, 0) + count
        self._counted(self._calls)
        return True

    def ended(self, result: Frame, *, one_call: bool) -> AgentUsage:
        """Take in the answer to the prompt; what the turn used. `one_call`: its model was called just once."""
        where = self._where
        counts = _counts(_at(result, where.at)) if where is not None and not where.every else {}
        if where is None or not counts:
            return self.usage
        if where.scope == "session":
            before, self._sums = self._sums, counts
            if before is not None:
                self._counted({name: max(0, count - before.get(name, 0)) for name, count in counts.items()})
        elif where.scope == "turn" or one_call:
            self._counted(counts)
        return self.usage

    def _money(self, cost: Frame) -> bool:
        amount = cost.get("amount")
        dollars = words_of(cost.get("currency")).upper() in ("", "USD")
        if not isinstance(amount, int | float) or isinstance(amount, bool) or not dollars:
            return False
        if amount == 0:  # also told of models without a price (opencode 1.18.33, 2026-11-24)
            return False
        self._cost = float(amount)
        if self._cost_before is None:
            return False
        spent = round(max(0.0, self._cost - self._cost_before) * _MICRO)
        self.usage = replace(self.usage, cost=spent, cost_source=CostSource.REPORTED)
        return True

    def _counted(self, counts: _Counts) -> None:
        known: dict[str, Any] = dict(counts)
        self.usage = replace(self.usage, **known)


def _at(value: Any, path: str) -> Frame:
    for step in path.split("."):
        value = record(value).get(step)
    return record(value)


def _counts(told: Frame) -> _Counts:
    counts: _Counts = {}
    for name, spellings in _NAMES.items():
        count = next((count for count in (whole(told.get(one)) for one in spellings) if count is not None), None)
        if count is not None:
            counts[name] = count
    return counts
