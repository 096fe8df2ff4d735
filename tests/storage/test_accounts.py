"""The transactions of the ledger, one connection at a time; what they mean together is tested in test_ledger."""

import sqlite3

import pytest

from mcp_orchestrator.budget_api import Held, Lacking
from mcp_orchestrator.model.rules import Hold
from mcp_orchestrator.storage import accounts
from mcp_orchestrator.storage.migrations import v004_budgets


def hold(budget="b", amount=10, limit=100, unit="usd"):
    return Hold(budget, "f:1", "", unit, amount, limit, "w", None)


@pytest.fixture
def connection():
    opened = sqlite3.connect(":memory:", isolation_level=None)
    for statement in v004_budgets.STATEMENTS:
        opened.execute(statement)
    yield opened
    opened.close()


def reserve(connection, run, *holds, above=()):
    return accounts.reserve(connection, run, holds, above, keeper="k", now=1.0, expires=9.0)


def test_accounts_are_taken_in_a_fixed_order_whatever_order_they_are_given_in(connection):
    seen = []
    connection.set_trace_callback(lambda text: seen.append(text) if "UPDATE budget" in text else None)
    reserve(connection, "r1", hold("b"), hold("a"))
    reserve(connection, "r2", hold("a"), hold("b"))
    order = ["'a'" if "budget = 'a'" in text else "'b'" for text in seen]
    assert order[-2:] == ["'a'", "'b'"]


def test_a_limit_that_is_lowered_holds_from_the_next_hold_on(connection):
    assert isinstance(reserve(connection, "r1", hold(amount=60)), Held)
    found = reserve(connection, "r2", hold(amount=10, limit=50))
    assert isinstance(found, Lacking)
    assert found.balance.left(1.0) == 0
    assert isinstance(reserve(connection, "r3", hold(amount=10, limit=70)), Held)


def test_an_amount_above_the_limit_makes_no_reservation(connection):
    assert isinstance(reserve(connection, "r1", hold(amount=101)), Lacking)
    assert connection.execute("SELECT count(*) FROM reservation").fetchone() == (0,)


def test_time_and_calls_are_not_drawn_from_a_run_above(connection):
    reserve(connection, "parent", hold(amount=50, unit="seconds"))
    reserve(connection, "child", hold(amount=10, unit="seconds"), above=("parent",))
    assert connection.execute("SELECT reserved FROM budget").fetchone() == (60,)


def test_accounts_of_windows_that_ended_long_ago_are_removed_unless_something_is_held(connection):
    ended = [Hold(name, "f:1", "", "usd", 1, 9, "w", 100.0) for name in ("a", "b")]
    for one in ended:
        reserve(connection, one.budget, one)
    reserve(connection, "c", hold("c"))
    accounts.close(connection, "a", {}, now=2.0)
    accounts.close(connection, "c", {}, now=2.0)
    accounts.forget(connection, now=101.0 + accounts.LOOKED_AT)
    left = connection.execute("SELECT budget FROM budget ORDER BY budget").fetchall()
    assert left == [("b",), ("c",)]


def test_rounds_of_sweeping_are_bounded(connection, monkeypatch):
    monkeypatch.setattr(accounts, "ROUND", 2)
    for number in range(5):
        reserve(connection, f"r{number}", hold())
    swept = [accounts.tend(connection, keeper="other", now=100.0, expires=200.0) for _ in range(4)]
    assert swept == [2, 2, 1, 0]
