"""One backend session from opening to close, in one task of its own, and the lease that runs hold on it."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mcp_orchestrator.core.translate.questions import declined
from mcp_orchestrator.core.wire.levels import is_louder, most_verbose
from mcp_orchestrator.core.wire.versions import LATEST_LEGACY, LATEST_MODERN
from mcp_orchestrator.model.call import ClientFace, Era, Invocation
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.plugin_api import Session

NOTICED_WITHIN: Final = 0.05
"""Seconds within which the end of a session is noticed after a call on it failed."""


@dataclass(frozen=True, slots=True)
class LifeKey:
    """Who a session is for: everybody (`client` None) or one legacy client session, in one era."""

    era: Era
    client: str | None = None


class LifeState(enum.StrEnum):
    """Where a session stands."""

    OPENING = "opening"
    OPEN = "open"
    OVER = "over"


@dataclass(slots=True, eq=False)
class Life:
    """A session with its owner task. `opened` is done once the session is open, or carries the BackendError.

    `log_level` is what a legacy session was last told, `wanted_levels` what the calls that use it want to hear; `holds`
    counts what keeps it from being stopped for idleness; `useful` says that it has answered a call: a session that ends
    after that was no failed start; `gone` is set when nobody can use it any more, however it ended.
    """

    key: LifeKey
    opened: asyncio.Future[Session]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    state: LifeState = LifeState.OPENING
    users: int = 0
    last_used: float = 0.0
    born: float = 0.0
    log_level: str | None = None
    wanted_levels: list[str] = field(default_factory=list)
    holds: int = 0
    useful: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def session(self) -> Session | None:
        """The session while it is open."""
        return self.opened.result() if self.state is LifeState.OPEN else None


class Hold:
    """Keeps a session from being stopped because nobody uses it; it may still end. `over` is set when it does."""

    __slots__ = ("_life", "over", "session")

    def __init__(self, life: Life, session: Session) -> None:
        self._life: Life | None = life
        life.holds += 1
        self.over = life.gone
        self.session = session

    def release(self) -> None:
        """Hold it no longer; idempotent."""
        life, self._life = self._life, None
        if life is not None:
            life.holds -= 1


class Lease:
    """The right to use a session for one run; give it back with `release` exactly once."""

    __slots__ = ("_clock", "_level", "_life", "_released", "session")

    def __init__(self, life: Life, session: Session, clock: Callable[[], float], released: Callable[[], None]) -> None:
        self._life = life
        self._released = released
        self._clock = clock
        self._level: str | None = None
        self.session = session

    def hold(self) -> Hold:
        """Keep the session beyond this run, without counting as a user of it."""
        return Hold(self._life, self.session)

    def release(self, *, useful: bool = False) -> None:
        """Give the session back; `useful` when it has answered."""
        self._life.useful |= useful
        if self._level is not None:
            self._life.wanted_levels.remove(self._level)
        self._life.users -= 1
        self._life.last_used = self._clock()
        if not self._life.users:
            self._released()

    async def ended(self) -> bool:
        """Whether the session turns out to have ended by itself, which is told a moment after its last words."""
        try:
            await asyncio.wait_for(self._life.gone.wait(), NOTICED_WITHIN)
        except TimeoutError:
            return False
        return True

    async def at_level(self, level: str | None, apply: Callable[[Session, str], Awaitable[None]]) -> None:
        """Have a legacy session say at least what this run wants to hear; `apply` sends the request.

        The level is one for the whole session: the most verbose that any call on it wants. It is lowered only by a
        call that is alone. What the others did not want to hear is taken out on their way back.
        """
        if level is None:
            return
        life = self._life
        if self._level is not None:
            life.wanted_levels.remove(self._level)
        self._level = level
        life.wanted_levels.append(level)
        needed = most_verbose(life.wanted_levels) or level
        alone = len(life.wanted_levels) == 1
        if is_louder(needed, life.log_level) or (alone and needed != life.log_level):
            # Noted before it is said, so that calls that begin meanwhile do not say it again. A server that refuses is
            # not asked again for the same level.
            life.log_level = needed
            try:
                await apply(self.session, needed)
            except asyncio.CancelledError:
                life.log_level = None  # nobody knows whether it was taken
                raise


async def live(
    life: Life,
    open_session: Callable[[], Awaitable[Session]],
    *,
    clock: Callable[[], float],
    idle_stop: float | None,
    on_open: Callable[[Life, Session], None],
    on_over: Callable[[Life, str, BackendError | None], None],
) -> None:
    """Open, watch and close one session, all in the calling task (actor for life).

    `idle_stop` is in seconds; None keeps the session. `on_over` is called exactly once with why it ended ("" when
    it was stopped on purpose) and the error if it never opened.
    """
    try:
        session = await _unless_stopped(open_session, life.stop)
    except BackendError as error:
        _over(life)
        if not life.opened.done():
            life.opened.set_exception(error)
            life.opened.exception()  # retrieved here: nobody may be waiting
        on_over(life, "", error)
        return
    except asyncio.CancelledError:
        _give_up(life, "the gateway is stopping")
        raise
    if session is None:
        _give_up(life, "it was stopped before it was up")
        on_over(life, "", None)
        return
    reason = "stopped"
    try:
        life.state = LifeState.OPEN
        life.last_used = clock()
        if not life.opened.done():
            life.opened.set_result(session)
        on_open(life, session)
        reason = await _until_over(life, session, clock, idle_stop)
    finally:
        _over(life)
        on_over(life, reason, None)
        await session.close()


async def answers(session: Session, patience: float) -> bool:
    """Whether a session answers the simplest request of its era within `patience` seconds, if only with an error."""
    method = "server/discover" if session.era is Era.MODERN else "ping"
    request = Invocation("", method, {}, {}, plain_client(session.era))
    try:
        await asyncio.wait_for(session.invoke(request, Nobody()), patience)
    except TimeoutError:
        return False
    return True


class Nobody:
    """The `Talk` of a request that no client made: nobody hears, nobody answers."""

    def progress(self, params: Mapping[str, Any]) -> None:
        """Nobody hears."""

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Nobody hears."""

    def let_go(self, after: float) -> None:
        """Nobody is connected."""

    async def ask(self, question: Question) -> Answer:
        """Nobody answers."""
        return declined(question)


