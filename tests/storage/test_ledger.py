"""The ledger never holds more than there is, whoever spends at the same time and whoever is killed meanwhile."""

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.budget_api import Held, Lacking, Ledger
from mcp_orchestrator.model.rules import Hold
from mcp_orchestrator.storage import accounts
from mcp_orchestrator.storage.ledger import GRACE, MemoryLedger, SqliteLedger
from mcp_orchestrator.storage.migrations import v004_budgets
from mcp_orchestrator.storage.trouble import StorageError

pytestmark = pytest.mark.anyio

WORKER = Path(__file__).parents[1] / "peers" / "ledger_worker.py"
NOW = 1_800_000_000.0


class FakeClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def hold(
    amount: int, limit: int = 100, *, budget: str = "b", key: str = "", unit: str = "usd", window: str = "w"
) -> Hold:
    return Hold(budget, "f.yaml:1", key, unit, amount, limit, window, None)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real), "memory"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Ledger, FakeClock]]:
    clock = FakeClock(NOW)
    if request.param == "memory":
        memory = MemoryLedger(clock)
        yield memory, clock
        memory.close()
        return
    store = request.getfixturevalue(f"on_{request.param}").store(clock=clock)
    await store.open()
    yield store.ledger, clock
    await store.aclose()


async def stand(ledger: Ledger) -> list[tuple[str, int, int]]:
    return [(one.budget, one.spent, one.reserved) for one in await ledger.balances()]


async def test_what_is_held_is_charged_once_however_often_it_is_settled(ledger: tuple[Ledger, FakeClock]) -> None:
    book, _ = ledger
    assert isinstance(await book.reserve("r", [hold(60)]), Held)
    assert await stand(book) == [("b", 0, 60)]
    for _ in range(3):
        await book.settle("r", {"usd": 25})
        assert await stand(book) == [("b", 25, 0)]
    await book.release("r")
    assert await stand(book) == [("b", 25, 0)]


async def test_a_run_reserves_once(ledger: tuple[Ledger, FakeClock]) -> None:
    book, _ = ledger
    for _ in range(3):
        assert isinstance(await book.reserve("r", [hold(40)]), Held)
    assert await stand(book) == [("b", 0, 40)]
    await book.settle("r", {})
    await book.reserve("r", [hold(40)])
    assert await stand(book) == [("b", 40, 0)]


async def test_what_is_not_there_is_refused_and_nothing_of_it_is_held(ledger: tuple[Ledger, FakeClock]) -> None:
    book, _ = ledger
    await book.reserve("r1", [hold(60)])
    found = await book.reserve("r2", [hold(10, budget="a"), hold(60), hold(10, budget="c")])
    assert isinstance(found, Lacking)
    assert (found.hold.budget, found.balance.left(NOW)) == ("b", 40)
    assert await stand(book) == [("b", 0, 60)]
    assert isinstance(await book.reserve("r2", [hold(40)]), Held)


async def test_releasing_gives_everything_back(ledger: tuple[Ledger, FakeClock]) -> None:
    book, _ = ledger
    await book.reserve("r", [hold(60), hold(1, 5, unit="calls")])
    await book.release("r")
    assert [(one.unit, one.spent, one.reserved) for one in await book.balances()] == [("calls", 0, 0), ("usd", 0, 0)]


async def test_more_than_was_held_may_be_charged_and_then_there_is_less(ledger: tuple[Ledger, FakeClock]) -> None:
    book, _ = ledger
    await book.reserve("r", [hold(10)])
    await book.settle("r", {"usd": 130})
    (balance,) = await book.balances()
    assert (balance.spent, balance.left(NOW)) == (130, 0)
    assert isinstance(await book.reserve("s", [hold(1)]), Lacking)


async def test_a_new_window_begins_with_nothing_spent_and_the_old_one_stays_as_it_was(
    ledger: tuple[Ledger, FakeClock],
) -> None:
    book, _ = ledger
    await book.reserve("r", [hold(100, window="2026-11")])
    assert isinstance(await book.reserve("s", [hold(1, window="2026-11")]), Lacking)
    assert isinstance(await book.reserve("t", [hold(100, window="2026-12")]), Held)
    await book.settle("r", {"usd": 70})
    found = {one.window: (one.spent, one.reserved) for one in await book.balances()}
    assert found == {"2026-11": (70, 0), "2026-12": (0, 100)}


async def test_a_limit_can_be_raised_for_a_while(ledger: tuple[Ledger, FakeClock]) -> None:
    book, clock = ledger
    await book.reserve("r", [hold(100)])
    await book.raised(hold(1), 30, NOW + 60)
    assert isinstance(await book.reserve("s", [hold(30)]), Held)
    assert isinstance(await book.reserve("t", [hold(1)]), Lacking)
    await book.raised(hold(1), 20, NOW + 60)
    assert isinstance(await book.reserve("t", [hold(20)]), Held)
    await book.release("t")
    clock.advance(61)
    assert isinstance(await book.reserve("u", [hold(1)]), Lacking)


