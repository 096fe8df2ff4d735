"""The sessions of one backend: by whom they are for, who uses them, and which gives way when there are too many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.plugin_api import Session
from mcp_orchestrator.runtime.lives import Lease, Life, LifeKey, LifeState


class SessionTable:
    """At most `most` sessions; one that is on its way out no longer counts, but is known until it is gone."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._current: dict[LifeKey, Life] = {}
        self._every: set[Life] = set()
        self._named = 0
        self._released = asyncio.Event()

    def __iter__(self) -> Iterator[Life]:
        """The current sessions."""
        return iter(list(self._current.values()))

    def get(self, key: LifeKey) -> Life | None:
        """The current session for a key, unless it is over."""
        life = self._current.get(key)
        return life if life is not None and life.state is not LifeState.OVER else None

    def free_in(self, pool: str) -> str:
        """The name of a session of a pool that nobody uses, else a new name."""
        for life in self:
            if life.key.client is not None and life.key.client.startswith(pool) and not life.users:
                return life.key.client
        self._named += 1
        return f"{pool}{self._named}"

    def open_session(self, era: Era, client: str | None) -> Session | None:
        """The open session for a key, if there is one."""
        life = self._current.get(LifeKey(era, client))
        return life.session if life is not None else None

    def begin(self, key: LifeKey) -> Life:
        """A new session, opening."""
        life = Life(key, asyncio.get_running_loop().create_future(), born=self._clock())
        self._current[key] = life
        self._every.add(life)
        return life

    def lease(self, life: Life, session: Session) -> Lease:
        """The right to use a session for one run; the user was counted by `life.users += 1` before."""
        return Lease(life, session, self._clock, self._released.set)

    def leave(self, life: Life) -> None:
        """A user gave up before the session was open."""
        life.users -= 1
        self._released.set()

    def over(self, life: Life) -> None:
        """A session is gone."""
        self._every.discard(life)
        self._drop(life)
        self._released.set()

    def retire(self, life: Life) -> None:
        """End a session; the next lease opens another."""
        self._drop(life)
        life.stop.set()

    def refile(self, life: Life, era: Era) -> None:
        """A session turned out to speak the other era: it is found under that one from now on."""
        self._drop(life)
        life.key = LifeKey(era, life.key.client)
        self._current.setdefault(life.key, life)

    def retire_all(self) -> None:
        """End every session, those on their way out included, and wake whoever waits for one."""
        self._current.clear()
        for life in list(self._every):
            life.stop.set()
        self._released.set()

    def retire_client(self, client: str) -> None:
        """A client is gone: end the sessions that were its own."""
        for life in self:
            if life.key.client == client:
                self.retire(life)

    def makes_room(self) -> bool:
        """Whether one more session may begin; the client session that was idle longest gives way if need be."""
        if len(self._current) < self._most:
            return True
        idle = [life for life in self if life.key.client is not None and not life.users and not life.holds]
        if idle:
            self.retire(min(idle, key=lambda life: life.last_used))
        return bool(idle)

    async def release(self) -> None:
        """Wait until some session is given back or gone."""
        self._released.clear()
        await self._released.wait()

    async def unused(self) -> None:
        """Wait until no run holds a lease."""
        while any(life.users for life in self._every):
            await self.release()

    def _drop(self, life: Life) -> None:
        if self._current.get(life.key) is life:
            del self._current[life.key]
