"""What delegations cost: held when they begin, noted while they work, settled at their end; and computed where not told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.budget_api import Lacking
from mcp_orchestrator.core.budget import Cost, may_go_elsewhere
from mcp_orchestrator.core.policing import asker_of, delegation_subject
from mcp_orchestrator.core.pricing import Table, priced
from mcp_orchestrator.model.agent import AgentEvent, AgentSpec, AgentUsage, Ended, TroubleKind, Used
from mcp_orchestrator.model.budget import Prices, Unit
from mcp_orchestrator.model.delegation import Delegated
from mcp_orchestrator.model.outcome import Failed
from mcp_orchestrator.runtime.orders import DelegationError, Order
from mcp_orchestrator.runtime.paying import agreed

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.delegation import Delegation
    from mcp_orchestrator.runtime.engine import Engine


class OverBudgetError(DelegationError):
    """A delegation that no budget has enough left for. `elsewhere`: a cheaper agent may take it."""

    def __init__(self, text: str, *, elsewhere: bool) -> None:
        super().__init__(text)
        self.elsewhere = elsewhere


async def _read_already() -> None:
    """There is no table to read."""


@dataclass(slots=True)
class PriceList:
    """What is known of prices: those of the configuration, and a table of models' prices that is read when needed."""

    prices: Prices
    table: Table = lambda _usage, _model: None
    is_read: Callable[[], bool] = lambda: True
    read: Callable[[], Awaitable[None]] = _read_already


class Wages:
    """The budgets' side of all delegations of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.list = PriceList(Prices())
        self._reading: asyncio.Task[None] | None = None

    # -- budgets --------------------------------------------------------------------------------------------------

    async def hold(self, order: Order, kept: Delegated, spec: AgentSpec) -> None:
        """Hold what a delegation may cost, for as long as it goes on. Raises OverBudgetError: nothing was held."""
        purse = self._engine.purse
        budgets = purse.budgets if purse is not None else None
        if purse is None or budgets is None:
            return
        seconds = kept.limits.get("seconds", spec.timeout)
        limit = kept.limits.get("cost")
        cost = Cost(usd=None if limit is None else int(limit), milliseconds=round(seconds * 1000))
        demand = budgets.demand(
            delegation_subject(spec),
            asker_of(order.owner, None, order.profile, order.context),
            cost,
            purse.now(),
            purse.standing,
        )
        if demand.refusal is not None:
            raise OverBudgetError(demand.refusal.message, elsewhere=False)
        asked: set[Any] = set()
        while demand.holds:
            lacking = await purse.hold(kept.id, demand.holds, order.owner.lineage)
            if lacking is None:
                return
            if isinstance(lacking, Failed):
                raise OverBudgetError(lacking.message, elsewhere=False)
            if lacking.hold.place in asked or not await self._raised(order, lacking):
                failed = purse.refused(kept.id, order.owner, lacking)
                elsewhere = may_go_elsewhere(budgets.specs.get(lacking.hold.budget))
                raise OverBudgetError(failed.message, elsewhere=elsewhere)
            asked.add(lacking.hold.place)

    async def _raised(self, order: Order, lacking: Lacking) -> bool:
        """Whether somebody who may has agreed to a higher limit."""
        purse, run = self._engine.purse, self._engine.runs.get(order.run)
        ask = purse.asking(lacking) if purse is not None else None
        if purse is None or ask is None or run is None:
            return False
        by = await agreed(self._engine, run, ask)
        if by:
            await purse.raised(order.run, ask, by)
        return bool(by)

    def covers(self, order: Order, was: AgentSpec, spec: AgentSpec) -> bool:
        """Whether what is held for an order that one agent has is of all budgets that it is under with another one."""
        purse = self._engine.purse
        budgets = purse.budgets if purse is not None else None
        if purse is None or budgets is None:
            return True
        asker = asker_of(order.owner, None, order.profile, order.context)
        has, needs = (
            budgets.demand(delegation_subject(one), asker, Cost(usd=0), purse.now(), purse.standing)
            for one in (was, spec)
        )
        return needs.refusal is None and {one.place for one in needs.holds} <= {one.place for one in has.holds}

    def release(self, run: str) -> None:
        """Nothing was begun."""
        if self._engine.purse is not None:
            self._engine.purse.release(run)

    async def adopt(self, run: str) -> None:
        """Go on with a delegation that an earlier gateway began. Raises OSError."""
        if self._engine.purse is not None:
            await self._engine.purse.adopt(run)

    def used(self, delegation: Delegation) -> None:
        """Note what a delegation has used so far; one that uses more than a budget has is stopped."""
        purse, run = self._engine.purse, delegation.kept.id
        if purse is None or purse.budgets is None:
            return

        def over(text: str) -> None:
            if not delegation.stop.is_set():
                delegation.limit = TroubleKind.BUDGET
                delegation.cancel(text)

        purse.used(run, _measured(delegation.total), over)

    def settle(self, delegation: Delegation, ended: Ended) -> None:
        """Charge what a delegation has used; give everything back when its agent never began."""
        purse, kept = self._engine.purse, delegation.kept
        if purse is None:
            return
        usage = ended.usage
        nothing = usage == AgentUsage() and (kept.attempts == 0 or ended.retryable)
        if nothing:
            purse.release(kept.id)
            return
        seconds = max(0.0, self._engine.now() - kept.created - delegation.waiting_for_people)
        used = {**_measured(usage), Unit.SECONDS.value: round(seconds * 1000)}
        used[Unit.UNMEASURED.value] = 0 if usage.cost is not None else 1
        purse.settle(kept.id, used)

    # -- prices ---------------------------------------------------------------------------------------------------

    def priced(self, event: AgentEvent, model: str | None) -> AgentEvent:
        """An event with its cost computed where only tokens were told, as soon as the table of prices is read."""
        if not isinstance(event, Used):
            return event
        if event.usage.cost is None and not self.list.is_read() and self._reading is None:
            self._reading = asyncio.ensure_future(self._read())
        table = self.list.table if self.list.is_read() else _not_read
        return replace(event, usage=priced(event.usage, self.list.prices, table, model))

    async def _read(self) -> None:
        await self.list.read()

    async def priced_end(self, ended: Ended, model: str | None) -> Ended:
        """The end of a turn with its cost computed where only tokens were told."""
        usage = ended.usage
        if usage.cost is not None or (usage.input_tokens is None and usage.output_tokens is None):
            return ended
        await self.list.read()
        return replace(ended, usage=priced(usage, self.list.prices, self.list.table, model))


def _not_read(_usage: AgentUsage, _model: str) -> int | None:
    return None


def _measured(usage: AgentUsage) -> dict[str, int]:
    """What is known to be used, by unit."""
    used = {}
    if usage.cost is not None:
        used[Unit.USD.value] = usage.cost
    if usage.input_tokens is not None or usage.output_tokens is not None:
        used[Unit.TOKENS.value] = (usage.input_tokens or 0) + (usage.output_tokens or 0)
    return used
