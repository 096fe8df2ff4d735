"""What calls and models cost: by the prices of the configuration, and by a table of models' prices that is handed in."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from mcp_orchestrator.core.logical import Shaping
from mcp_orchestrator.model.agent import AgentUsage, CostSource
from mcp_orchestrator.model.budget import ModelPrice, Prices
from mcp_orchestrator.model.snapshot import Snapshot

MILLION: Final = 1_000_000

Table = Callable[[AgentUsage, str], int | None]
"""A table of models' prices: micro-dollars of what was used, by the name of the model; None: it does not know."""


def price_of(prices: Prices, names: Sequence[str]) -> int | None:
    """Micro-dollars of a call by its dotted name (of a resource, its URI too); the first pattern that fits counts."""
    for pattern, price in prices.tools.items():
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            return price
    return None


def model_price(prices: Prices, model: str) -> ModelPrice | None:
    """The prices of a model as the configuration says, whose names may be patterns; the first that fits counts."""
    return next((price for pattern, price in prices.models.items() if fnmatch.fnmatchcase(model, pattern)), None)


def cost_of_tokens(usage: AgentUsage, price: ModelPrice) -> int | None:
    """Micro-dollars of what a turn used, rounded up; None when neither input nor output was told.

    `input_tokens` include the cached ones, unless there are more cached ones than that; what is cached has its own price
    where one is known.
    """
    if usage.input_tokens is None and usage.output_tokens is None:
        return None
    cached = usage.cached_tokens or 0
    written = usage.cache_write_tokens or 0
    told = usage.input_tokens or 0
    fresh = told - cached - written if told >= cached + written else told
    total = (
        fresh * price.input
        + cached * (price.cached if price.cached is not None else price.input)
        + written * (price.cache_write if price.cache_write is not None else price.input)
        + (usage.output_tokens or 0) * price.output
    )
    return -(-total // MILLION)


def priced(usage: AgentUsage, prices: Prices, table: Table, model: str | None = None) -> AgentUsage:
    """The usage with its cost computed, where the agent told tokens but no money; else as it is.

    `model` is the one that the agent was started with, for agents that do not say which one they used.
    """
    named = usage.model or model
    if usage.cost is not None or named is None or (usage.input_tokens is None and usage.output_tokens is None):
        return usage
    price = model_price(prices, named)
    cost = cost_of_tokens(usage, price) if price is not None else table(usage, named)
    return usage if cost is None else replace(usage, cost=cost, cost_source=CostSource.COMPUTED)


def shaping_of(snapshot: Snapshot) -> Shaping:
    """What a configuration makes of the tools of servers, with its prices."""
    return Shaping(snapshot.overrides, snapshot.tools, lambda tool: price_of(snapshot.prices, (tool,)))
