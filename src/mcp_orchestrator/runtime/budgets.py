"""The purse: holds before something is done, settles after it, and knows how the accounts stand."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.budget_api import Lacking
from mcp_orchestrator.core.budget import Ask, amount, over, raise_of, soft_reached, until, whose
from mcp_orchestrator.core.budgeting import Standing
from mcp_orchestrator.core.gcra import Meter, Throttled
from mcp_orchestrator.model.budget import Balance, OnExceeded
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.errors import INTERNAL_ERROR
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Failed, FailureKind
from mcp_orchestrator.model.rules import Hold, Limit

if TYPE_CHECKING:
    from mcp_orchestrator.budget_api import Ledger
    from mcp_orchestrator.core.budget import Budgets
    from mcp_orchestrator.model.call import Call
    from mcp_orchestrator.model.plan import Plan
    from mcp_orchestrator.runtime.engine import Engine
    from mcp_orchestrator.runtime.gateway import Gateway
    from mcp_orchestrator.runtime.surroundings import Surroundings

TEND: Final = 20.0
"""Seconds between two renewals of what is held."""

MOST_STANDING: Final = 10_000
"""Accounts whose balance is remembered for planning; the ledger knows all."""

Place = tuple[str, str, str, str]


class Purse:
    """The budgets of one gateway while it runs. `budgets` gives those of the configuration in force (None: none)."""

    def __init__(
        self,
        ledger: Ledger,
        budgets: Callable[[], Budgets | None],
        *,
        record: Callable[[EventKind, str | None, Mapping[str, Any]], None],
        log: Any,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self.ledger = ledger
        self.meter = Meter()
        self._budgets = budgets
        self._record = record
        self._log = log
        self.now = now
        self._clock = clock
        self._standing: OrderedDict[Place, Balance] = OrderedDict()
        self._warned: OrderedDict[Place, None] = OrderedDict()
        self._tending: asyncio.Task[None] | None = None
        self._attempts = itertools.count(1)

    @property
    def budgets(self) -> Budgets | None:
        """The budgets that are in force; None when there are none."""
        return self._budgets()

    @property
    def standing(self) -> Mapping[Place, Balance]:
        """How accounts stand, as this gateway saw them last."""
        return self._standing

    def name(self, run: str) -> str:
        """A name for what one attempt of a run holds: a run may have several."""
        return f"{run}/{next(self._attempts)}"

    # -- before ---------------------------------------------------------------------------------------------------

    def throttled(self, limits: Sequence[Limit]) -> Throttled | None:
        """Count a call against its rate limits; what comes too early is counted against none of them."""
        return self.meter.admit(limits, self._clock())

    async def hold(self, run: str, holds: Sequence[Hold], above: Sequence[str] = ()) -> Lacking | Failed | None:
        """Hold everything that a run needs, durably; None when it is held."""
        self._tend_from_now_on()
        try:
            found = await self.ledger.reserve(run, holds, above)
        except asyncio.CancelledError:
            self.release(run)  # it may be held all the same, and nobody would ever settle it
            raise
        except OSError as error:
            text = f"nothing was sent, for what it may cost could not be recorded: {error}"
            return Failed(FailureKind.INTERNAL, INTERNAL_ERROR, text, retryable=True)
        if isinstance(found, Lacking):
            self._note([found.balance])
            return found
        self._note(found.balances)
        return None

    def refused(self, run: str, who: Principal, lacking: Lacking) -> Failed:
        """The refusal of what a budget has not enough left for; it is journalled."""
        failed = over(lacking.hold, lacking.balance, self.now())
        data = {"principal": who.id, "text": failed.message, **failed.data}
        self._record(EventKind.BUDGET_REFUSED, run, data)
        return failed

    def asking(self, lacking: Lacking) -> Ask | None:
        """What somebody could be asked for, where the budget says that somebody is; None where it does not."""
        spec = self.budgets.specs.get(lacking.hold.budget) if self.budgets is not None else None
        if spec is None or spec.on_exceeded is not OnExceeded.ASK:
            return None
        return raise_of(spec, lacking.hold, lacking.balance, self.now())

    async def raised(self, run: str, ask: Ask, by: str) -> None:
        """Somebody has agreed to a higher limit. Raises OSError when that could not be kept."""
        ends = self.now() + ask.seconds
        balance = await self.ledger.raised(ask.hold, ask.more, ends)
        self._note([balance])
        data = {
            "budget": ask.spec.id, "for": ask.hold.key, "unit": ask.hold.unit, "more": ask.more, "until": ends, "by": by,
        }  # fmt: skip
        self._record(EventKind.BUDGET_RAISED, run, data)

    # -- after ----------------------------------------------------------------------------------------------------

    def settle(self, run: str, used: Mapping[str, int]) -> None:
        """Charge what was used. It is written behind; what gets lost with the gateway is charged by its estimate."""
        self._heard(self.ledger.settle(run, used))

    def release(self, run: str) -> None:
        """Nothing was sent: give back what was held."""
        self._heard(self.ledger.release(run))

    def used(self, run: str, used: Mapping[str, int], then: Callable[[str], None]) -> None:
        """Note what a run has used so far; `then` is told if that is more than a budget has."""

        def heard(done: asyncio.Future[Sequence[Balance]]) -> None:
            if done.cancelled() or done.exception() is not None:
                return
            self._note(done.result())
            now = self.now()
            for balance in done.result():
                if balance.spent + balance.reserved > balance.allowed(now):
                    then(_spent(balance))
                    return

        asyncio.ensure_future(self.ledger.note(run, used)).add_done_callback(heard)

    async def adopt(self, run: str) -> None:
        """Keep the hold of a run that an earlier gateway has reserved. Raises OSError."""
        await self.ledger.adopt(run)
        self._tend_from_now_on()

    def _heard(self, done: Any) -> None:
        def heard(future: asyncio.Future[Sequence[Balance]]) -> None:
            if not future.cancelled() and future.exception() is None:
                self._note(future.result())

        asyncio.ensure_future(done).add_done_callback(heard)

    # -- how it stands --------------------------------------------------------------------------------------------

    def _note(self, balances: Sequence[Balance]) -> None:
        for balance in balances:
            self._standing[balance.place] = balance
            self._standing.move_to_end(balance.place)
            if len(self._standing) > MOST_STANDING:
                self._standing.popitem(last=False)
            self._warn(balance)

    def _warn(self, balance: Balance) -> None:
        """Say once in each window that a budget is nearly used up."""
        spec = self.budgets.specs.get(balance.budget) if self.budgets is not None else None
        if spec is None or balance.place in self._warned or not soft_reached(spec, balance, self.now()):
            return
        self._warned[balance.place] = None
        if len(self._warned) > MOST_STANDING:
            self._warned.popitem(last=False)
        data = {
            "budget": balance.budget, "for": balance.key, "unit": balance.unit, "spent": balance.spent,
            "reserved": balance.reserved, "limit": balance.limit, "windowEnds": balance.ends, "where": spec.where,
        }  # fmt: skip
        self._record(EventKind.BUDGET_SOFT, None, data)
        self._log.warning(
            "a budget is nearly used up", budget=balance.budget, of=balance.key, left=_left(balance, self.now())
        )

    async def look(self, holds: Sequence[Hold]) -> None:
        """Learn how these accounts stand in the ledger. Raises OSError."""
        if holds:
            self._note(await self.ledger.peek(holds))

    # -- while it runs --------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to renew and sweep, where there are budgets."""
        if self.budgets is not None:
            self._tend_from_now_on()

    def _tend_from_now_on(self) -> None:
        if self._tending is None or self._tending.done():
            self._tending = asyncio.get_running_loop().create_task(self._tend())

    async def _tend(self) -> None:
        while True:
            try:
                late = await self.ledger.tend()
            except OSError as error:
                self._log.warning("holds of budgets could not be renewed", error=str(error))
            else:
                if late:
                    self._record(EventKind.BUDGET_EXPIRED, None, {"reservations": late})
                    self._log.warning("calls whose gateway ended were charged by their estimates", reservations=late)
            await asyncio.sleep(TEND)

    async def aclose(self) -> None:
        """Stop renewing. What is still held is charged in time, unless another gateway goes on with it."""
        if self._tending is not None:
            self._tending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tending
            self._tending = None


