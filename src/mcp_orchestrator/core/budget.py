"""Which budgets a call counts against, and what is held of each before it: decided purely.

Every budget that fits counts, for everybody it is counted apart for (`per`); what an agent does counts for the one on
whose behalf it works, and for every run above it. What a call costs is known, or its budget says what becomes of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import product
from typing import Any, Final

from mcp_orchestrator.core.policy_rules import DELEGATION, SAMPLING, Compiled, Subject
from mcp_orchestrator.core.pricing import price_of
from mcp_orchestrator.core.rulings import Asker
from mcp_orchestrator.core.windows import Calendar
from mcp_orchestrator.model.budget import Balance, BudgetSpec, OnExceeded, Prices, Unit, UnknownPrice
from mcp_orchestrator.model.errors import INVALID_REQUEST
from mcp_orchestrator.model.outcome import Failed, FailureKind
from mcp_orchestrator.model.plan import Reason
from mcp_orchestrator.model.rules import Effect, Hold, PolicyRule

MICRO: Final = 1_000_000
TOKENS_AHEAD: Final = 10_000
"""Tokens that are held for a delegation where the budget says nothing else."""

CALL_AHEAD: Final = 10_000
"""Thousandths of a second that are held for a call where the budget says nothing else: few take their whole time limit."""

MOST_KEPT: Final = 4096
NOBODY: Final = "(none)"
"""Stands for the team of somebody without one, and so on: they share what such a budget allows."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What is known ahead of a call's cost. None: not known, or (tokens) not counted. `usd` in micro-dollars."""

    usd: int | None = None
    tokens: int | None = None
    milliseconds: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """What a call needs of budgets: nothing, holds, or (a price is not known) it is refused."""

    holds: tuple[Hold, ...] = ()
    reasons: tuple[Reason, ...] = ()
    refusal: Failed | None = None


_NOTHING: Final = Demand((), (Reason("budget", "no budget concerns this: nothing is held"),))


class Budgets:
    """The budgets of one configuration, ready to be asked."""

    def __init__(self, specs: Sequence[BudgetSpec], prices: Prices | None = None) -> None:
        self.specs: Mapping[str, BudgetSpec] = {spec.id: spec for spec in specs}
        self.prices = prices or Prices()
        rules = [PolicyRule(spec.id, Effect.LIMIT, spec.match) for spec in specs]
        self._matchers = [(spec, Compiled(rule, {}, never=False)) for spec, rule in zip(specs, rules, strict=True)]
        self.counts_sampling = any(matcher.may_concern(SAMPLING) for _, matcher in self._matchers)
        self._fitting: dict[tuple[Any, ...], tuple[tuple[BudgetSpec, Compiled], ...]] = {}
        self._calendar = Calendar()

    def demand(
        self,
        subject: Subject,
        asker: Asker,
        cost: Cost,
        now: float,
        standing: Mapping[tuple[str, str, str, str], Balance] | None = None,
    ) -> Demand:
        """What this needs. `now` is seconds since the epoch; `standing` is how accounts stand, as far as is known."""
        who = asker.principal
        agent = calling_agent(who.id) if who.run else ""
        if agent and not subject.agent:
            subject = replace(subject, agent=agent)
        holds: list[Hold] = []
        for spec in self._fit(subject, asker):
            if spec.unknown is UnknownPrice.DENY and Unit.USD in spec.limits and cost.usd is None:
                return _unpriced(spec, subject)
            for unit, limit, amount in _amounts(spec, subject, cost):
                span = self._calendar.span(spec.window, now)
                holds += [
                    Hold(spec.id, spec.where, key, unit.value, amount, limit, span.id, span.ends)
                    for key in _keys(spec, subject, asker)
                ]
        if not holds:
            return _NOTHING
        return Demand(tuple(holds), tuple(_reason(hold, (standing or {}).get(hold.place), now) for hold in holds))

    def refused_by_standing(
        self, demand: Demand, standing: Mapping[tuple[str, str, str, str], Balance], now: float
    ) -> tuple[BudgetSpec, Hold, Balance] | None:
        """The first of the holds that there is not enough left for, as far as is known."""
        for hold in demand.holds:
            balance = standing.get(hold.place)
            spec = self.specs.get(hold.budget)
            short = (
                hold.amount > hold.limit
                if balance is None
                else hold.amount > replace(balance, limit=hold.limit).left(now)
            )
            if short and spec is not None:
                return spec, hold, balance or Balance(*hold.place, 0, 0, hold.limit, ends=hold.ends)
        return None

    def variables(
        self,
        subject: Subject,
        asker: Asker,
        now: float,
        standing: Mapping[tuple[str, str, str, str], Balance] | None = None,
    ) -> dict[str, float]:
        """The budget variables of conditions, of the tightest money budget (see `variables`)."""
        holds = self.demand(subject, asker, Cost(usd=1), now).holds
        money = [hold for hold in holds if hold.unit == Unit.USD.value]
        return variables(money, standing or {}, now)

    def _fit(self, subject: Subject, asker: Asker) -> Iterator[BudgetSpec]:
        key = subject.key
        found = self._fitting.get(key)
        if found is None:
            if len(self._fitting) >= MOST_KEPT:
                self._fitting.clear()
            found = self._fitting[key] = tuple(pair for pair in self._matchers if pair[1].fits(subject))
        for spec, matcher in found:
            if matcher.fits_caller(asker):
                yield spec


