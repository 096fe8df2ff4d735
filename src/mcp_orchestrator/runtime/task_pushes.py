"""Tasks of which backends tell by themselves: who waits for such news, and how seldom those are looked at meanwhile.

MCP extension tasks, status notifications: servers may tell, and clients may go on looking. Looking stays as the net under
what is told, for nothing is told again that was missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp_orchestrator.plugin_api import Session, TellsOfTasks

CALM_POLL: Final = 30.0
"""Seconds between two looks at a task of which its backend tells by itself."""

Take = Callable[[Mapping[str, Any]], None]


class Ear:
    """One who follows a task. `stirred` ends its pause: something was told, or telling has begun or ended."""

    def __init__(self, pushes: TaskPushes, backend: str, task: str, take: Take) -> None:
        self.backend = backend
        self.task = task
        self.take = take
        self.stirred = asyncio.Event()
        self._pushes = pushes
        self._session: Session | None = None
        self._withdraw: Callable[[], None] = _nothing

    def at(self, session: Session) -> None:
        """Have the backend tell on this session; to be called with each session that is asked about the task."""
        if session is not self._session:
            self._withdraw()
            self._session = session
            self._withdraw = session.listen_for_task(self.task) if isinstance(session, TellsOfTasks) else _nothing

    async def pause(self, interval: float, *, hurried: bool = False) -> None:
        """Wait until it is time to look again: after `interval` seconds, or longer if its backend tells by itself.

        `hurried`: the task is said to be over, and only its result is still awaited.
        """
        calm = not hurried and self._pushes.tells(self.backend, self.task)
        stirred = asyncio.ensure_future(self.stirred.wait())
        try:
            await asyncio.wait({stirred}, timeout=max(interval, CALM_POLL) if calm else interval)
        finally:
            stirred.cancel()
        self.stirred.clear()

    def close(self) -> None:
        """Follow no longer; idempotent."""
        self._pushes.leave(self)
        withdraw, self._withdraw = self._withdraw, _nothing
        withdraw()


class TaskPushes:
    """All ears of a gateway."""

    def __init__(self) -> None:
        self._ears: set[Ear] = set()
        self._told: dict[str, frozenset[str]] = {}

    def follow(self, backend: str, task: str, take: Take) -> Ear:
        """Begin to follow; `take` gets what is told of the task, which it may answer by stirring the ear."""
        ear = Ear(self, backend, task, take)
        self._ears.add(ear)
        return ear

    def leave(self, ear: Ear) -> None:
        """An ear is closed."""
        self._ears.discard(ear)

    def tells(self, backend: str, task: str) -> bool:
        """Whether the backend agreed to tell of this task."""
        return task in self._told.get(backend, frozenset())

    def heard(self, backend: str, task: str, params: Mapping[str, Any]) -> None:
        """A backend told of a task."""
        for ear in [ear for ear in self._ears if (ear.backend, ear.task) == (backend, task)]:
            ear.take(params)

    def agreed(self, backend: str, tasks: frozenset[str]) -> None:
        """A backend tells of these tasks from now on: whoever follows one of which that is news looks once more."""
        news = tasks ^ self._told.get(backend, frozenset())
        self._told[backend] = tasks
        for ear in self._ears:
            if ear.backend == backend and ear.task in news:
                ear.stirred.set()


def _nothing() -> None:
    """There is nothing to withdraw."""
