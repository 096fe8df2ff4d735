"""Resource subscriptions: one upstream for all who hear of a resource by the same backend session, kept over restarts.

MCP 2025-11-25 server/resources (subscriptions); MCP 2026-07-28 basic/utilities/subscriptions. A client whose calls have a
backend session of their own subscribes on that one, for what it changes there is seen only there; all others share.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from mcp_orchestrator.core import uris
from mcp_orchestrator.core.backoff import delay
from mcp_orchestrator.core.eras import own_session
from mcp_orchestrator.model.call import ClientFace, Era, Invocation
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import Completed, FailureKind, Outcome
from mcp_orchestrator.plugin_api import ResourceUpdated
from mcp_orchestrator.runtime.lives import Hold, Lease, LifeKey, Nobody
from mcp_orchestrator.runtime.record import State
from mcp_orchestrator.runtime.supervisor import Supervisor

Find = Callable[[str], Supervisor | None]
"""The supervisor of a backend of this name in the configuration of now."""

Tell = Callable[[str, ResourceUpdated], None]
"""Tells a client session of an update; the URI in it is the one by which that client subscribed."""

_DONE: Final = Completed(b"{}", Era.LEGACY)


class Channel:
    """What is subscribed to on one backend session, which is opened anew when it ends as long as anybody hears."""

    def __init__(self, backend: str, face: ClientFace, find: Find, tell: Tell, chance: Callable[[], float]) -> None:
        self.backend = backend
        self._face = face
        self._find = find
        self._tell = tell
        self._chance = chance
        self._hearers: dict[str, dict[str, str]] = {}  # own URI -> client session -> the URI it knows
        self._agreed: dict[str, asyncio.Task[Outcome]] = {}
        self._hold: Hold | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def __bool__(self) -> bool:
        """Whether anybody hears."""
        return bool(self._hearers)

    def reaches(self, session: str, uri: str) -> bool:
        """Whether this client session hears of this resource here."""
        return session in self._hearers.get(uri, ())

    async def subscribe(self, session: str, uri: str, public: str) -> Outcome:
        """Hear of a resource; asks the backend unless it has agreed already. Raises BackendError."""
        hearers = self._hearers.setdefault(uri, {})
        news = session not in hearers
        hearers[session] = public
        outcome: Outcome | None = None
        try:
            asked = self._agreed.get(uri)
            if asked is None or (asked.done() and not _agreed(asked)):
                asked = self._agreed[uri] = self._spawn(self._request("resources/subscribe", uri))
            outcome = await asyncio.shield(asked)
        finally:
            if news and not isinstance(outcome, Completed):
                self._forget(session, uri)
        return outcome

    async def unsubscribe(self, session: str, uri: str) -> Outcome:
        """Hear of it no more; the backend is told when nobody does. Raises BackendError."""
        self._forget(session, uri)
        if uri in self._hearers:
            return _DONE
        self._agreed.pop(uri, None)
        try:
            return await self._request("resources/unsubscribe", uri)
        finally:
            self._rest()

    def leave(self, session: str) -> None:
        """A client session is gone: what nobody else hears of is withdrawn, if the backend session is still open."""
        for uri in [uri for uri, hearers in self._hearers.items() if session in hearers]:
            self._forget(session, uri)
            if uri not in self._hearers:
                self._agreed.pop(uri, None)
                hold = self._hold
                if hold is not None and not hold.over.is_set():
                    request = Invocation("", "resources/unsubscribe", {"uri": uri}, {}, self._face)
                    self._spawn(hold.session.invoke(request, Nobody()))
        self._rest()

    def speaks(self, key: LifeKey) -> bool:
        """Whether what the session of this key says is what this channel hears."""
        hold = self._hold
        own = own_session(self._face) if key.era is Era.LEGACY else None
        return hold is not None and hold.session.era is key.era and own == key.client

    def updated(self, params: Mapping[str, Any]) -> None:
        """A resource changed, or one below a resource that was subscribed to."""
        uri = params.get("uri")
        for subscribed, hearers in list(self._hearers.items()):
            if isinstance(uri, str) and uris.covers(subscribed, uri):
                for session, public in list(hearers.items()):
                    shown = public + uri[len(subscribed) :]
                    self._tell(session, ResourceUpdated({**params, "uri": shown}))

    # -- inside ---------------------------------------------------------------------------------------------------

    async def _request(self, method: str, uri: str) -> Outcome:
        lease = await self._lease()
        try:
            request = Invocation("", method, {"uri": uri}, {}, self._face)
            return await lease.session.invoke(request, Nobody())
        finally:
            lease.release()

    async def _lease(self) -> Lease:
        supervisor = self._find(self.backend)
        if supervisor is None:
            raise BackendError(FailureKind.UNAVAILABLE, f"server '{self.backend}' is no longer configured")
        lease = await supervisor.lease(self._face)
        if self._hold is None or self._hold.session is not lease.session:
            self._attach(lease)
        return lease

    def _attach(self, lease: Lease) -> None:
        """The session is another one than before: what was agreed on with the old one is asked for anew."""
        self._rest(always=True)
        self._agreed = {uri: asked for uri, asked in self._agreed.items() if not asked.done()}
        if self._hearers:
            self._hold = lease.hold()
            self._spawn(self._see_it_out(self._hold))
            self._spawn(self._renew())

    async def _renew(self) -> None:
        for uri in [uri for uri in self._hearers if uri not in self._agreed]:
            if uri in self._hearers and uri not in self._agreed:
                asked = self._agreed[uri] = self._spawn(self._request("resources/subscribe", uri))
                await asyncio.wait({asked})
                self.updated({"uri": uri})  # nobody knows what was missed meanwhile

    async def _see_it_out(self, hold: Hold) -> None:
        """Wait for the session's end, then find another one; that subscribes anew."""
        await hold.over.wait()
        if self._hold is not hold:
            return
        self._rest(always=True)
        failures = 0
        while self._hearers and self._hold is None:
            failures += 1
            await asyncio.sleep(delay(failures, self._chance()))
            supervisor = self._find(self.backend)
            if supervisor is None or supervisor.state is State.STOPPED:
                self._hearers.clear()
                return
            with contextlib.suppress(BackendError):
                (await self._lease()).release()

    def _forget(self, session: str, uri: str) -> None:
        hearers = self._hearers.get(uri, {})
        hearers.pop(session, None)
        if not hearers:
            self._hearers.pop(uri, None)

    def _rest(self, *, always: bool = False) -> None:
        """Let the session go when nobody hears any more."""
        if self._hold is not None and (always or not self._hearers):
            hold, self._hold = self._hold, None
            hold.release()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has seen it; where nobody did, the next session is asked again


