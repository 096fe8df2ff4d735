"""A call being carried out: lease, invoke, record; it lives in the engine's own task group and outlives its request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, assert_never

from mcp_orchestrator.core.translate.questions import declined
from mcp_orchestrator.model.call import Call, CallKind, Era, Invocation
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import INTERNAL_ERROR, REQUEST_CANCELLED, REQUEST_TIMEOUT, BackendError
from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome, ToolRefusal
from mcp_orchestrator.model.plan import Plan, Target
from mcp_orchestrator.plugin_api import JournalSink, Port, Session
from mcp_orchestrator.runtime.lives import Lease
from mcp_orchestrator.runtime.questions import rounds, with_elicitation_id
from mcp_orchestrator.runtime.supervisor import Supervisor

MOST_TIMEOUTS: Final = 10
"""Progress and log messages of a call begin its time limit anew; after ten times the limit it ends all the same
(MCP 2025-11-25 basic/lifecycle, timeouts)."""


class Surroundings(Protocol):
    """What a run needs of the engine it lives in."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""
        ...

    @property
    def journal(self) -> JournalSink:
        """Where events go."""
        ...

    @property
    def keep(self) -> bool:
        """Whether events of runs are made."""
        ...

    trouble: bool
    """Whether the last record could not be kept."""

    @property
    def log(self) -> Any:
        """The log of the program."""
        ...

    def clock(self) -> float:
        """Monotonic seconds."""
        ...

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def record(self, kind: EventKind, run: str | None, data: Mapping[str, Any]) -> None:
        """Queue an event."""
        ...

    def digest(self, arguments: Any) -> str:
        """SHA-256 (hex) of arguments."""
        ...


