"""Where runs wait for a client to come back with answers: bounded in number, by owner and in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mcp_orchestrator.model.call import Principal

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.run import Run

MOST: Final = 1000
MOST_OF_ONE: Final = 100
"""Parked runs of the gateway, and of one principal. Outcomes that wait to be fetched are bounded likewise."""


class Lot:
    """Runs that have asked a client by their result; those that ended while it was away wait for it a while longer."""

    def __init__(self, grace: float) -> None:
        """`grace` is how many seconds an outcome is kept that nobody was there to take."""
        self._grace = grace
        self._runs: dict[str, Run] = {}
        self._owned: dict[Principal, int] = {}
        self._ended: dict[str, Run] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def enter(self, run: Run) -> bool:
        """Take a run in; False when the lot, or its owner's part of it, is full."""
        owner = run.call.principal
        if len(self._runs) >= MOST or self._owned.get(owner, 0) >= MOST_OF_ONE:
            return False
        self._runs[run.id] = run
        self._owned[owner] = self._owned.get(owner, 0) + 1
        return True

    def find(self, run: str, owner: Principal) -> Run | None:
        """A run of this owner."""
        found = self._runs.get(run) or self._ended.get(run)
        return found if found is not None and found.call.principal == owner else None

    def over(self, run: Run) -> None:
        """A run has ended: its place is free, and an outcome that nobody took may still be fetched for a while."""
        if self._runs.pop(run.id, None) is None:
            return
        owner = run.call.principal
        self._owned[owner] -= 1
        if not self._owned[owner]:
            del self._owned[owner]
        if run.taken:
            return
        if len(self._ended) >= MOST:
            del self._ended[next(iter(self._ended))]
        self._ended[run.id] = run
        asyncio.get_running_loop().call_later(self._grace, self._ended.pop, run.id, None)
