"""Follows a backend's task to its end inside a run, for a client that cannot carry the task itself.

The run then ends like any other: with the result of the work. So every client can call a tool that only works as a task,
and a client of the other generation sees the run as a task of its own generation (`task_run`).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.translate import tasks as words
from mcp_orchestrator.core.translate.tasks import Sighting, TaskStatus
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import INTERNAL_ERROR, REQUEST_TIMEOUT
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome
from mcp_orchestrator.plugin_api import Session, Talk
from mcp_orchestrator.runtime.lives import Nobody

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.run import Run

POLL_SECONDS: Final = 1.0
SHORTEST_POLL: Final = 0.05
LONGEST_POLL: Final = 30.0
POLL_PATIENCE: Final = 30.0
"""Seconds that a backend gets to say how its task stands."""

MOST_FAILURES: Final = 3
MOST_OF_A_DAY: Final = 86_400.0
"""Seconds that a task may take where its backend sets no limit."""


class Labelled:
    """The `Talk` of a task: questions name the task as the client knows it, or not at all (`ours` None)."""

    def __init__(self, talk: Talk, theirs: str, ours: str | None) -> None:
        self._talk = talk
        self._theirs = theirs
        self._ours = ours

    def progress(self, params: Mapping[str, Any]) -> None:
        """Pass on progress."""
        self._talk.progress(params)

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Pass on any other notification."""
        self._talk.notify(method, self._relabelled(params))

    def let_go(self, after: float) -> None:
        """Pass on that the backend let go of the connection."""
        self._talk.let_go(after)

    async def ask(self, question: Question) -> Answer:
        """Pass on a question."""
        return await self._talk.ask(dataclasses.replace(question, params=self._relabelled(question.params)))

    def _relabelled(self, params: Mapping[str, Any]) -> dict[str, Any]:
        meta = words.relabelled(params.get("_meta"), self._theirs, self._ours)
        kept = {key: value for key, value in params.items() if key != "_meta"}
        return {**kept, "_meta": meta} if meta else kept