def purse_of(engine: Engine, ledger: Ledger, budgets: Callable[[], Budgets | None]) -> Purse:
    """The purse of an engine: what is spent, by the budgets of whichever configuration is in force."""
    return Purse(ledger, budgets, record=engine.record, log=engine.log, now=engine.now, clock=engine.clock)


def seen(engine: Surroundings, *, binding: bool = False) -> Standing:
    """What planning knows of the ledger."""
    purse = engine.purse
    return Standing(engine.now(), purse.standing if purse is not None else {}, binding=binding)


async def explained(gateway: Gateway, call: Call) -> Plan:
    """The plan of a call that is not made: how its budgets stand is looked up first, and binds."""
    decided, purse = gateway.plan(call), gateway.engine.purse
    if purse is None or decided.terms is None or not decided.terms.holds:
        return decided
    await purse.look(decided.terms.holds)
    return gateway.plan(call, binding=True)


def _left(balance: Balance, now: float) -> str:
    return amount(balance.unit, balance.left(now))


def _spent(balance: Balance) -> str:
    used = amount(balance.unit, balance.spent + balance.reserved)
    ends = until(balance.ends)
    return (
        f"budget '{balance.budget}'{whose(balance.key)} is spent: {used} of {amount(balance.unit, balance.limit)}"
        f"{f', {ends}' if ends else ''}"
    )