def calling_agent(principal: str) -> str:
    """The agent of a principal `agent:NAME:RUN`."""
    parts = principal.split(":")
    return parts[1] if parts[0] == "agent" and len(parts) > 2 else ""  # noqa: PLR2004 - see above


def _amounts(spec: BudgetSpec, subject: Subject, cost: Cost) -> Iterator[tuple[Unit, int, int]]:
    """What is held of each unit: (unit, limit, amount)."""
    for unit, limit in spec.limits.items():
        if unit is Unit.CALLS:
            yield unit, limit, 1
        elif unit is Unit.SECONDS:
            most = cost.milliseconds if DELEGATION in subject.kinds else min(cost.milliseconds, CALL_AHEAD)
            yield unit, limit, spec.estimates.get(unit, most)
        elif unit is Unit.TOKENS and (cost.tokens is not None or DELEGATION in subject.kinds):
            yield unit, limit, cost.tokens if cost.tokens is not None else spec.estimates.get(unit, TOKENS_AHEAD)
        elif unit is Unit.USD and cost.usd is not None:
            if cost.usd:
                yield unit, limit, cost.usd
        elif unit is Unit.USD and spec.unknown is UnknownPrice.FLAT:
            yield unit, limit, spec.price
        elif unit is Unit.USD:
            yield unit, limit, 1  # so that nothing is begun once the limit is reached, and what is reported is charged
            yield Unit.UNMEASURED, spec.price, 1


def _keys(spec: BudgetSpec, subject: Subject, asker: Asker) -> Iterator[str]:
    """For whom it is counted: one key for each combination of what is counted apart."""
    who = asker.principal
    values: dict[str, tuple[str, ...]] = {
        "caller": (who.owner or who.id,),
        "group": who.groups or (NOBODY,),
        "team": (who.team or NOBODY,),
        "tool": subject.names[:1],
        "server": (subject.server or NOBODY,),
        "agent": (subject.agent or NOBODY,),
        "context": (asker.context or NOBODY,),
        "run": who.lineage,
    }
    for chosen in product(*(values[word] for word in spec.per)):
        pairs = zip(spec.per, chosen, strict=True)
        yield "&".join(f"{word}={value.replace('%', '%25').replace('&', '%26')}" for word, value in pairs)


def _unpriced(spec: BudgetSpec, subject: Subject) -> Demand:
    what = f"a delegation to {subject.agent}" if DELEGATION in subject.kinds else subject.names[0]
    mend = (
        f"give the delegation a budget, set agents.{subject.agent}.limits.usd"
        if DELEGATION in subject.kinds
        else f'name a price under prices.tools ("{subject.names[0]}": 0 if it costs nothing)'
    )
    text = (
        f"refused by budget: it is not known what {what} costs, and budget '{spec.id}' ({spec.where}) does not allow "
        f"that; {mend}, or set unknownPrice of the budget"
    )
    data = {"budget": spec.id, "unknownPrice": "deny"}
    failed = Failed(FailureKind.REFUSED, INVALID_REQUEST, text, data, retryable=True)
    return Demand((), (Reason("budget", text, spec.id, spec.where),), failed)


def whose(key: str) -> str:
    """For whom, for a person."""
    return f" of {key.replace('&', ', ')}" if key else ""