async def test_a_hold_that_nobody_renews_is_charged_by_its_estimate_and_a_late_settlement_corrects_it(
    place: Any,
) -> None:
    clock = FakeClock(NOW)
    dead, living = place.store(clock=clock), place.store(clock=clock)
    await dead.open()
    await living.open()
    await dead.ledger.reserve("r", [hold(60)])
    await living.ledger.reserve("mine", [hold(5)])
    assert await living.ledger.tend() == 0
    clock.advance(GRACE * 0.7)
    assert await living.ledger.tend() == 0
    clock.advance(GRACE * 0.7)
    assert await living.ledger.tend() == 1
    assert await stand(living.ledger) == [("b", 60, 5)]
    await dead.ledger.settle("r", {"usd": 20})
    assert await stand(living.ledger) == [("b", 20, 5)]
    await dead.ledger.settle("r", {"usd": 99})
    assert await stand(living.ledger) == [("b", 20, 5)]
    await dead.aclose()
    await living.aclose()


async def test_a_hold_that_is_adopted_is_renewed_by_its_new_keeper(place: Any) -> None:
    clock = FakeClock(NOW)
    first, second = place.store(clock=clock), place.store(clock=clock)
    await first.open()
    await second.open()
    await first.ledger.reserve("r", [hold(60)])
    await first.aclose()
    await second.ledger.adopt("r")
    for _ in range(5):
        clock.advance(GRACE * 0.7)
        assert await second.ledger.tend() == 0
    assert await stand(second.ledger) == [("b", 0, 60)]
    await second.aclose()


async def test_what_is_known_to_be_used_is_charged_even_if_nobody_settles(ledger: tuple[Ledger, FakeClock]) -> None:
    book, clock = ledger
    await book.reserve("r", [hold(10)])
    (balance,) = await book.note("r", {"usd": 90})
    assert (balance.spent, balance.reserved) == (0, 90)
    await book.note("r", {"usd": 50})
    assert await stand(book) == [("b", 0, 90)]
    clock.advance(2 * GRACE)
    await book.tend()
    assert await stand(book) == [("b", 90, 0)]


async def test_what_an_agent_spends_is_drawn_from_what_its_run_holds_and_goes_back_there(
    ledger: tuple[Ledger, FakeClock],
) -> None:
    book, _ = ledger
    await book.reserve("parent", [hold(100)])
    assert isinstance(await book.reserve("stranger", [hold(1)]), Lacking)
    assert isinstance(await book.reserve("child", [hold(40)], ("parent",)), Held)
    assert isinstance(await book.reserve("grandchild", [hold(10)], ("child", "parent")), Held)
    assert await stand(book) == [("b", 0, 100)]
    await book.settle("grandchild", {"usd": 4})
    assert await stand(book) == [("b", 4, 96)]
    await book.settle("child", {"usd": 6})
    assert await stand(book) == [("b", 10, 90)]
    await book.settle("parent", {"usd": 50})
    assert await stand(book) == [("b", 60, 0)]


async def test_what_a_parent_has_used_already_is_not_drawn_from(ledger: tuple[Ledger, FakeClock]) -> None:
    book, _ = ledger
    await book.reserve("parent", [hold(60)])
    await book.note("parent", {"usd": 50})
    assert isinstance(await book.reserve("child", [hold(20)], ("parent",)), Held)
    assert await stand(book) == [("b", 0, 70)]
    await book.release("child")
    assert await stand(book) == [("b", 0, 60)]


async def test_what_is_left_of_a_draw_is_free_when_the_parent_is_over(ledger: tuple[Ledger, FakeClock]) -> None:
    book, _ = ledger
    await book.reserve("parent", [hold(60)])
    await book.reserve("child", [hold(20)], ("parent",))
    await book.settle("parent", {"usd": 5})
    await book.settle("child", {"usd": 1})
    assert await stand(book) == [("b", 6, 0)]


async def test_many_calls_at_once_are_admitted_up_to_the_cap_and_no_further(ledger: tuple[Ledger, FakeClock]) -> None:
    book, _ = ledger
    found = await asyncio.gather(*(book.reserve(f"r{number}", [hold(7)]) for number in range(50)))
    assert sum(isinstance(one, Held) for one in found) == 100 // 7


