"""A run that has become a task: the port it speaks through from then on, and the face it shows to its client.

The run is the object and the task only its face. Nobody hears the run any more (MCP extension tasks: no progress and no
log messages on tasks); its questions wait until the client answers them with `tasks/update`, or, in the legacy era,
comes for the result with `tasks/result`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, assert_never

import msgspec

from mcp_orchestrator.core.translate.outcomes import to_client
from mcp_orchestrator.core.translate.questions import ELICITATION_COMPLETE, declined, may_ask
from mcp_orchestrator.core.translate.tasks import RELATED, TaskStatus, timestamp, with_related
from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.core.wire.versions import LATEST_LEGACY, LATEST_MODERN
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome, ToolRefusal
from mcp_orchestrator.plugin_api import Port
from mcp_orchestrator.runtime.asking import Asking

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.run import Run

KEPT: Final = 3600.0
"""Seconds from its creation that a task is kept at least."""

KEPT_AFTER_END: Final = 900.0
"""Seconds that the result of a task can be fetched at least."""

POLL_SECONDS: Final = 1.0
_MODERN: Final = ClientFace(Era.MODERN, LATEST_MODERN)
_LEGACY: Final = ClientFace(Era.LEGACY, LATEST_LEGACY)
_LONGEST_MESSAGE: Final = 1000


class TaskFace(Port):
    """One task. `now` is seconds since the epoch; `changed` is called after every change of its status."""

    def __init__(
        self, ident: str, run: Run, expiry: float, now: Callable[[], float], changed: Callable[[TaskFace], None]
    ) -> None:
        self.id = ident
        self.run = run
        self.created = now()
        self.finished = asyncio.Event()
        self.listeners: list[Callable[[], None]] = []
        self._now = now
        self._updated = self.created
        self._message = ""
        self._changed = changed
        self._asking = Asking(expiry, self.touch)
        self._asked = 0
        self._attached: Port | None = None
        self._putting: dict[str, asyncio.Task[None]] = {}

    # -- as the port of the run -----------------------------------------------------------------------------------

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Progress is told as the message of the status; nothing else has a place on a task.

        But whoever came for the result and was asked there to visit an address hears that it was dealt with.
        """
        if method == "notifications/progress":
            self.say(params.get("message"))
        elif method == ELICITATION_COMPLETE and self._attached is not None:
            self._attached.notify(method, params)

    def let_go(self, after: float) -> None:
        """Nobody is connected to a task."""

    def say(self, message: object) -> None:
        """What the task is about just now, for a person."""
        if isinstance(message, str) and message:
            self._message = message[:_LONGEST_MESSAGE]
            self._updated = self._now()

    async def ask(self, question: Question) -> Answer | None:
        """Wait until the client fetches the question and answers it; None when it never declared that it can."""
        if not may_ask(self.run.call.client, question):
            return None
        try:
            self._asked += 1
            return await self._asking.ask(f"q{self._asked}", question) or declined(question)
        finally:
            self.touch()

    # -- for the client -------------------------------------------------------------------------------------------

    @property
    def status(self) -> TaskStatus:
        """Where the run stands."""
        match self.run.ended:
            case None:
                return TaskStatus.INPUT_REQUIRED if self._asking else TaskStatus.WORKING
            case Completed() | ToolRefusal():
                return TaskStatus.COMPLETED
            case Failed(kind):
                return TaskStatus.CANCELLED if kind is FailureKind.CANCELLED else TaskStatus.FAILED
            case never:
                assert_never(never)

    @property
    def ttl(self) -> float:
        """Seconds from the creation after which the task may be forgotten; grows while the run runs."""
        until = self._updated if self.run.ended is not None else self._now()
        return max(KEPT, until - self.created + KEPT_AFTER_END)

    def fields(self, era: Era) -> dict[str, Any]:
        """The task as its creation shows it, in the words of one era."""
        ttl, poll = ("ttlMs", "pollIntervalMs") if era is Era.MODERN else ("ttl", "pollInterval")
        shown = {
            "taskId": self.id,
            "status": self.status.value,
            "createdAt": timestamp(self.created),
            "lastUpdatedAt": timestamp(self._updated),
            ttl: round(self.ttl * 1000),
            poll: round(POLL_SECONDS * 1000),
        }
        return {**shown, "statusMessage": self._message} if self._message else shown

    def creation(self, era: Era) -> Completed:
        """The result of the request that became this task."""
        fields = self.fields(era)
        made = {"resultType": "task", **fields} if era is Era.MODERN else {"task": fields}
        return Completed(encode(made), era)

    def detailed(self) -> dict[str, Any]:
        """The modern task with what its status brings along: open questions, the result or the error."""
        fields = self.fields(Era.MODERN)
        outcome = self.run.ended
        if outcome is None:
            if self._asking:
                fields["inputRequests"] = self._asking.requests()
        elif not isinstance(outcome, Failed) or outcome.kind is not FailureKind.CANCELLED:
            name, _, value = to_client(outcome, self.run.call.method, _MODERN).partition(b":")
            fields[name.strip(b'"').decode()] = msgspec.Raw(value)
        return fields

    def take(self, responses: Mapping[str, Any]) -> str:
        """Hand on the client's answers; returns "" or what is wrong with one of them."""
        wrong = self._asking.take(responses)
        if not wrong:
            self.touch()
        return wrong

    def payload(self) -> Outcome:
        """What a legacy `tasks/result` is answered with once the run is over."""
        outcome = self.run.ended
        if outcome is None or isinstance(outcome, Failed):
            return outcome or Failed(FailureKind.INTERNAL, -32603, "the task is not over")
        name, _, value = to_client(outcome, self.run.call.method, _LEGACY).partition(b":")
        if name != b'"result"':
            return Failed(FailureKind.BAD_ANSWER, -32603, "the server's answer cannot be told in this protocol version")
        return Completed(with_related(value, self.id), Era.LEGACY)

    # -- legacy clients that came for the result ------------------------------------------------------------------

    def attach(self, port: Port) -> None:
        """Ask on this channel from now on, what is open first."""
        self._attached = port
        self._put()

    def detach(self, port: Port) -> None:
        """The channel is gone; what was asked on it waits for the next one."""
        if self._attached is port:
            self._attached = None
            for putting in self._putting.values():
                putting.cancel()
            self._putting.clear()

    def _put(self) -> None:
        port = self._attached
        if port is None:
            return
        for key, question in self._asking.questions().items():
            if key not in self._putting:
                related = {RELATED: {"taskId": self.id}}
                own = question.params.get("_meta")
                meta = {**own, **related} if isinstance(own, Mapping) else related
                asked = Question(question.method, {**question.params, "_meta": meta})
                self._putting[key] = asyncio.get_running_loop().create_task(self._put_one(port, key, asked))

    async def _put_one(self, port: Port, key: str, question: Question) -> None:
        answer = await port.ask(question)
        if answer is not None:
            self._asking.give(key, answer)

    # -- changes --------------------------------------------------------------------------------------------------

    def touch(self) -> None:
        """The status may have changed: note when, put new questions, tell whoever listens."""
        self._updated = self._now()
        if self.run.ended is not None:
            self.finished.set()
        self._put()
        self._changed(self)
        for hear in list(self.listeners):
            hear()
