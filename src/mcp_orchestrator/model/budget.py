"""Budgets: what may be spent, by whom, in which stretch of time; what is held of one, and how it stands."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from mcp_orchestrator.model.rules import Match


class Unit(enum.StrEnum):
    """What a budget counts. Amounts are whole numbers: micro-dollars, tokens, calls, and thousandths of a second.

    `unmeasured` counts the calls of a money budget of which nobody knows the price (`unknownPrice: {unmeasured: N}`).
    """

    USD = "usd"
    TOKENS = "tokens"
    CALLS = "calls"
    SECONDS = "seconds"
    UNMEASURED = "unmeasured"


class WindowKind(enum.StrEnum):
    """Calendar windows in a time zone; `every`: windows of a fixed length, one after the other; `total`: one for ever."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    EVERY = "every"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Window:
    """In which stretches of time a budget is counted. `seconds` is the length of `every`; `zone` an IANA name."""

    kind: WindowKind = WindowKind.MONTH
    seconds: int = 0
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Span:
    """One window: its id (part of the ledger's key, so that nothing is ever reset) and its end (None: never)."""

    id: str
    ends: float | None


class OnExceeded(enum.StrEnum):
    """What becomes of a call that a budget has not enough left for."""

    REFUSE = "refuse"
    ASK = "ask"
    REROUTE = "reroute"


class UnknownPrice(enum.StrEnum):
    """What becomes of a call whose price nobody knows."""

    DENY = "deny"
    FLAT = "flat"
    UNMEASURED = "unmeasured"


@dataclass(frozen=True, slots=True)
class BudgetSpec:
    """One budget of `budgets:`.

    `limits` by unit, in the ledger's whole numbers. `per` is what is counted apart: `caller`, `group`, `team`, `tool`,
    `server`, `agent`, `context`, `run`. `soft` is the share of a limit at which it is warned. `raised` is the share of a
    limit by which an approval of `approvers` raises it, for `raise_for` seconds. `price` is what an unknown price costs
    (`flat`, micro-dollars) or how many such calls may be made (`unmeasured`). `estimates` are what is held where nothing
    better is known.
    """

    id: str
    limits: Mapping[Unit, int]
    per: tuple[str, ...] = ()
    match: Match = field(default_factory=Match)
    window: Window = field(default_factory=Window)
    soft: float = 0.8
    on_exceeded: OnExceeded = OnExceeded.REFUSE
    approvers: tuple[str, ...] = ()
    raised: float = 0.25
    raise_for: float = 3600.0
    unknown: UnknownPrice = UnknownPrice.DENY
    price: int = 0
    estimates: Mapping[Unit, int] = field(default_factory=dict)
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """What a million tokens of a model cost, in micro-dollars."""

    input: int
    output: int
    cached: int | None = None
    cache_write: int | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of the configuration: by patterns over dotted tool names (micro-dollars a call), and by model.

    What is named first counts. Models that are not named are looked up in `genai-prices`.
    """

    tools: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, ModelPrice] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Balance:
    """How one budget stands for one key in one window. `raised` counts while `raised_until` is not over."""

    budget: str
    key: str
    window: str
    unit: str
    spent: int
    reserved: int
    limit: int
    raised: int = 0
    raised_until: float = 0.0
    ends: float | None = None

    def allowed(self, now: float) -> int:
        """The limit as it is now."""
        return self.limit + (self.raised if self.raised_until > now else 0)

    def left(self, now: float) -> int:
        """What can still be held; never less than nothing."""
        return max(0, self.allowed(now) - self.spent - self.reserved)

    @property
    def place(self) -> tuple[str, str, str, str]:
        """Where it is kept: budget, key, window, unit."""
        return self.budget, self.key, self.window, self.unit
