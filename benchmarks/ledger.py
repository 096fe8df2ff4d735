"""What a budget costs a call: `ledger.py [--rounds N] [--check]`; processor time of this process, on a state file of its own.

`hold + settle` reserves and settles one account of SQLite, as a call does, 1 and 32 at a time; `decide` is the budget
step of a plan with five budgets of which two fit. Figures are medians over rounds, in microseconds. Exit code 1 with
--check when hold + settle at 32 in flight is above the target.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from mcp_orchestrator.budget_api import Held
from mcp_orchestrator.core.budget import Budgets, Cost
from mcp_orchestrator.core.policy_rules import Subject
from mcp_orchestrator.core.rulings import Asker
from mcp_orchestrator.model.budget import BudgetSpec, Unit, Window, WindowKind
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.rules import Hold, Match
from mcp_orchestrator.storage.sqlite import SqliteStore

TARGET: Final = 100.0
"""Microseconds of processor time for hold and settle."""

CALLS: Final = 2000


async def kept(at_once: int, rounds: int) -> float:
    """Microseconds of processor time of one hold with its settlement, the median over rounds."""
    hold = Hold("team", "bench:1", "team=red", Unit.USD.value, 10, 10**15, "2026-11", None)
    figures = []
    with tempfile.TemporaryDirectory() as directory:
        store = SqliteStore(Path(directory) / "state.db")
        await store.open()
        for turn in range(rounds):

            async def one(worker: int, turn: int = turn) -> None:
                for number in range(CALLS // at_once):
                    run = f"{turn}-{worker}-{number}"
                    assert isinstance(await store.ledger.reserve(run, [hold]), Held)
                    store.ledger.settle(run, {Unit.USD.value: 7})

            before = time.process_time()
            await asyncio.gather(*(one(worker) for worker in range(at_once)))
            await store.ledger.balances()  # so that every settlement counts
            figures.append((time.process_time() - before) / (CALLS // at_once * at_once) * 1e6)
        await store.aclose()
    return statistics.median(figures)


def decided(rounds: int) -> float:
    """Microseconds of processor time of the budget step, the median over rounds."""
    month = Window(WindowKind.MONTH, 0, "Europe/Berlin")
    specs = [
        BudgetSpec("team", {Unit.USD: 10**9}, ("team",), window=month),
        BudgetSpec("caller", {Unit.CALLS: 10**9}, ("caller",), window=month),
        *(BudgetSpec(f"b{n}", {Unit.USD: 10**9}, match=Match(server=(f"other{n}",))) for n in range(3)),
    ]
    budgets = Budgets(specs)
    subject = Subject(("tool",), ("web.search",), "web")
    asker = Asker(Principal("token:ci", "token", team="red"))
    figures = []
    for _ in range(rounds):
        before = time.process_time()
        for _number in range(CALLS):
            budgets.demand(subject, asker, Cost(usd=10), 1_796_000_000.0)
        figures.append((time.process_time() - before) / CALLS * 1e6)
    return statistics.median(figures)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    print(f"decide, 5 budgets of which 2 fit   {decided(chosen.rounds):6.1f} us")
    print(f"hold + settle, 1 in flight         {asyncio.run(kept(1, chosen.rounds)):6.1f} us")
    loaded = asyncio.run(kept(32, chosen.rounds))
    print(f"hold + settle, 32 in flight        {loaded:6.1f} us (target {TARGET:g})")
    return 1 if loaded > TARGET and chosen.check else 0


if __name__ == "__main__":
    sys.exit(main())