class Following:
    """One task of a backend, followed by one run."""

    def __init__(self, run: Run, session: Session, invocation: Invocation, task: Sighting) -> None:
        self._run = run
        self._session = session
        self._invocation = invocation
        self._task = task
        self._talk = Labelled(run, task.id, None)
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._refused: Failed | None = None
        backend = run.plan.target.backend if run.plan.target is not None else ""
        self._ear = run.tasks.pushes.follow(backend, task.id, self._told)
        self._over = False

    async def to_the_end(self) -> Outcome:
        """Wait for the end of the task; cancelling the caller cancels the task.

        While it is followed the run's own time limit stands still: the backend tells how its task stands, and a
        backend that no longer does ends the run.
        """
        limit = self._task.ttl or MOST_OF_A_DAY
        watch = self._modern() if self._session.era is Era.MODERN else self._legacy()
        with self._run.unhurried():
            try:
                return await asyncio.wait_for(watch, limit)
            except TimeoutError:
                self._cancel()
                text = f"the task was not over after {limit:g} s, for which its server keeps it"
                return Failed(FailureKind.TIMEOUT, REQUEST_TIMEOUT, text)
            except asyncio.CancelledError:
                self._cancel()
                raise
            finally:
                self._ear.close()
                for asking in self._asking.values():
                    asking.cancel()

    async def _modern(self) -> Outcome:
        """`tasks/get` again and again, at a slow pace while the server tells by itself."""
        failures = 0
        self._ear.at(self._session)
        while True:
            await self._pause()
            if self._refused is not None:
                self._cancel()
                return self._refused
            got = await self._look()
            if not isinstance(got, Completed):
                failures += 1
                if failures >= MOST_FAILURES or not _worth_repeating(got):
                    return got
                continue
            failures = 0
            ended = words.inlined(got.result)
            if ended is not None:
                return ended
            self._seen(words.sighted(got.result))

    def _told(self, params: Mapping[str, Any]) -> None:
        """The server told of the task by itself; the result of one that is over is fetched, for results stay bytes."""
        task = words.seen(params)
        if task is None or self._session.era is Era.LEGACY:
            return
        if task.status.terminal:
            self._over = True
            self._ear.stirred.set()
        else:
            self._seen(task)

    def _seen(self, task: Sighting | None) -> None:
        if task is None:
            return
        self._task = dataclasses.replace(task, id=self._task.id)
        self._run.tasks.said(self._run, task.message)
        for key, request in (task.requests or {}).items():
            if key not in self._asking and isinstance(request, Mapping) and isinstance(request.get("method"), str):
                params = request.get("params")
                question = Question(request["method"], dict(params) if isinstance(params, Mapping) else {})
                self._asking[key] = asyncio.get_running_loop().create_task(self._put(key, question))

    async def _put(self, key: str, question: Question) -> None:
        """One question of a modern task: put, and its answer sent with `tasks/update`."""
        answer = await self._talk.ask(question)
        if answer.result is None:
            text = f"a question of the task was answered with an error: {answer.message}"
            self._refused = Failed(FailureKind.BACKEND_ERROR, answer.code or INTERNAL_ERROR, text)
        else:
            sent = await self._session.invoke(
                self._about("tasks/update", inputResponses={key: answer.result}), Nobody()
            )
            if isinstance(sent, Failed):
                self._refused = sent
        self._ear.stirred.set()

    async def _legacy(self) -> Outcome:
        """`tasks/result` blocks until the end and carries the task's questions; `tasks/get` tells how it stands."""
        loop = asyncio.get_running_loop()
        fetching = loop.create_task(self._session.invoke(self._about("tasks/result"), self._talk))
        failures = 0
        try:
            while True:
                await asyncio.wait({fetching}, timeout=self._interval)
                if fetching.done():
                    return await self._fetched(fetching.result())
                got = await self._look()
                if isinstance(got, Completed):
                    failures = 0
                    self._seen(words.sighted(got.result))
                    continue
                failures += 1
                if not fetching.done() and (failures >= MOST_FAILURES or not _worth_repeating(got)):
                    return got
        finally:
            fetching.cancel()

    async def _fetched(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Completed):
            return Completed(words.without_related(outcome.result, self._task.id), Era.LEGACY, outcome.checked)
        got = await self._look()
        last = words.sighted(got.result) if isinstance(got, Completed) else None
        if last is not None and last.status is TaskStatus.CANCELLED:
            return Failed(FailureKind.CANCELLED, -32800, "cancelled: the server cancelled the task")
        return outcome

    async def _look(self) -> Outcome:
        try:
            return await asyncio.wait_for(self._session.invoke(self._about("tasks/get"), Nobody()), POLL_PATIENCE)
        except TimeoutError:
            text = f"the server did not say within {POLL_PATIENCE:g} s how its task stands"
            return Failed(FailureKind.TIMEOUT, REQUEST_TIMEOUT, text)

    async def _pause(self) -> None:
        """Wait until it is time to look again, or one of our answers was taken."""
        await self._ear.pause(self._interval, hurried=self._over)

    @property
    def _interval(self) -> float:
        return min(max(self._task.poll or POLL_SECONDS, SHORTEST_POLL), LONGEST_POLL)

    def _about(self, method: str, **params: Any) -> Invocation:
        return about(self._invocation, method, self._task.id, **params)

    def _cancel(self) -> None:
        """Tell the server, aside: whoever leaves does not wait for its answer."""
        self._run.tasks.aside(self._courtesy())

    def _courtesy(self) -> Coroutine[Any, Any, Outcome]:
        return asyncio.wait_for(self._session.invoke(self._about("tasks/cancel"), Nobody()), POLL_PATIENCE)


def about(invocation: Invocation, method: str, task: str, **params: Any) -> Invocation:
    """A request about a task, on behalf of the client whose call it carries out."""
    return Invocation(invocation.run, method, {"taskId": task, **params}, {}, invocation.client, name_header=task)


def _worth_repeating(failed: Outcome) -> bool:
    """An outage may pass; a server that answers with an error has said what there is to say."""
    return isinstance(failed, Failed) and failed.kind in {
        FailureKind.UNAVAILABLE,
        FailureKind.DIED,
        FailureKind.TIMEOUT,
    }