async def test_a_settlement_that_could_not_be_written_is_tried_again(place: Any) -> None:
    store = place.store()
    await store.open()
    await store.ledger.reserve("r", [hold(60)])
    writer = store.ledger._writer

    def full() -> None:
        raise StorageError(28, "no space left", "state")

    store.ledger._writer = full  # type: ignore[assignment]
    with pytest.raises(OSError, match="no space"):
        await store.ledger.settle("r", {"usd": 9})
    with pytest.raises(OSError, match="no space"):
        await store.ledger.reserve("s", [hold(1)])
    store.ledger._writer = writer
    await store.ledger.tend()
    assert await stand(store.ledger) == [("b", 9, 0)]
    await store.aclose()


async def test_reservations_that_are_over_for_long_are_forgotten(place: Any) -> None:
    clock = FakeClock(NOW)
    store = place.store(clock=clock)
    await store.open()
    await store.ledger.reserve("r", [hold(1)])
    await store.ledger.settle("r", {})
    await store.ledger.reserve("s", [hold(1)])
    clock.advance(accounts.KEPT + 1)
    for _ in range(20):
        await store.ledger.tend()
    assert place.ask("SELECT run, state FROM reservation") == [("s", "expired")]
    await store.aclose()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "release", "note", "expire"]),
        st.integers(0, 5),
        st.integers(0, 60),
        st.integers(-1, 5),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_happens_the_accounts_are_the_sum_of_what_was_reserved(
    steps: Sequence[tuple[str, int, int, int]],
) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in v004_budgets.STATEMENTS:
        connection.execute(statement)
    now = NOW
    for what, run, amount, above in steps:
        now += 1
        name = f"r{run}"
        match what:
            case "reserve":
                lineage = (f"r{above}",) if above not in (-1, run) else ()
                accounts.reserve(connection, name, [hold(amount)], lineage, keeper="k", now=now, expires=now + 10)
            case "settle":
                accounts.close(connection, name, {"usd": amount}, now=now)
            case "release":
                accounts.close(connection, name, None, now=now)
            case "note":
                accounts.note(connection, name, {"usd": amount}, now=now)
            case _:
                accounts.tend(connection, keeper="other", now=now + 20, expires=now + 20)
        row = connection.execute("SELECT spent, reserved FROM budget").fetchone() or (0, 0)
        held = connection.execute("SELECT total(amount) FROM reservation WHERE state = 'held'").fetchone()[0]
        charged = connection.execute("SELECT total(charged) FROM reservation WHERE state <> 'held'").fetchone()[0]
        assert row == (charged, held)
        lowest = connection.execute("SELECT coalesce(min(amount), 0) FROM reservation WHERE state = 'held'").fetchone()[
            0
        ]
        assert lowest >= 0
    connection.close()


async def spend(place: Any, *words: object) -> "asyncio.subprocess.Process":
    return await asyncio.create_subprocess_exec(
        sys.executable, str(WORKER), place.word, *map(str, words), stdout=asyncio.subprocess.PIPE
    )


async def told(process: "asyncio.subprocess.Process") -> dict[str, int]:
    assert process.stdout is not None
    line = await process.stdout.readline()
    found: dict[str, int] = json.loads(line)
    return found


async def test_several_processes_on_one_database_spend_no_more_than_the_cap(place: Any) -> None:
    store = place.store()
    await store.open()
    amount, limit = 70_000, 10_000_000
    with anyio.fail_after(60):
        workers = [await spend(place, 100, amount, limit) for _ in range(4)]
        admitted = [(await told(worker))["admitted"] for worker in workers]
        for worker in workers:
            assert await worker.wait() == 0
    assert sum(admitted) == limit // amount
    assert await stand(store.ledger) == [("all", sum(admitted) * amount, 0), ("team", sum(admitted) * amount, 0)]
    await store.aclose()


async def test_processes_that_are_killed_between_reserve_and_settle_lose_and_invent_nothing(place: Any) -> None:
    store = place.store()
    await store.open()
    amount, limit = 70_000, 10_000_000
    with anyio.fail_after(60):
        workers = [await spend(place, 20, amount, limit, "hold") for _ in range(3)]
        reports = [await told(worker) for worker in workers]
        for worker in workers:
            worker.kill()
            await worker.wait()
    held = sum(one["admitted"] - one["settled"] for one in reports)
    settled = sum(one["settled"] for one in reports)
    assert held == settled == 30
    expected = [(settled * amount, held * amount)] * 2
    assert [(spent, reserved) for _, spent, reserved in await stand(store.ledger)] == expected
    await store.aclose()

    clock = FakeClock(time.time() + 2 * GRACE)  # the workers went by the real time
    later = place.store(clock=clock)
    await later.open()
    assert await later.ledger.tend() == 2 * held
    assert await later.ledger.tend() == 0
    assert await stand(later.ledger) == [
        ("all", (settled + held) * amount, 0),
        ("team", (settled + held) * amount, 0),
    ]
    await later.aclose()


def test_both_ledgers_are_ledgers() -> None:
    checked: Sequence[type[Ledger]] = (SqliteLedger, MemoryLedger)
    assert len(checked) == 2
