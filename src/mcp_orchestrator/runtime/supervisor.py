"""One supervisor per backend: opens sessions when needed, restarts with back-off, remembers eras and offers.

A session lives in one task from opening to close (`lives.py`). Everybody shares one session per era; a legacy client
that can answer questions gets a session of its own, because on a shared legacy stream a question does not say whose
call it belongs to (measured 2026-11-22: 40 to 57 % of questions went to the wrong client).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp_orchestrator.core.backoff import delay
from mcp_orchestrator.core.eras import ASKING, EraBook, abilities, own_session, pooled
from mcp_orchestrator.core.redaction import redactor
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.catalog import OfferKind, Offers
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec, StartPolicy, TransportKind
from mcp_orchestrator.plugin_api import Backend, ListChanged, Opening, Session, SessionEvent
from mcp_orchestrator.runtime.lives import Lease, Life, LifeKey, LifeState, answers, live
from mcp_orchestrator.runtime.looking import Look
from mcp_orchestrator.runtime.record import Hooks, Record, State
from mcp_orchestrator.runtime.session_table import SessionTable

STDERR_LINES: Final = 200
PING_SECONDS: Final = 10.0
STABLE_AFTER: Final = 30.0
"""Seconds after which a session that ends is not counted as a failure of its start."""

ONE_STREAM: Final = frozenset({TransportKind.STDIO, TransportKind.SSE})
"""Transports on which a question of a legacy server does not say which call it belongs to."""

_ERA_VERDICTS: Final = frozenset({FailureKind.BAD_ANSWER, FailureKind.BACKEND_ERROR})


class Supervisor:
    """Keeps one backend usable. All methods run on the event loop of the gateway."""

    def __init__(
        self,
        spec: BackendSpec,
        backend: Backend,
        hooks: Hooks,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
        client_info: Mapping[str, Any],
    ) -> None:
        self.spec = spec
        self.redact = redactor(spec)
        self.backend = backend
        self.record = Record()
        self.eras = EraBook(spec.era, backend.eras)
        self.stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self.settled = asyncio.Event()
        self._hooks = hooks
        self._clock = clock
        self._chance = chance
        self._client_info = client_info
        self._table = SessionTable(spec.max_sessions, clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._announced: set[OfferKind] = set()
        self._look = Look(spec.start_timeout + 1.0, self._spawn, self._taken, self._look_failed)
        self._stopping = False

    # -- starting and stopping ------------------------------------------------------------------------------------

    def remember(self, offers: Mapping[Era, Offers], eras: Mapping[Era, bool]) -> None:
        """Take over what was known before this process, or from the generation before."""
        self.record.offers.update(offers)
        self.eras.recall(eras)
        if self.record.offers:
            self._settle()

    def start(self) -> None:
        """Begin: an eager backend, or one whose offers nobody knows, is opened at once, in the background."""
        if self.spec.start is StartPolicy.EAGER or not self.record.offers:
            self._spawn(self._first_look())
        else:
            self.record.stale = True

    async def refresh(self) -> None:
        """Look anew at a backend that is only remembered; nothing happens when it has been seen in this process."""
        if self.record.stale:
            self.record.stale = False
            await self._open_quietly(self.eras.choose(None))

    async def stop(self) -> None:
        """End all sessions and wait until they are gone (bounded by the adapters' own stop ladders)."""
        self._stopping = True
        self._settle()
        self._table.retire_all()
        self._look.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=15)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=5)
        await self.backend.aclose()

    async def restart(self) -> None:
        """Close every session and open the shared one anew; calls in flight on them end as `died`."""
        self._table.retire_all()
        self.record.failures = 0
        self.record.retry_at = 0.0
        self.record.restarts += 1
        lease = await self.lease(None)
        lease.release()

    def client_gone(self, client: str) -> None:
        """A legacy client session ended: its own sessions are closed."""
        self._table.retire_client(client)

    async def unused(self) -> None:
        """Wait until no run holds a lease."""
        await self._table.unused()

    # -- leases ---------------------------------------------------------------------------------------------------

    async def lease(self, client: ClientFace | None, principal: str = "") -> Lease:
        """A session for a run of this client, opened if need be, in the client's own era where the backend has it.

        Raises:
            BackendError: it cannot be opened now; nothing was sent.
        """
        if self.eras.unknown:
            first = await self._lease_in(Era.MODERN, None)
            if client is None:
                return first
            first.release()
        era = self.eras.choose(client.era if client is not None else None)
        try:
            return await self._lease_in(era, client, principal)
        except BackendError:
            # The other era stands in when this one has just proved not to work.
            if self.eras.may(era) or not self.eras.may(era.other):
                raise
            return await self._lease_in(era.other, client, principal)

    async def _lease_in(self, era: Era, client: ClientFace | None, principal: str = "") -> Lease:
        pool = pooled(client, principal) if era is Era.LEGACY and self.spec.transport in ONE_STREAM else None
        if pool is not None:
            key = LifeKey(era, self._table.free_in(pool))
        else:
            key = LifeKey(era, own_session(client) if era is Era.LEGACY else None)
        life = self._table.get(key)
        while life is None:
            if self._stopping or self._table.makes_room():
                life = self._begin(key, client)
            else:  # every session is in use: wait for one, as long as the call's own time limit allows
                await self._table.release()
                key = key if pool is None else LifeKey(era, self._table.free_in(pool))
                life = self._table.get(key)
        life.users += 1
        session = life.session
        if session is not None:
            return self._table.lease(life, session)
        try:
            session = await asyncio.shield(life.opened)
        except BaseException:
            self._table.leave(life)
            raise
        return self._table.lease(life, session)

    def suspect(self, client: ClientFace) -> None:
        """A call of this client got no answer in time: look whether its session still answers at all."""
        era = self.eras.choose(client.era)
        life = self._table.get(LifeKey(era, own_session(client) if era is Era.LEGACY else None))
        if life is not None and self.spec.transport is TransportKind.STDIO:
            self._spawn(self._examine(life))

    async def _examine(self, life: Life) -> None:
        """A session that does not even answer a ping is replaced, unless other calls still wait on it."""
        session = life.session
        if session is None or await answers(session, PING_SECONDS):
            return
        text = f"no answer to a ping within {PING_SECONDS:g} s"
        self.record.last_error = text
        self._hooks.noted(self, "backend.failed", {"backend": self.spec.name, "error": text, "retry_in": 0})
        if not life.users:
            self.record.restarts += 1
            self._table.retire(life)

    def open_session(self, era: Era, client: str | None) -> Session | None:
        """The open session for a key, if there is one: for notifications that are not worth opening one."""
        return self._table.open_session(era, client)

    def _begin(self, key: LifeKey, client: ClientFace | None) -> Life:
        if self._stopping:
            raise BackendError(FailureKind.UNAVAILABLE, f"server '{self.spec.name}' is being stopped")
        left = self.record.retry_at - self._clock()
        if left > 0:
            text = f"server '{self.spec.name}' is not available; next try in {left:.1f} s: {self.record.last_error}"
            raise BackendError(FailureKind.UNAVAILABLE, text, data=self.record.last_data)
        life = self._table.begin(key)
        self.record.started_at = self.record.started_at or self._clock()
        keeps = self.spec.start is StartPolicy.EAGER and key.client is None
        idle = None if keeps or self.spec.transport is not TransportKind.STDIO else self.spec.idle_stop
        opening = self._opening(life, client)
        self._spawn(
            live(
                life,
                lambda: self._opened(life, opening),
                clock=self._clock,
                idle_stop=idle,
                on_open=self._on_open,
                on_over=self._on_over,
            )
        )
        return life

    def _opening(self, life: Life, client: ClientFace | None) -> Opening:
        key = life.key
        own = key.client is not None and client is not None
        return Opening(
            era=key.era,
            capabilities=abilities(client) if own and client is not None else ASKING,
            client_info=(client.info if own and client is not None else None) or self._client_info,
            version=client.version if own and client is not None and client.era is Era.LEGACY else None,
            exclusive=own,
            on_event=lambda event: self._on_event(life, event),
            on_stderr=self.stderr.append,
            on_question=(lambda question: self._hooks.asked(self.spec.name, key.client or "", question))
            if own
            else None,
        )

    async def _opened(self, life: Life, opening: Opening) -> Session:
        """Open in the key's era; find out by probing when nothing is known yet.

        A shared session that turns out to speak the other era is filed under that era and stays.
        """
        key = life.key
        known = self.eras.verdicts.get(key.era)
        probe = key.client is None and self.eras.unknown
        began = self._clock()
        try:
            session = await asyncio.wait_for(
                self.backend.open(dataclasses.replace(opening, era=None if probe else key.era)), self.spec.start_timeout
            )
        except TimeoutError:
            text = f"server '{self.spec.name}' did not answer within {self.spec.start_timeout:g} s of its start"
            raise BackendError(FailureKind.UNAVAILABLE, text) from None
        except BackendError as error:
            if known and error.kind in _ERA_VERDICTS:
                self.eras.forget()  # what we remembered proved wrong: the next opening probes again
            elif known is None and not probe and error.kind in _ERA_VERDICTS:
                self._verdict(key.era, works=False)
            elif known is None and not probe:
                self.eras.learn(key.era, works=False)  # for this process only: the other era is known to work
            raise
        self._verdict(session.era, works=True)
        if probe and session.era is Era.LEGACY:
            self._verdict(Era.MODERN, works=False)
        ms = round((self._clock() - began) * 1000)
        self._hooks.noted(self, "backend.ready", {"backend": self.spec.name, "era": session.era.value, "ms": ms})
        if session.era is not key.era:
            self._table.refile(life, session.era)
        return session

    # -- what sessions tell ---------------------------------------------------------------------------------------

    def _on_open(self, life: Life, session: Session) -> None:
        self.record.last_error, self.record.last_data = "", None
        self.record.retry_at = 0.0
        if life.key.client is None:
            self._look.at(session)

    def _on_over(self, life: Life, reason: str, error: BackendError | None) -> None:
        self._table.over(life)
        if error is not None:
            if not self.eras.may(life.key.era) and self.eras.verdicts.get(life.key.era.other):
                return  # only this era does not work: no failure of the backend
            self._failed(error)
        elif reason and not self._stopping:
            lived = self._clock() - life.born
            self.record.failures = 0 if life.useful or lived > STABLE_AFTER else self.record.failures + 1
            self.record.restarts += 1
            self.record.last_error = reason
            if self.record.failures > 1:
                self.record.retry_at = self._clock() + delay(self.record.failures - 1, self._chance())
            self._hooks.noted(self, "backend.ended", {"backend": self.spec.name, "reason": reason})
            if self.spec.start is StartPolicy.EAGER and life.key.client is None:
                self._spawn(self._again())

    def _failed(self, error: BackendError) -> None:
        message = self.redact(error.message)
        self.record.failures += 1
        self.record.last_error, self.record.last_data = message, error.data
        wait = delay(self.record.failures, self._chance())
        self.record.retry_at = self._clock() + wait
        data = {"backend": self.spec.name, "error": message, "retry_in": round(wait, 2)}
        self._hooks.noted(self, "backend.failed", data)
        self._settle()

    def _on_event(self, life: Life, event: SessionEvent) -> None:
        if not isinstance(event, ListChanged):
            self._hooks.heard(self, life.key, event)
        elif life.session is not None:
            self._announced.add(event.kind)
            self._look.at(life.session)

    def _taken(self, offers: Offers) -> None:
        self.record.stale = False
        # What clients of this era have seen so far: where nothing was known in it, the other era stood in.
        before = self.record.offers.get(offers.era) or self.record.offers.get(offers.era.other)
        # What a backend announces is passed on even when the lists came out the same: it may have changed twice.
        differs = {kind for kind in OfferKind if (before.of(kind) if before else ()) != offers.of(kind)}
        changed = frozenset(differs | self._announced)
        self._announced.clear()
        self.record.offers[offers.era] = offers
        self._settle()
        self._hooks.offers_changed(self, offers, changed)

    def _look_failed(self, text: str) -> None:
        text = self.redact(text)
        self.record.last_error = text
        self._hooks.noted(self, "backend.failed", {"backend": self.spec.name, "error": text, "retry_in": 0})
        self._settle()

    # -- eras, state ----------------------------------------------------------------------------------------------

    def _verdict(self, era: Era, *, works: bool) -> None:
        if self.eras.learn(era, works=works):
            self._hooks.era_known(self, era, works)

    def _settle(self) -> None:
        self.record.settled = True
        self.settled.set()

    @property
    def state(self) -> State:
        """What `backends list` shows."""
        if self._stopping:
            return State.STOPPED
        states = {life.state for life in self._table}
        if LifeState.OPEN in states:
            return State.READY
        if LifeState.OPENING in states:
            return State.STARTING
        return State.WAITING if self.record.retry_at > self._clock() else State.IDLE

    @property
    def pids(self) -> list[int]:
        """Process ids of open child processes."""
        sessions = [life.session for life in self._table]
        return [session.pid for session in sessions if session is not None and session.pid is not None]

    def needs_look_in(self, era: Era) -> bool:
        """Whether offers in this era are unknown although the backend may speak it."""
        return era not in self.record.offers and self.eras.may(era)

    def look_in(self, era: Era) -> None:
        """Open the shared session of an era in the background, for its offers."""
        if not self.eras.unknown and self._table.get(LifeKey(era)) is None and self.record.retry_at <= self._clock():
            self._spawn(self._open_quietly(era))

    async def _open_quietly(self, era: Era) -> None:
        with contextlib.suppress(BackendError):
            (await self._lease_in(era, None)).release()

    async def _first_look(self) -> None:
        try:
            lease = await self.lease(None)
        except BackendError as error:
            if not self.record.settled:
                self._failed(error)
            await self._again()
            return
        lease.release()

    async def _again(self) -> None:
        """Reopen an eager backend, or one that nobody has seen yet, for as long as it takes, with growing pauses."""
        while not self._stopping:
            await asyncio.sleep(max(0.0, self.record.retry_at - self._clock()))
            if self.spec.start is not StartPolicy.EAGER and self.record.offers:
                return  # somebody's call has opened it meanwhile
            with contextlib.suppress(BackendError):
                (await self.lease(None)).release()
                return

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