def _agreed(asked: asyncio.Task[Outcome]) -> bool:
    return not asked.cancelled() and asked.exception() is None and isinstance(asked.result(), Completed)


class Subscriptions:
    """The channels of all backends, by backend, era and client session (None: shared)."""

    def __init__(self, find: Find, tell: Tell, chance: Callable[[], float]) -> None:
        self._find = find
        self._tell = tell
        self._chance = chance
        self._channels: dict[tuple[str, Era, str | None], Channel] = {}

    async def carry_out(
        self, supervisor: Supervisor, client: ClientFace, method: str, uri: str, public: str
    ) -> Outcome:
        """`resources/subscribe` or `resources/unsubscribe` of a client session; `uri` is the backend's own."""
        session = client.session or ""
        try:
            if method == "resources/unsubscribe":
                for heard in self._channels.values():
                    if heard.backend == supervisor.spec.name and heard.reaches(session, uri):
                        return await heard.unsubscribe(session, uri)
            channel = await self._channel(supervisor, client)
            if method == "resources/subscribe":
                return await channel.subscribe(session, uri, public)
            return await channel.unsubscribe(session, uri)
        except BackendError as error:
            return error.as_failed()
        finally:
            self._sweep()

    def heard(self, backend: str, key: LifeKey, event: ResourceUpdated) -> None:
        """A session of a backend says that a resource changed."""
        for channel in self._channels.values():
            if channel.backend == backend and channel.speaks(key):
                channel.updated(event.params)

    def session_gone(self, session: str) -> None:
        """A client session ended."""
        for channel in self._channels.values():
            channel.leave(session)
        self._sweep()

    async def _channel(self, supervisor: Supervisor, client: ClientFace) -> Channel:
        """The channel of the session that this client's calls would use. Raises BackendError."""
        # Without abilities a client gets the shared session, and nobody is asked on its behalf.
        shared = dataclasses.replace(client, capabilities={})
        if supervisor.eras.choose(client.era) not in supervisor.eras.seen:
            # Only opening a session tells its era. Guessed wrong, two channels would share one and end it for each other.
            (await supervisor.lease(client if own_session(client) is not None else shared)).release()
        era = supervisor.eras.choose(client.era)
        own = own_session(client) if era is Era.LEGACY else None
        key = (supervisor.spec.name, era, own)
        channel = self._channels.get(key)
        if channel is None:
            face = client if own is not None else shared
            channel = Channel(supervisor.spec.name, face, self._find, self._tell, self._chance)
            self._channels[key] = channel
        return channel

    def _sweep(self) -> None:
        for key, channel in list(self._channels.items()):
            if not channel:
                del self._channels[key]