def amount(unit: str, value: int) -> str:
    """A quantity with its unit, for a person."""
    match unit:
        case Unit.USD.value:
            return f"${value / MICRO:.6f}".rstrip("0").rstrip(".") if value % 10_000 else f"${value / MICRO:.2f}"
        case Unit.SECONDS.value:
            return f"{value / 1000:g} s"
        case Unit.UNMEASURED.value:
            return f"{value} calls of unknown price"
        case _:
            return f"{value} {unit[:-1] if value == 1 else unit}"


def until(ends: float | None) -> str:
    """When a window ends, in UTC, for a person."""
    return "" if ends is None else f"until {datetime.fromtimestamp(ends, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _reason(hold: Hold, balance: Balance | None, now: float) -> Reason:
    text = f"holds {amount(hold.unit, hold.amount)} of budget '{hold.budget}'{whose(hold.key)}"
    if balance is not None:
        left = replace(balance, limit=hold.limit).left(now)
        text = f"{text}: {amount(hold.unit, left)} left of {amount(hold.unit, hold.limit)} {until(hold.ends)}".rstrip()
    return Reason("budget", text, hold.budget, hold.where)


def over(hold: Hold, balance: Balance, now: float) -> Failed:
    """The refusal of a call that a budget has not enough left for: what, where, how much is left, and until when."""
    left = replace(balance, limit=hold.limit).left(now)
    held = f" ({amount(hold.unit, balance.reserved)} is held by calls under way)" if balance.reserved else ""
    ends = until(hold.ends).replace("until", "A new window begins at") or "It is counted for ever"
    text = (
        f"over budget: '{hold.budget}'{whose(hold.key)} has {amount(hold.unit, left)} left of "
        f"{amount(hold.unit, balance.allowed(now))}{held}, and this needs {amount(hold.unit, hold.amount)} ({hold.where}). "
        f"{ends}"
    )
    data = {
        "budget": hold.budget, "for": hold.key, "unit": hold.unit, "left": left, "limit": hold.limit,
        "needed": hold.amount, "windowEnds": hold.ends, "where": hold.where,
    }  # fmt: skip
    return Failed(FailureKind.REFUSED, INVALID_REQUEST, text, data, retryable=True)


def may_go_elsewhere(spec: BudgetSpec | None) -> bool:
    """Whether a budget that is used up sends calls to something cheaper."""
    return spec is not None and spec.on_exceeded is OnExceeded.REROUTE


@dataclass(slots=True)
class _Tightest:
    left: float = math.inf
    limit: float = math.inf
    spent: float = 0.0
    reserved: float = 0.0


def variables(
    holds: Sequence[Hold], standing: Mapping[tuple[str, str, str, str], Balance], now: float
) -> dict[str, float]:
    """`budget.left_usd`, `.limit_usd`, `.spent_usd` and `.reserved_usd` of the tightest of some money budgets, in dollars.

    Without one, what is left is infinite.
    """
    found = _Tightest()
    for hold in holds:
        balance = standing.get(hold.place) or Balance(*hold.place, 0, 0, hold.limit)
        left = replace(balance, limit=hold.limit).left(now) / MICRO
        if left < found.left:
            found = _Tightest(left, hold.limit / MICRO, balance.spent / MICRO, balance.reserved / MICRO)
    return {
        "budget.left_usd": found.left,
        "budget.limit_usd": found.limit,
        "budget.spent_usd": found.spent,
        "budget.reserved_usd": found.reserved,
    }


def cost_of(subject: Subject, price: int | None, timeout: float, prices: Prices) -> Cost:
    """What is known ahead of a call: `price` in micro-dollars is what its offer or provider says, `timeout` seconds."""
    known = price if price is not None else price_of(prices, subject.names)
    return Cost(usd=known, milliseconds=round(timeout * 1000))


def soft_reached(spec: BudgetSpec, balance: Balance, now: float) -> bool:
    """Whether a budget is used to the share at which it is warned."""
    return balance.spent + balance.reserved >= spec.soft * balance.allowed(now)


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody may raise a limit: the budget, what is short, and by how much it would be raised for how long."""

    spec: BudgetSpec
    hold: Hold
    balance: Balance
    more: int
    seconds: float = field(default=3600.0)


def raise_of(spec: BudgetSpec, hold: Hold, balance: Balance, now: float) -> Ask:
    """What to ask for: the share that the budget names, and at least what the call lacks."""
    lacking = hold.amount - replace(balance, limit=hold.limit).left(now)
    over_limit = balance.spent + balance.reserved - balance.allowed(now)
    return Ask(spec, hold, balance, max(round(hold.limit * spec.raised), lacking + max(0, over_limit)), spec.raise_for)
