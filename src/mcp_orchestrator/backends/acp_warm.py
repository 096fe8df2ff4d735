"""Processes of a slow agent that are started and greeted ahead (`keep`), so that a delegation need not wait for them.

Agents took 0.4 to 19 s from their start to their answer to `initialize` (13 agents, 2026-11-22). What a process gets at
its start is the same for every delegation; the session with its directory is made when one comes.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from mcp_orchestrator.model.errors import BackendError

PAUSE: Final = 30.0
"""Seconds until the next try after one failed to start."""


class Ready(Protocol):
    """A session whose process is up, and that has no conversation yet."""

    @property
    def usable(self) -> bool:
        """Whether its process is still there."""
        ...

    async def close(self) -> None:
        """End it."""
        ...


Session = TypeVar("Session", bound=Ready)


class Warm(Generic[Session]):
    """Keeps so many ready. `start` makes one whose process works and keeps its files in the given directory."""

    def __init__(self, keep: int, start: Callable[[Path], Awaitable[Session]]) -> None:
        self._keep = keep
        self._start = start
        self._ready: deque[tuple[Session, Path]] = deque()
        self._taken: list[Path] = []
        self._filling: asyncio.Task[None] | None = None
        self.changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    def fill(self) -> None:
        """See to it, in the background, that there are enough."""
        if self._keep and (self._filling is None or self._filling.done()):
            self._filling = asyncio.get_running_loop().create_task(self._fill())

    async def _fill(self) -> None:
        while len(self._ready) < self._keep:
            place = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="mcp-orchestrator-agent-"))
            try:
                session = await self._start(place)
            except BackendError:
                await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
                await asyncio.sleep(PAUSE)
                continue
            except BaseException:
                await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
                raise
            self._ready.append((session, place))
            self.changed.set()

    def take(self) -> Session | None:
        """One that is ready; None when there is none. Another one is started in its place."""
        found: Session | None = None
        while self._ready and found is None:
            session, place = self._ready.popleft()
            self._taken.append(place)
            found = session if session.usable else None
        self.fill()
        return found

    async def aclose(self) -> None:
        """End what was kept ready and remove the directories."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        sessions = [session for session, _ in self._ready]
        places = [*self._taken, *(place for _, place in self._ready)]
        self._ready.clear()
        self._taken.clear()
        await asyncio.gather(*(session.close() for session in sessions))
        for place in places:
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
