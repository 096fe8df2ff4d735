"""Fetches a backend's offers, one fetch at a time per era, and once more when a change came in meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.plugin_api import Session


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
        self._again: set[Era] = set()

    def at(self, session: Session) -> None:
        """Fetch the offers of a session; while a fetch is under way, once more after it."""
        if session.era in self._running:
            self._again.add(session.era)
            return
        self._running[session.era] = self._spawn(self._fetch(session))

    def stop(self) -> None:
        """Give up what is under way."""
        for task in self._running.values():
            task.cancel()

    async def _fetch(self, session: Session) -> None:
        try:
            while True:
                self._again.discard(session.era)
                self._taken(await asyncio.wait_for(session.offers(), self._patience))
                if session.era not in self._again:
                    return
        except BackendError as error:
            self._failed(error.message)
        except TimeoutError:
            self._failed("listing its offers took too long")
        finally:
            del self._running[session.era]
