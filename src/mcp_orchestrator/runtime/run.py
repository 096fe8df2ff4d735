"""A call being carried out: lease, invoke, record; it lives in the engine's own task group and outlives its request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.bonds import Kept
from mcp_orchestrator.core.eras import answerable
from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.core.translate.questions import ELICITATION_COMPLETE, declined, may_ask
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era, Invocation
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import INTERNAL_ERROR, BackendError
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome
from mcp_orchestrator.model.plan import Plan, Target
from mcp_orchestrator.plugin_api import Port, Session
from mcp_orchestrator.runtime import run_events as events
from mcp_orchestrator.runtime.asking import Asking, Detached
from mcp_orchestrator.runtime.governed import governed
from mcp_orchestrator.runtime.homeward import homeward
from mcp_orchestrator.runtime.invocations import invocation_of
from mcp_orchestrator.runtime.lives import Lease
from mcp_orchestrator.runtime.sampling import counts, sampled
from mcp_orchestrator.runtime.supervisor import Supervisor
from mcp_orchestrator.runtime.surroundings import Surroundings
from mcp_orchestrator.runtime.task_bridge import carried, finished, plain_road, says_nothing_special

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.task_run import TaskFace
    from mcp_orchestrator.runtime.tasks import Tasks

MOST_TIMEOUTS: Final = 10
"""Progress and log messages of a call begin its time limit anew; after ten times the limit it ends all the same
(MCP 2025-11-25 basic/lifecycle, timeouts)."""


BREATH: Final = 0.025
"""Seconds between the last progress of a call and its result. Clients on the TypeScript SDK take a progress message that
they read together with the result for one of an unknown call (Qwen Code 0.24.4 drops the server then, 2026-11-22)."""


ASKABLE: Final = frozenset({CallKind.TOOL, CallKind.PROMPT, CallKind.RESOURCE})
"""Kinds of request that may be answered with questions (MCP 2026-07-28 basic/index, input required)."""


class Run:
    """One run. It is the `Talk` of its backend session and the `RunHandle` of its listener."""

    __slots__ = (
        "_asked", "_asking", "_cancelled", "_engine", "_heard", "_outcome", "_shown", "_started", "_task", "_timed_out", "_timer", "_told", "_waiters", "_waiting", "_with",
        "call", "face", "id", "plan", "port", "sent", "taken", "trace", "veil", "when_over",
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
        self.sent = False
        self._told = 0.0
        self._waiting = 0
        self._with: Supervisor | None = None
        self._asked = 0
        self.taken = False
        self._asking: Asking | None = None
        self._shown: Outcome | None = None
        self.face: TaskFace | None = None
        self.veil: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
        self.when_over: Callable[[], None] | None = None
        self._started = engine.clock()

    # -- for the listener -----------------------------------------------------------------------------------------

    async def outcome(self) -> Outcome:
        """Wait for the end; cancelling the waiter leaves the run alone."""
        if self._shown is not None:
            shown, self._shown = self._shown, None
            return shown
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

    @property
    def tasks(self) -> Tasks:
        """The tasks of the gateway."""
        return self._engine.tasks

    @property
    def ended(self) -> Outcome | None:
        """How it ended, if it has."""
        return self._outcome

    def hand_over(self, port: Port, shown: Outcome, *, ahead: bool) -> bool:
        """Answer whoever waits (or, with `ahead`, will) with `shown`, and speak through `port` from now on.

        False when there is nobody to answer, or the client has questions to answer first.
        """
        if self._outcome is not None or self._asking or not (self._waiters or ahead):
            return False
        self.port = port
        self._shown = None if self._waiters else shown
        self._wake(shown)
        return True

    @property
    def cancelled_because(self) -> str:
        """Why it was asked to stop; "" when it was not."""
        return self._cancelled

    def become_task(self) -> bool:
        """Become a task at once, for a client that can carry one; False when it stays a call."""
        return self.tasks.promote(self, ahead=True)

    # -- for the backend session ----------------------------------------------------------------------------------

    def progress(self, params: Mapping[str, Any]) -> None:
        """Pass on progress; the port puts the client's token on. It also counts as a sign of life."""
        self._heard = self._engine.loop.time()
        if self.call.wants_progress and self._outcome is None:
            self._told = self._heard
            self.port.notify("notifications/progress", params if self.veil is None else self.veil(params))

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Pass on any other notification of this run; a sign of life as well."""
        self._heard = self._engine.loop.time()
        told = method != ELICITATION_COMPLETE or self.call.client.era is Era.LEGACY  # the modern era has no such word
        if self._outcome is None and told:
            self.port.notify(method, params if self.veil is None else self.veil(params))

    def let_go(self, after: float) -> None:
        """The backend let go of our connection for now: let go of the client's."""
        if self._outcome is None:
            self.port.let_go(after)

    async def ask(self, question: Question) -> Answer:
        """Put a question to the first who can be asked; declined in well-formed fashion when nobody can."""
        self._asked += 1
        key = f"q{self._asked}"
        backend = self.plan.target.backend if self.plan.target is not None else ""
        question = self._engine.addressees.put(self.call, backend, question, f"{self.id}-{key}")
        asked = {"method": question.method, "question": key}
        self._engine.record(EventKind.QUESTION_ASKED, self.id, asked)
        with self.unhurried():
            answer = await self._first_mouth(key, question) or declined(question)
        self._engine.record(EventKind.QUESTION_ANSWERED, self.id, {**asked, "by": answer.by, **events.answered(answer)})
        return answer

    async def _first_mouth(self, key: str, asked: Question) -> Answer | None:
        policing = self._engine.policing
        if self.veil is not None:
            asked = Question(asked.method, dict(self.veil(asked.params)))
        question = asked if policing is None else await policing.vetted(self, asked)
        if question is not None and counts(self._engine, question):
            return await sampled(self, self._engine, question, lambda: self._put(key, question))
        return await self._put(key, question)

    async def _put(self, key: str, question: Question | None) -> Answer | None:
        answer = await self.ask_client(key, question) if question is not None and self._engine.asks_client else None
        if question is not None and answer is None and self._engine.desk is not None:
            answer = await self._engine.desk.ask(self.id, key, question)
        return answer

    async def ask_client(self, key: str, question: Question) -> Answer | None:
        """Ask the client, in place or by the result of its request; None when it cannot be asked."""
        return await self.port.ask(question) or await self._ask_by_result(key, question)

    async def _ask_by_result(self, key: str, question: Question) -> Answer | None:
        """Ask a modern client: the question becomes the result of its request, and the run waits for it to come back."""
        call = self.call
        if call.client.era is Era.LEGACY or call.kind not in ASKABLE or not may_ask(call.client, question):
            return None
        if self._asking is None:
            if not self._engine.parks(self):
                return None
            self._asking = Asking(self._engine.question_expiry, self._show_questions)
        return await self._asking.ask(key, question)

    def _show_questions(self) -> None:
        """Give whoever waits for the run the questions that are open now."""
        asking = self._asking
        if asking is None or not asking or not self._waiters or self._outcome is not None:
            return
        now, call = self._engine.now(), self.call
        state = lambda number: self._engine.sealed(call, Kept(now, run=self.id, round=number))  # noqa: E731 - one line
        self.port = Detached()
        self._wake(Completed(asking.shown(state), Era.MODERN))

    def resume(self, kept: Kept, responses: Any, port: Port) -> str:
        """The client is back: attach it and hand on its answers; returns "" or why that is refused."""
        asking = self._asking
        if asking is None or kept.round != asking.round:
            return "it was used already"
        if responses is not None and not isinstance(responses, Mapping):
            return "inputResponses must be an object"
        wrong = asking.take(responses or {})
        if wrong:
            return wrong
        asking.round += 1
        self.port = port
        self._engine.loop.call_soon(self._show_questions)  # what is still open is asked again
        return ""

    # -- for the engine -------------------------------------------------------------------------------------------

    def begin(self, task: asyncio.Task[None]) -> None:
        """Note the task that carries the run out."""
        self._task = task

    async def carry_out(self, supervisor: Supervisor, target: Target) -> None:
        """The whole of it: never raises, always ends with an outcome that is in the journal before anyone sees it."""
        if self._engine.keep:
            self._engine.journal.record(events.opening(self, target, self._engine))
        try:
            plain = self.plan.terms is None and target.care is None
            outcome = await self._unrecordable() or await (
                self.attempt(supervisor, target) if plain else governed(self, self._engine, supervisor, target)
            )
        except asyncio.CancelledError:
            outcome = events.cancelled(self._cancelled)
        except Exception as error:  # the edge of a run: a bug here must not take other runs along
            self._engine.log.exception("run failed", run=self.id, error=type(error).__name__)
            outcome = Failed(FailureKind.INTERNAL, INTERNAL_ERROR, "internal error; the log of the gateway says more")
        await self.finish(outcome, (self._with or supervisor).redact)

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
        self._settle(events.cancelled(self._cancelled))

    def _settle(self, outcome: Outcome) -> None:
        if self._outcome is None:
            self._outcome = outcome
            self.taken = any(not waiter.done() for waiter in self._waiters)
            early = self._told + BREATH - self._engine.loop.time() if self._told else 0.0
            if early > 0:
                self._engine.loop.call_later(early, self._wake, outcome)
            else:
                self._wake(outcome)
            if self.when_over is not None:
                self.when_over()

    def _wake(self, outcome: Outcome) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(outcome)

    async def finish(self, outcome: Outcome, redact: Callable[[str], str] = str) -> None:
        """Record the end, wait until the record is kept, then let the listener see it.

        `redact` takes secrets out of what a backend said; the client gets the backend's own words.
        """
        self._task = None  # from here on there is nothing left to cancel
        journal, results = self._engine.journal, self._engine.results
        if results is not None and isinstance(outcome, Completed) and len(outcome.result) > results.floor:
            outcome = await results.handed_on(self, outcome)
        if not self._engine.keep:
            self._settle(outcome)
            return
        journal.record(events.closing(self, outcome, self._engine, self._started, redact))
        try:
            await journal.commit()
        except asyncio.CancelledError:
            pass  # the gateway is stopping; the record is queued and the store commits it before it closes
        except OSError as error:
            self._engine.trouble = True
            self._engine.log.error("a call could not be recorded", run=self.id, error=str(error))  # noqa: TRY400 - no bug
            if self.sent:
                text = f"the call was carried out but not recorded: {error}"
                outcome = Failed(FailureKind.INTERNAL, INTERNAL_ERROR, text)
        self._settle(outcome)

    async def attempt(self, supervisor: Supervisor, target: Target) -> Outcome:
        """Make the call once, within the time limit of the target. A governed call may have several attempts."""
        self._with, self._timed_out = supervisor, False
        client = self.call.client if self._engine.desk is None else answerable(self.call.client)
        # A timer of our own: asyncio.timeout does the same and costs four times as much.
        loop = self._engine.loop
        self._arm(target.timeout, loop.time() + MOST_TIMEOUTS * target.timeout, loop.time())
        try:
            lease, outcome = await self._invoked(supervisor, target, client)
            if events.never_sent(outcome) and await lease.ended():
                # The session had ended before it took the call: another one may.
                _, outcome = await self._invoked(supervisor, target, client)
        except BackendError as error:
            return error.as_failed()
        except asyncio.CancelledError:
            if not self._timed_out or self._cancelled:
                raise
            if self._task is not None:
                self._task.uncancel()
            if self.sent:
                supervisor.suspect(client)
            return events.timed_out(target, sent=self.sent)
        else:
            return outcome
        finally:
            self._timer.cancel()

    async def _invoked(self, supervisor: Supervisor, target: Target, client: ClientFace) -> tuple[Lease, Outcome]:
        self.sent = False
        lease = await supervisor.lease(client, self.call.principal.id)
        useful = False
        try:
            if self.call.log_level is not None and lease.session.era is Era.LEGACY:
                await lease.at_level(self.call.log_level, self._set_level)
            self.sent = True
            own = target.backend == OWN
            invocation = invocation_of(self, target, lease.session, self._carrier(own=True) if own else client)
            session = lease.session
            if plain_road(self.call, session.era):
                outcome = await session.invoke(invocation, self)
                if isinstance(outcome, Completed) and says_nothing_special(outcome.result):
                    useful = True
                    return lease, outcome
                outcome = await finished(self, self._carrier(), session, invocation, outcome)
            else:
                abilities = supervisor.record.abilities(session.era)
                carrier = self._carrier()
                outcome = await carried(self, session, invocation, target, carrier=carrier, abilities=abilities)
            useful = isinstance(outcome, Completed)
            outcome = homeward(self, self._engine, outcome, target)
            outcome = self.tasks.passed_on(self, lease, supervisor.spec.transport, target, outcome)
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
        if self._waiting:
            self._arm(timeout, last + timeout, now)
        elif self._heard > since and now < last:
            self._arm(timeout, last, self._heard)
        elif self._task is not None:
            self._timed_out = True
            self._task.cancel()

    @contextlib.contextmanager
    def unhurried(self) -> Iterator[None]:
        """Let the time limit stand still: people take their time, or somebody else watches over what is awaited."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            self._heard = self._engine.loop.time()

    def _carrier(self, *, own: bool = False) -> ClientFace:
        """The client as one to whom questions may be carried: without any abilities when it is not to be asked.

        A call on terms, and one whose questions rules look at, has them put by its run: it is one call to its end.
        """
        client, policing = self.call.client, self._engine.policing
        carries = own or (self.plan.terms is None and (policing is None or not policing.looks_at_questions))
        return client if carries and self._engine.asks_client else replace(client, capabilities={})

    async def _set_level(self, session: Session, level: str) -> None:
        request = Invocation(self.id, "logging/setLevel", {"level": level}, {}, self.call.client)
        await session.invoke(request, self)
