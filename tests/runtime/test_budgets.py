"""The purse: how accounts stand is remembered, holds are renewed and swept, and trouble with the ledger stops what costs."""

import asyncio
import contextlib

import anyio
import anyio.lowlevel
import pytest
import structlog

from mcp_orchestrator.budget_api import Held, Lacking
from mcp_orchestrator.core.budget import Budgets
from mcp_orchestrator.model.budget import BudgetSpec, OnExceeded, Unit, Window, WindowKind
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Failed, FailureKind
from mcp_orchestrator.model.rules import Hold, Limit, Rate
from mcp_orchestrator.runtime.budgets import TEND, Purse
from mcp_orchestrator.storage.ledger import GRACE, MemoryLedger
from mcp_orchestrator.storage.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

HOLD = Hold("b", "f:1", "", "calls", 2, 5, "total", None)
SPEC = BudgetSpec("b", {Unit.CALLS: 5}, window=Window(WindowKind.TOTAL))


class Broken:
    """A ledger whose disk is full."""

    def fail(self, *_arguments):
        future = asyncio.get_running_loop().create_future()
        future.set_exception(OSError("disk full"))
        return future

    reserve = settle = release = note = adopt = tend = fail


class Fixture:
    def __init__(self, ledger, *specs):
        self.events = []
        self.now = 0.0
        self.ledger = ledger
        budgets = Budgets(specs) if specs else None
        self.purse = Purse(
            ledger,
            lambda: budgets,
            record=lambda kind, run, data: self.events.append((kind, run, data)),
            log=structlog.get_logger(),
            now=lambda: self.now,
            clock=lambda: self.now,
        )


@pytest.fixture
async def made():
    ledger = MemoryLedger(lambda: 0.0)
    found = Fixture(ledger, SPEC)
    yield found
    await found.purse.aclose()
    ledger.close()


async def test_how_accounts_stand_is_remembered_from_what_was_done(made):
    assert await made.purse.hold("r", [HOLD]) is None
    assert made.purse.standing[HOLD.place].reserved == 2
    made.purse.settle("r", {"calls": 1})
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()
    assert (made.purse.standing[HOLD.place].spent, made.purse.standing[HOLD.place].reserved) == (1, 0)


async def test_accounts_that_others_have_used_can_be_looked_up(made):
    assert isinstance(await made.ledger.reserve("other", [HOLD]), Held)
    await made.purse.look([HOLD])
    assert made.purse.standing[HOLD.place].reserved == 2


async def test_what_is_lacking_is_told_and_journalled_with_the_place(made):
    for run in ("r1", "r2"):
        await made.purse.hold(run, [HOLD])
    lacking = await made.purse.hold("r3", [HOLD])
    assert isinstance(lacking, Lacking)
    failed = made.purse.refused("r3", Principal("local:t"), lacking)
    assert failed.kind is FailureKind.REFUSED
    kind, run, data = made.events[-1]
    assert (kind, run, data["principal"], data["where"]) == (EventKind.BUDGET_REFUSED, "r3", "local:t", "f:1")


async def test_only_a_budget_that_asks_is_asked_about():
    ledger = MemoryLedger(lambda: 0.0)
    for word, asks in ((OnExceeded.ASK, True), (OnExceeded.REFUSE, False), (OnExceeded.REROUTE, False)):
        spec = BudgetSpec("b", {Unit.CALLS: 5}, window=Window(WindowKind.TOTAL), on_exceeded=word)
        found = Fixture(ledger, spec)
        lacking = await found.purse.hold("r", [Hold("b", "f:1", "", "calls", 6, 5, "total", None)])
        assert (found.purse.asking(lacking) is not None) is asks
        await found.purse.aclose()
    ledger.close()


async def test_a_ledger_that_cannot_be_written_refuses_what_would_cost_something():
    found = Fixture(Broken(), SPEC)
    failed = await found.purse.hold("r", [HOLD])
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.retryable) == (FailureKind.INTERNAL, True)
    assert "nothing was sent" in failed.message
    found.purse.settle("r", {})
    found.purse.release("r")
    found.purse.used("r", {}, lambda _text: None)
    await anyio.lowlevel.checkpoint()
    await found.purse.aclose()


async def test_whoever_stops_waiting_for_a_hold_leaves_nothing_held(tmp_path):
    store = SqliteStore(tmp_path / "state.db")
    await store.open()
    found = Fixture(store.ledger, SPEC)
    waiting = asyncio.ensure_future(found.purse.hold("r", [HOLD]))
    await anyio.lowlevel.checkpoint()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    (balance,) = await store.ledger.balances()
    assert (balance.spent, balance.reserved) == (0, 0)
    await found.purse.aclose()
    await store.aclose()


async def test_what_is_used_beyond_the_budget_is_told(made):
    said = []
    await made.purse.hold("r", [HOLD])
    made.purse.used("r", {"calls": 4}, said.append)
    made.purse.used("r", {"calls": 9}, said.append)
    for _ in range(4):
        await anyio.lowlevel.checkpoint()
    assert said == ["budget 'b' is spent: 9 calls of 5 calls"]


async def test_holds_of_gateways_that_ended_are_charged_and_told():
    clock = [0.0]
    ledger = MemoryLedger(lambda: clock[0])
    await ledger.reserve("dead", [HOLD])
    clock[0] = 2 * GRACE
    found = Fixture(ledger, SPEC)
    found.purse.open()
    with anyio.fail_after(5):
        while not found.events:
            await anyio.lowlevel.checkpoint()
    assert found.events[-1][0] is EventKind.BUDGET_EXPIRED
    (balance,) = await ledger.balances()
    assert (balance.spent, balance.reserved) == (2, 0)
    await found.purse.aclose()
    ledger.close()


async def test_nothing_is_swept_where_there_are_no_budgets():
    ledger = MemoryLedger(lambda: 0.0)
    found = Fixture(ledger)
    found.purse.open()
    assert found.purse._tending is None
    await found.purse.aclose()


async def test_renewing_comes_well_before_expiry():
    assert TEND * 3 < GRACE


async def test_rate_limits_are_counted_by_one_clock(made):
    limit = Limit("r", "f:2", Rate(1, 10.0, 1), "k")
    assert made.purse.throttled([limit]) is None
    assert made.purse.throttled([limit]).wait == 10.0
    made.now = 10.0
    assert made.purse.throttled([limit]) is None


async def test_each_attempt_has_a_name_of_its_own(made):
    assert made.purse.name("r") != made.purse.name("r")
