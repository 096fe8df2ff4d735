"""One turn with an A2A agent: sent or rejoined, followed by stream or by looking, asked, interrupted, and its one end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, assert_never

from mcp_orchestrator.agent_api import AgentTalk
from mcp_orchestrator.backends.a2a_asking import Asked, input_wanted, reply, sign_in_wanted
from mcp_orchestrator.backends.a2a_calls import (
    METHOD_NOT_FOUND,
    NOT_CANCELABLE,
    TASK_NOT_FOUND,
    UNSUPPORTED,
    A2aCalls,
)
from mcp_orchestrator.backends.a2a_ends import UNAUTHORIZED, end, failed, given_up, http_status, unknown
from mcp_orchestrator.backends.a2a_reading import State, Update, read_update
from mcp_orchestrator.backends.a2a_seen import Seen
from mcp_orchestrator.model.agent import Ended, Started, Turn
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

MOST_REFUSALS: Final = 3
"""Questions refused in a row before the task is cancelled: the agent cannot go on without an answer."""

_LONGEST_LOOK: Final = 30.0
_STOP_FOLLOWS: Final = 1.0
_MOST_WAITING: Final = 10_000


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a task is looked at, in seconds: `first` to `most` between looks, growing.

    A stream that says nothing for `quiet` is doubted, and the task looked at; an agent that cannot be reached for
    `lost` is given up.
    """

    first: float = 0.5
    most: float = 5.0
    quiet: float = 45.0
    lost: float = 300.0


@dataclass(frozen=True, slots=True)
class _Over:
    """A call that carried news is over; `error` is what ended it, `sending` whether it was the message itself."""

    error: BackendError | None
    sending: bool


@dataclass(frozen=True, slots=True)
class _Frame:
    value: Any
    raw: bytes


