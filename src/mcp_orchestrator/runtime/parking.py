"""Where runs wait for a client to come back with answers: bounded in number, by owner and in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mcp_orchestrator.model.call import Principal

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.run import Run

MOST: Final = 1000
MOST_OF_ONE: Final = 100
"""Parked runs of the gateway, and of one principal."""


class Lot:
    """Runs that have asked a client by their result. One that ended is kept for `grace` seconds to be fetched."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._runs: dict[str, Run] = {}
        self._owned: dict[Principal, int] = {}

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
        found = self._runs.get(run)
        return found if found is not None and found.call.principal == owner else None

    def over(self, run: Run) -> None:
        """A run has ended: its outcome may still be fetched for a while."""
        if run.id in self._runs:
            asyncio.get_running_loop().call_later(self._grace, self._leave, run)

    def _leave(self, run: Run) -> None:
        if self._runs.pop(run.id, None) is not None:
            owner = run.call.principal
            self._owned[owner] -= 1
            if not self._owned[owner]:
                del self._owned[owner]