class Run:
    """One run. It is the `Talk` of its backend session and the `RunHandle` of its listener."""

    __slots__ = (
        "_asking", "_cancelled", "_engine", "_heard", "_outcome", "_sent", "_started", "_task", "_timed_out", "_timer", "_waiters",
        "call", "id", "plan", "port", "trace",
    )  # fmt: skip

    def __init__(self, run_id: str, call: Call, plan: Plan, port: Port, engine: Surroundings) -> None:
        self.id = run_id
        self.call = call
        self.plan = plan
        self.port = port
        self.trace = ""
        self._engine = engine
        self._outcome: Outcome | None = None
        self._waiters: list[asyncio.Future[Outcome]] = []
        self._task: asyncio.Task[None] | None = None
        self._cancelled = ""
        self._timed_out = False
        self._heard = 0.0
        self._asking = 0
        self._sent = False
        self._started = engine.clock()

    # -- for the listener -----------------------------------------------------------------------------------------

    async def outcome(self) -> Outcome:
        """Wait for the end; cancelling the waiter leaves the run alone."""
        if self._outcome is None:
            # A future of its own for each waiter: shielding one that all share costs five times as much.
            waiter: asyncio.Future[Outcome] = self._engine.loop.create_future()
            self._waiters.append(waiter)
            return await waiter
        return self._outcome

    def cancel(self, reason: str) -> None:
        """Ask the run to stop."""
        if self._task is not None and not self._task.done() and not self._cancelled:
            self._cancelled = reason or "cancelled"
            self._task.cancel()

    # -- for the backend session ----------------------------------------------------------------------------------

    def progress(self, params: Mapping[str, Any]) -> None:
        """Pass on progress; the port puts the client's token on. It also counts as a sign of life."""
        self._heard = self._engine.loop.time()
        if self.call.wants_progress and self._outcome is None:
            self.port.notify("notifications/progress", params)

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Pass on any other notification of this run; a sign of life as well."""
        self._heard = self._engine.loop.time()
        if self._outcome is None:
            self.port.notify(method, params)

    def let_go(self, after: float) -> None:
        """The backend let go of our connection for now: let go of the client's."""
        if self._outcome is None:
            self.port.let_go(after)

    async def ask(self, question: Question) -> Answer:
        """Put a question to the client; declined in well-formed fashion when it cannot be asked."""
        question = with_elicitation_id(question, self.id)
        self._engine.record(EventKind.QUESTION_ASKED, self.id, {"method": question.method})
        self._asking += 1  # the time that people take is not the backend's
        try:
            answer = await self.port.ask(question)
        finally:
            self._asking -= 1
            self._heard = self._engine.loop.time()
        by = "client"
        if answer is None:
            answer, by = declined(question), "gateway"
        self._engine.record(EventKind.QUESTION_ANSWERED, self.id, {"method": question.method, "by": by})
        return answer

    # -- for the engine -------------------------------------------------------------------------------------------

    def begin(self, task: asyncio.Task[None]) -> None:
        """Note the task that carries the run out."""
        self._task = task

    async def carry_out(self, supervisor: Supervisor, target: Target) -> None:
        """The whole of it: never raises, always ends with an outcome that is in the journal before anyone sees it."""
        if self._engine.keep:
            self._engine.journal.record(self._opening_event(target))
        try:
            outcome = await self._unrecordable() or await self._within(supervisor, target)
        except asyncio.CancelledError:
            outcome = self._cancelled_outcome()
        except Exception as error:  # the edge of a run: a bug here must not take other runs along
            self._engine.log.exception("run failed", run=self.id, error=type(error).__name__)
            outcome = Failed(FailureKind.INTERNAL, INTERNAL_ERROR, "internal error; the log of the gateway says more")
        await self.finish(outcome, supervisor.redact)

    async def _unrecordable(self) -> Outcome | None:
        """After a record could not be kept nothing is sent until the journal can be written again."""
        if not self._engine.trouble:
            return None
        try:
            await self._engine.journal.commit()
        except OSError as error:
            text = f"nothing was sent, for the call could not be recorded: {error}"
            return Failed(FailureKind.INTERNAL, INTERNAL_ERROR, text, retryable=True)
        self._engine.trouble = False
        return None

    def abandon(self) -> None:
        """The task ended without an outcome (cancelled before it began to work): nobody is left waiting."""
        self._settle(self._cancelled_outcome())

    def _settle(self, outcome: Outcome) -> None:
        if self._outcome is None:
            self._outcome = outcome
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(outcome)

    async def finish(self, outcome: Outcome, redact: Callable[[str], str] = str) -> None:
        """Record the end, wait until the record is kept, then let the listener see it.

        `redact` takes secrets out of what a backend said; the client gets the backend's own words.
        """
        self._task = None  # from here on there is nothing left to cancel
        journal = self._engine.journal
        if not self._engine.keep:
            self._settle(outcome)
            return
        journal.record(self._closing_event(outcome, redact))
        try:
            await journal.commit()
        except asyncio.CancelledError:
            pass  # the gateway is stopping; the record is queued and the store commits it before it closes
        except OSError as error:
            self._engine.trouble = True
            self._engine.log.error("a call could not be recorded", run=self.id, error=str(error))  # noqa: TRY400 - no bug
            if self._sent:
                text = f"the call was carried out but not recorded: {error}"
                outcome = Failed(FailureKind.INTERNAL, INTERNAL_ERROR, text)
        self._settle(outcome)

    async def _within(self, supervisor: Supervisor, target: Target) -> Outcome:
        # A timer of our own: asyncio.timeout does the same and costs four times as much.
        loop = self._engine.loop
        self._arm(target.timeout, loop.time() + MOST_TIMEOUTS * target.timeout, loop.time())
        try:
            lease, outcome = await self._invoked(supervisor, target)
            if _never_sent(outcome) and await lease.ended():
                # The session had ended before it took the call: another one may.
                _, outcome = await self._invoked(supervisor, target)
        except BackendError as error:
            return error.as_failed()
        except asyncio.CancelledError:
            if not self._timed_out or self._cancelled:
                raise
            if self._sent:
                supervisor.suspect(self.call.client)
            return _timed_out(target, sent=self._sent)
        else:
            return outcome
        finally:
            self._timer.cancel()

    async def _invoked(self, supervisor: Supervisor, target: Target) -> tuple[Lease, Outcome]:
        self._sent = False
        lease = await supervisor.lease(self.call.client)
        useful = False
        try:
            if self.call.log_level is not None and lease.session.era is Era.LEGACY:
                await lease.at_level(self.call.log_level, self._set_level)
            self._sent = True
            outcome = await rounds(self, lease.session, self._invocation(target, lease.session))
            useful = isinstance(outcome, Completed)
        finally:
            lease.release(useful=useful)
        return lease, outcome

    def _arm(self, timeout: float, last: float, since: float) -> None:
        self._timer = self._engine.loop.call_at(min(since + timeout, last), self._expire, timeout, last, since)

    def _expire(self, timeout: float, last: float, since: float) -> None:
        """The time is up, unless the backend gave a sign of life meanwhile; `last` is the end in any case.

        While a person is being asked the clock stands still: questions expire by themselves.
        """
        now = self._engine.loop.time()
        if self._asking:
            self._arm(timeout, last + timeout, now)
        elif self._heard > since and now < last:
            self._arm(timeout, last, self._heard)
        elif self._task is not None:
            self._timed_out = True
            self._task.cancel()

    def _invocation(self, target: Target, session: Session) -> Invocation:
        call = self.call
        params = call.params
        if target.name != call.name:
            params = _renamed(call, target)
        return Invocation(
            run=self.id,
            method=call.method,
            params=params,
            meta=call.meta,
            client=call.client,
            wants_progress=call.wants_progress,
            log_level=call.log_level,
            name_header=None if call.kind is CallKind.EXTENSION else target.name or None,
            headers=target.headers if session.era is Era.MODERN else None,
        )

    async def _set_level(self, session: Session, level: str) -> bool:
        request = Invocation(self.id, "logging/setLevel", {"level": level}, {}, self.call.client)
        return isinstance(await session.invoke(request, self), Completed)

    def _cancelled_outcome(self) -> Outcome:
        return Failed(FailureKind.CANCELLED, REQUEST_CANCELLED, f"cancelled: {self._cancelled or 'gateway stopping'}")

    def _opening_event(self, target: Target) -> Event:
        call = self.call
        data = {
            "method": call.method,
            "name": call.name,
            "backend": target.backend,
            "target": target.name,
            "principal": call.principal.id,
            "client": (call.client.info or {}).get("name", ""),
            "profile": call.profile,
            "arguments": self._engine.digest(call.params.get("arguments")),
            "trace": self.trace,
            "reasons": self.plan.reasons,
        }
        return Event(EventKind.RUN_STARTED, self._engine.now(), self.id, data)

    def _closing_event(self, outcome: Outcome, redact: Callable[[str], str]) -> Event:
        ms = round((self._engine.clock() - self._started) * 1000, 2)
        data: dict[str, Any] = {"status": "completed", "ms": ms}
        match outcome:
            case Completed():
                data["bytes"] = len(outcome.result)
            case Failed():
                cancelled = outcome.kind is FailureKind.CANCELLED
                data["status"] = "cancelled" if cancelled else "failed"
                data |= {"kind": outcome.kind.value, "code": outcome.code, "text": redact(outcome.message)}
            case ToolRefusal():
                data |= {"status": "failed", "kind": outcome.kind.value, "text": outcome.text}
            case never:
                assert_never(never)
        return Event(EventKind.RUN_ENDED, self._engine.now(), self.id, data)


def _renamed(call: Call, target: Target) -> dict[str, Any]:
    """The parameters with the backend's own name in the one place where this method has it."""
    params, name = call.params, target.name
    if call.kind is CallKind.COMPLETION:
        key = "uri" if params["ref"].get("type") == "ref/resource" else "name"
        return {**params, "ref": {**params["ref"], key: name}}
    offer = target.offer
    # A method that we do not know has no name of its own: it goes where one of its parameters names something listed.
    own = (call.name,) if call.kind is not CallKind.EXTENSION else (offer.public, offer.dotted) if offer else ()
    for key in ("name", "uri"):
        if params.get(key) in own:
            return {**params, key: name}
    return params


def _never_sent(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and outcome.kind is FailureKind.UNAVAILABLE and outcome.retryable


def _timed_out(target: Target, *, sent: bool) -> Failed:
    known = "it may have had effects and was not repeated" if sent else "nothing was sent"
    text = f"server '{target.backend}' gave no answer within {target.timeout:g} s; {known}"
    return Failed(FailureKind.TIMEOUT, REQUEST_TIMEOUT, text, retryable=not sent)
