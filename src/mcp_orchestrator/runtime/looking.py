"""Fetches a backend's offers, one fetch at a time per era, and once more when a change came in meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.plugin_api import Session

FIRST_REST: Final = 0.1
LONGEST_REST: Final = 5.0
"""Seconds between two fetches: doubled each time that a change came before the rest was over, for a server may announce
changes without end; one that comes later is looked at at once."""


class Look:
    """`spawn` runs a coroutine as a task of the owner; `taken` and `failed` get what came of a fetch."""

    def __init__(
        self,
        patience: float,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        taken: Callable[[Offers], None],
        failed: Callable[[str], None],
    ) -> None:
        self._patience = patience
        self._spawn = spawn
        self._taken = taken
        self._failed = failed
        self._running: dict[Era, asyncio.Task[None]] = {}
        self._wanted: dict[Era, Session] = {}
        self._rest: dict[Era, float] = {}
        self._rested: dict[Era, float] = {}

    def at(self, session: Session) -> None:
        """Fetch the offers of a session; while a fetch is under way, once more after it."""
        era = session.era
        self._wanted[era] = session
        if era not in self._running:
            self._running[era] = self._spawn(self._fetch(era))

    def stop(self) -> None:
        """Give up what is under way."""
        for task in self._running.values():
            task.cancel()

    async def _fetch(self, era: Era) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while era in self._wanted:
                wait = self._rested.get(era, 0.0) - clock()
                if wait > 0:
                    await asyncio.sleep(wait)
                await self._fetch_from(era, self._wanted.pop(era))
                rest = self._rest[era] = min(LONGEST_REST, 2 * self._rest[era]) if wait > 0 else FIRST_REST
                self._rested[era] = clock() + rest
        finally:
            del self._running[era]

    async def _fetch_from(self, era: Era, session: Session) -> None:
        try:
            self._taken(await asyncio.wait_for(session.offers(), self._patience))
        except (BackendError, TimeoutError) as error:
            if era not in self._wanted:  # otherwise another session has opened meanwhile: it will tell
                late = "listing its offers took too long"
                self._failed(error.message if isinstance(error, BackendError) else late)
