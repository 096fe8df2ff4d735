"""A process that spends on a state file or database, for tests of the ledger: `PLACE COUNT AMOUNT LIMIT [hold]`; prints one JSON line.

It reserves and settles `COUNT` times as fast as it can, and tells how often it was admitted. With `hold` it settles
every second one only, and then waits with the others held until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

from mcp_orchestrator.budget_api import Held
from mcp_orchestrator.model.rules import Hold
from mcp_orchestrator.model.snapshot import Secret, StorageSpec
from mcp_orchestrator.storage.choice import database_of
from mcp_orchestrator.storage.store import Store


async def spend(word: str, count: int, amount: int, limit: int, *, holds: bool) -> None:
    """Spend, then tell."""
    url = Secret(word) if word.startswith("postgresql:") else None
    store = Store(
        database_of(
            StorageSpec(
                Path(word if url is None else tempfile.gettempdir(), "" if url is None else "state.db"), url=url
            )
        )
    )
    await store.open()
    admitted = 0
    settled = 0

    async def one(number: int) -> None:
        nonlocal admitted, settled
        run = f"{os.getpid()}-{number}"
        team = Hold("team", "f:1", "team=red", "usd", amount, limit, "2026-11", None)
        total = Hold("all", "f:2", "", "usd", amount, 2 * limit, "2026-11", None)
        if not isinstance(await store.ledger.reserve(run, [team, total]), Held):
            return
        admitted += 1
        if not holds or number % 2:
            await store.ledger.settle(run, {"usd": amount})
            settled += 1

    await asyncio.gather(*(one(number) for number in range(count)))
    print(json.dumps({"admitted": admitted, "settled": settled}), flush=True)
    if holds:
        await asyncio.Event().wait()
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(spend(sys.argv[1], *map(int, sys.argv[2:5]), holds="hold" in sys.argv[5:]))
