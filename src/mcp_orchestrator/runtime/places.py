"""Places for delegations that work: so many at once in all and of each agent; whoever came first goes first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.delegation import Delegation


class Places:
    """An agent that waits for what it delegated holds its own place, so each depth has places of its own.

    `most` says how many may work at once: of an agent, or (None) of all together.
    """

    def __init__(self, most: Callable[[str | None], int]) -> None:
        self._most = most
        self._working: dict[tuple[str | None, int], int] = {}
        self._queue: dict[str, Delegation] = {}
        self._freed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def place(self, delegation: Delegation) -> AsyncIterator[None]:
        """Wait for a free place and hold it; one that is stopped waits no longer, and holds none.

        Only those whose own agent is busy are overtaken, by runs of other agents.
        """
        run = delegation.kept.id
        self._queue[run] = delegation
        try:
            await self._turn_of(delegation)
            taken = () if delegation.stop.is_set() else _names(delegation)
            for name in taken:
                self._working[name] = self._working.get(name, 0) + 1
        finally:
            del self._queue[run]
            self._wake()
        try:
            yield
        finally:
            for name in taken:
                self._working[name] -= 1
            self._wake()

    def reconsider(self) -> None:
        """How many may work has changed: have those that wait look again."""
        self._wake()

    async def _turn_of(self, delegation: Delegation) -> None:
        while not delegation.stop.is_set() and self._next_at(delegation.kept.depth) is not delegation:
            freed = asyncio.ensure_future(self._freed.wait())
            stopped = asyncio.ensure_future(delegation.stop.wait())
            try:
                await asyncio.wait({freed, stopped}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                freed.cancel()
                stopped.cancel()

    def _wake(self) -> None:
        self._freed.set()
        self._freed = asyncio.Event()

    def _next_at(self, depth: int) -> Delegation | None:
        """Who of those that wait at a depth may go now; None while there is no place."""
        if self._working.get((None, depth), 0) >= self._most(None):
            return None
        for one in self._queue.values():
            agent, _ = name = (one.kept.agent, depth)
            if one.kept.depth == depth and not one.stop.is_set() and self._working.get(name, 0) < self._most(agent):
                return one
        return None


def _names(delegation: Delegation) -> tuple[tuple[str | None, int], ...]:
    """The two places that a run takes: that of its agent, and one of all."""
    return (delegation.kept.agent, delegation.kept.depth), (None, delegation.kept.depth)