def plain_client(era: Era = Era.MODERN, name: str = "mcp-orchestrator") -> ClientFace:
    """A client of our own making: the command line, health checks."""
    version = LATEST_MODERN if era is Era.MODERN else LATEST_LEGACY
    return ClientFace(era, version, {}, {"name": name, "version": "0"})


async def _unless_stopped(open_session: Callable[[], Awaitable[Session]], stop: asyncio.Event) -> Session | None:
    """The opened session; None when it is no longer wanted before it is open."""
    opening = asyncio.ensure_future(open_session())
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({opening, stopped}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        if opening.done() and not opening.cancelled() and opening.exception() is None:
            await opening.result().close()
        raise
    finally:
        stopped.cancel()
        if not opening.done():
            opening.cancel()
            await asyncio.wait({opening})
    return None if opening.cancelled() else opening.result()


def _over(life: Life) -> None:
    life.state = LifeState.OVER
    life.gone.set()


def _give_up(life: Life, why: str) -> None:
    _over(life)
    if not life.opened.done():
        life.opened.set_exception(BackendError(FailureKind.UNAVAILABLE, why))
        life.opened.exception()


async def _until_over(life: Life, session: Session, clock: Callable[[], float], idle_stop: float | None) -> str:
    """Wait for the session's end, a stop, or idleness; returns why it is over ("" for the latter two)."""
    closed = asyncio.ensure_future(session.wait_closed())
    stopped = asyncio.ensure_future(life.stop.wait())
    try:
        while True:
            patience = None if idle_stop is None else max(0.05, life.last_used + idle_stop - clock())
            done, _ = await asyncio.wait({closed, stopped}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if closed in done:
                return closed.result() or "the session ended"
            if stopped in done:
                return ""
            kept = life.users or life.holds
            if not kept and idle_stop is not None and clock() - life.last_used >= idle_stop:
                return ""
            if kept:
                life.last_used = clock()
    finally:
        closed.cancel()
        stopped.cancel()
        await asyncio.gather(closed, stopped, return_exceptions=True)
