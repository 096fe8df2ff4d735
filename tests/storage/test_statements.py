"""Accounts are read beside whoever writes them."""

import pytest

from mcp_orchestrator.model.rules import Hold
from mcp_orchestrator.storage.sqlite import SqliteStore
from mcp_orchestrator.storage.statements import read_balances
from mcp_orchestrator.storage.trouble import StorageError

pytestmark = pytest.mark.anyio


async def test_accounts_are_read_while_the_file_is_open_and_those_of_past_windows_are_left_out(tmp_path):
    path = tmp_path / "state.db"
    store = SqliteStore(path)
    await store.open()
    old = Hold("a", "f:1", "", "calls", 1, 5, "2026-10", 50.0)
    new = Hold("a", "f:1", "", "calls", 1, 5, "2026-11", 150.0)
    await store.ledger.reserve("r", [old, new])
    (balance,) = read_balances(path, 100.0)
    assert (balance.window, balance.reserved) == ("2026-11", 1)
    await store.aclose()


def test_no_file_has_no_accounts_and_a_damaged_one_is_told(tmp_path):
    assert read_balances(tmp_path / "none.db", 0.0) == ()
    damaged = tmp_path / "damaged.db"
    damaged.write_text("this is no database, whatever its name says; it is long enough to be looked at")
    with pytest.raises(StorageError):
        read_balances(damaged, 0.0)
