"""Streams of tasks: one look-out for each task, whose events all who listen get alike and in the same order.

A2A 1.0 section 3.5 (multiple streams for a task get the same events in the same order).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from mcp_orchestrator.agent_api import DelegationDoor, Glimpse
from mcp_orchestrator.listeners.a2a_tasks import has_changes, is_over, updates
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.delegation import Changes

TOGETHER_SECONDS: Final = 0.05
"""Changes within this time are told together: agents speak a few characters at a time."""

MOST_WAITING: Final = 1000
"""Events that a slow listener may be behind; then its stream ends, and it may subscribe again."""


async def changes_of(door: DelegationDoor, seen: Glimpse, who: Principal) -> Changes | None:
    """What was changed in a run that is over, where there may be something."""
    if not has_changes(seen):
        return None
    try:
        return await door.changes(seen.kept.id, who)
    except (LookupError, ValueError):
        return None


class Ear:
    """One listener: the task as it stood when it came, then the events since. `next` gives None at the end."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(MOST_WAITING)
        self.seen = feed.seen

    def put(self, event: dict[str, Any] | None) -> bool:
        """Give it an event; False when it is too far behind."""
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            return False
        return True

    async def next(self) -> dict[str, Any] | None:
        """The next event."""
        if self._events.empty() and self._feed.ended:
            return None
        return await self._events.get()

    def overflow(self) -> None:
        """It is too far behind: what waits is dropped, and its stream ends."""
        while not self._events.empty():
            self._events.get_nowait()
        self._events.put_nowait(None)

    def close(self) -> None:
        """Listen no more."""
        self._feed.leave(self)


class Feed:
    """The look-out of one task. It looks as long as somebody listens."""

    def __init__(self, door: DelegationDoor, seen: Glimpse, who: Principal) -> None:
        self._door = door
        self._who = who
        self._ears: set[Ear] = set()
        self._looking: asyncio.Task[None] | None = None
        self.seen = seen
        self.ended = is_over(seen)

    def join(self) -> Ear:
        """Listen from now on."""
        ear = Ear(self)
        self._ears.add(ear)
        if self._looking is None and not self.ended:
            self._looking = asyncio.get_running_loop().create_task(self._look_out())
        return ear

    def leave(self, ear: Ear) -> None:
        """Somebody listens no more; the last one ends the look-out."""
        self._ears.discard(ear)
        if not self._ears and self._looking is not None:
            self._looking.cancel()
            self._looking = None
            self.ended = True

    async def _look_out(self) -> None:
        try:
            while not is_over(self.seen):
                before = self.seen
                await before.changed.wait()
                await asyncio.sleep(TOGETHER_SECONDS)
                now = await self._door.look(before.kept.id, self._who)
                told = updates(before, now, await changes_of(self._door, now, self._who))
                self.seen = now
                for event in told:
                    self._tell(event)
        except LookupError:
            pass  # the run is no longer kept: there is nothing more to tell
        finally:
            self.ended = True
            self._tell(None)

    def _tell(self, event: dict[str, Any] | None) -> None:
        for ear in list(self._ears):
            if not ear.put(event):
                self._ears.discard(ear)
                ear.overflow()


class Feeds:
    """The feeds of one listener, by run and principal."""

    def __init__(self, door: DelegationDoor) -> None:
        self._door = door
        self._feeds: dict[tuple[str, str], Feed] = {}

    async def join(self, run: str, who: Principal) -> Ear:
        """Listen to a task. Raises LookupError."""
        key = (run, who.id)
        feed = self._feeds.get(key)
        if feed is None or feed.ended:
            seen = await self._door.look(run, who)
            feed = self._feeds.get(key)  # somebody else may have come first
            if feed is None or feed.ended:
                self._feeds = {known: one for known, one in self._feeds.items() if not one.ended}
                feed = self._feeds[key] = Feed(self._door, seen, who)
        return feed.join()