class Turning:
    """One turn, until its end. `run` is awaited once; `interrupt` and `close` may be called meanwhile."""

    def __init__(
        self,
        name: str,
        calls: A2aCalls,
        talk: AgentTalk,
        rhythm: Rhythm,
        *,
        streaming: bool,
        version: str | None = None,
    ) -> None:
        self._name = name
        self._version = version
        self._calls = calls
        self._talk = talk
        self._rhythm = rhythm
        self._streaming = streaming
        self._news: asyncio.Queue[_Frame | _Over | None] = asyncio.Queue(_MOST_WAITING)
        self._carrying: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._seen = Seen(talk)
        self._started = False
        self._wait = rhythm.first
        self._lost_since: float | None = None
        self._answered: str | None = None
        self._refusals = 0
        self._interrupted = asyncio.Event()
        self._cancel_sent = False
        self._closed = False

    @property
    def context(self) -> str:
        """The server's context, once known."""
        return self._seen.context

    def interrupt(self) -> None:
        """Ask for the end of the task; the turn goes on until the agent confirms it."""
        self._interrupted.set()
        self._wake()

    def close(self) -> None:
        """Nobody waits for the agent any more; its task goes on at the server unless it was cancelled."""
        self._closed = True
        self._wake()

    async def run(self, turn: Turn, context: str) -> Ended:
        """The whole of it."""
        self._seen.context = context
        try:
            if turn.rejoin is not None:
                self._seen.task = turn.rejoin
                found = await self._look()
                if isinstance(found, BackendError) and found.code == TASK_NOT_FOUND:
                    return unknown(self._seen, f"the agent does not know task {turn.rejoin} any more", found)
            else:
                self._send([{"text": turn.prompt}], {})
            return await self._follow()
        except BackendError as error:
            return failed(self._seen, error)
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=5)

    # -- carrying news --------------------------------------------------------------------------------------------

    def _send(self, parts: list[dict[str, Any]], metadata: Mapping[str, Any]) -> None:
        """Send a message, and let its answer or its stream come in."""
        message = self._calls.message(parts, self._seen.context, self._seen.task, metadata)
        if self._streaming:
            self._carry(self._calls.send_streaming(message, self._hear), sending=True)
        else:
            self._carry(self._sent(message), sending=True)

    async def _sent(self, message: Mapping[str, Any]) -> None:
        self._hear(*await self._calls.send(message))

    def _carry(self, work: Coroutine[Any, Any, None], *, sending: bool) -> None:
        async def carrying() -> None:
            error = None
            try:
                await work
            except BackendError as caught:
                error = caught
            await self._news.put(_Over(error, sending))

        self._carrying = self._spawn(carrying())

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _hear(self, value: Any, raw: bytes) -> bool:
        if self._news.full():
            raise BackendError(FailureKind.BAD_ANSWER, f"agent {self._name} sends faster than can be read", sent=True)
        self._news.put_nowait(_Frame(value, raw))
        update = read_update(value)
        # A stream that says the end, or that the agent waits, is left at once: some servers keep it open.
        if update is None or update.state is None:
            return update is not None and update.reply is not None
        return update.state.over or (update.state.waits and _mark(update) != self._answered)

    def _wake(self) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._news.put_nowait(None)

    # -- following ------------------------------------------------------------------------------------------------

    async def _follow(self) -> Ended:
        while True:
            if self._seen.over:
                return end(self._seen, self._calls.clean)
            if self._closed:
                return given_up(self._seen, asked=self._cancel_sent)
            if self._interrupted.is_set() and self._seen.task and not self._cancel_sent:
                await self._cancel()
                continue
            if self._asks() and self._carrying is None and not self._interrupted.is_set():
                await self._ask()
                continue
            ended = await self._next()
            if ended is not None:
                return ended

    async def _next(self) -> Ended | None:
        """Wait for news; look at the task where none come."""
        carried = self._carrying is not None
        if not carried and self._streaming and not self._asks():
            self._carry(self._calls.subscribe(self._seen.task, self._hear), sending=False)
            carried = True
        try:
            news = await asyncio.wait_for(self._news.get(), self._rhythm.quiet if carried else self._wait)
        except TimeoutError:
            if not self._seen.task:
                return None  # the message is still on its way; time limits are the caller's
            found = await self._look()
            return await self._unreached(found) if isinstance(found, BackendError) else None
        match news:
            case _Frame():
                await self._take(news.value, news.raw)
            case _Over():
                self._carrying = None
                return await self._broke_off(news)
            case None:
                pass  # woken
            case never:
                assert_never(never)
        return None

    async def _broke_off(  # noqa: PLR0911 - a ladder: each rung is another way for a call to be over
        self, over: _Over
    ) -> Ended | None:
        """A call that carried news is over: on to looking, or to the end."""
        error = over.error
        if self._seen.over or self._asks():
            return None
        if not self._seen.task:
            if error is not None:
                return failed(self._seen, error)
            return unknown(self._seen, "the agent answered without a task and without a message", None)
        if over.sending and error is not None and not error.sent:
            return failed(self._seen, error)
        if error is not None and error.code in {UNSUPPORTED, METHOD_NOT_FOUND} and not over.sending:
            self._streaming = False  # it streams answers, but cannot be subscribed to
        found = await self._look()
        if isinstance(found, BackendError):
            return await self._unreached(found)
        if over.sending and error is not None and error.kind is FailureKind.BACKEND_ERROR and not self._seen.over:
            return failed(self._seen, error)  # it refused our message, and the task stands where it stood
        if self._streaming and not self._seen.over:
            await self._pause()
        return None

    async def _unreached(self, error: BackendError) -> Ended | None:
        """The task could not be looked at."""
        now = asyncio.get_running_loop().time()
        if error.code == TASK_NOT_FOUND:
            return unknown(self._seen, "the agent does not know the task any more", error)
        if http_status(error) in UNAUTHORIZED:
            return unknown(self._seen, "the agent lets us no longer look at the task", error)
        self._lost_since = now if self._lost_since is None else self._lost_since
        if now - self._lost_since > self._rhythm.lost:
            return unknown(self._seen, f"the agent could not be reached for {self._rhythm.lost:g} s", error)
        await self._pause()
        return None

    async def _pause(self) -> None:
        """Wait a little, longer each time; an interrupt or the end of the session cuts it short."""
        with contextlib.suppress(TimeoutError):
            news = await asyncio.wait_for(self._news.get(), self._wait)
            if isinstance(news, _Frame):
                await self._take(news.value, news.raw)
            elif isinstance(news, _Over):
                self._carrying = None
        self._wait = min(self._wait * 2, self._rhythm.most)

    async def _look(self) -> BackendError | None:
        """Look at the task as it stands; returns what went wrong."""
        try:
            async with asyncio.timeout(_LONGEST_LOOK):
                value, raw = await self._calls.look(self._seen.task)
        except TimeoutError:
            return BackendError(FailureKind.TIMEOUT, f"agent {self._name} did not answer within {_LONGEST_LOOK:g} s")
        except BackendError as error:
            return error
        self._lost_since = None
        self._wait = min(self._wait * 1.5, self._rhythm.most)
        await self._take(value, raw)
        return None

    async def _take(self, value: Any, raw: bytes) -> None:
        update = read_update(value)
        if update is None:
            self._seen.warn("a frame that is no task, message or update was passed over", raw)
            return
        if not self._started:
            self._started = True
            self._talk.event(Started(update.context or self._seen.context or None, version=self._version))
        before = (self._seen.context, self._seen.task)
        known = self._seen.state
        self._seen.take(update, raw)
        after = (self._seen.context, self._seen.task)
        if after != before or (known is None and update.state is not None):
            await self._talk.bound(*(after[0] or after[1], after[1] or None))
        if self._seen.state is not known:
            self._wait = self._rhythm.first
        if update.state is not None and not update.state.waits:
            self._answered = None

    # -- questions ------------------------------------------------------------------------------------------------

    def _asks(self) -> bool:
        """Whether the agent waits for an answer that it has not got yet."""
        seen = self._seen
        return seen.state is not None and seen.state.waits and self._answered != _mark(seen)

    async def _ask(self) -> None:
        """Put the agent's question to a person, and send what they say; news may come meanwhile."""
        seen, mark = self._seen, _mark(self._seen)
        signing = seen.state is State.AUTH
        asked = (
            sign_in_wanted(self._name, seen.task, seen.message) if signing else input_wanted(self._name, seen.message)
        )
        asking = self._spawn(self._talk.ask(asked.question))
        if not await self._meanwhile(asking, mark):
            return
        answer: Answer = asking.result()
        if answer.by in {"gateway", "time"} and not self._interrupted.is_set():
            # Questions are dismissed just before a turn is interrupted: no word of ours shall overtake that.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._interrupted.wait(), _STOP_FOLLOWS)
        if self._interrupted.is_set() or self._closed:
            return
        self._answered = mark
        if signing:
            accepted = (answer.result or {}).get("action") == "accept"
            self._refuse(accepted=accepted, at_once=True)
        else:
            self._reply(asked, answer)

    async def _meanwhile(self, asking: asyncio.Task[Answer], mark: str) -> bool:
        """Wait for the answer; False when the task went on, or everything ended, without it."""
        while not asking.done():
            getting = self._spawn(self._news.get())
            await asyncio.wait({asking, getting}, timeout=self._rhythm.most, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                news = getting.result()
                if isinstance(news, _Frame):
                    await self._take(news.value, news.raw)
            else:
                getting.cancel()
                if not asking.done():
                    await self._look()
            if self._closed or self._seen.over or _mark(self._seen) != mark or not self._asks():
                asking.cancel()
                return False
            if self._interrupted.is_set() and not asking.done():
                asking.cancel()
                return False
        return not asking.cancelled()

    def _reply(self, asked: Asked, answer: Answer) -> None:
        parts, metadata, refused = reply(asked, answer)
        if refused:
            self._refuse(accepted=False, at_once=False)
            if self._cancel_sent or self._interrupted.is_set():
                return
        else:
            self._refusals = 0
        self._send(parts, metadata)

    def _refuse(self, *, accepted: bool, at_once: bool) -> None:
        """A question was refused; an agent that cannot go on without an answer is asked to stop."""
        if accepted:
            return
        self._refusals += 1
        if at_once or self._refusals >= MOST_REFUSALS:
            self._seen.warn("its question was not answered: its task is cancelled")
            self._interrupted.set()

    async def _cancel(self) -> None:
        """Ask the agent to stop; its answer tells where the task stands."""
        self._cancel_sent = True
        try:
            async with asyncio.timeout(_LONGEST_LOOK):
                value, raw = await self._calls.cancel(self._seen.task)
        except TimeoutError:
            self._seen.warn("the agent did not answer the request to stop")
        except BackendError as error:
            if error.code != NOT_CANCELABLE:
                self._seen.warn(f"the request to stop failed: {error.message}")
            await self._look()
        else:
            await self._take(value, raw)


def _mark(told: Seen | Update) -> str:
    """What tells one question of a task from the next."""
    message = told.message
    which = (message.id or f"{message.text}@{told.when}") if message is not None else told.when
    return f"{told.state}:{which}"
