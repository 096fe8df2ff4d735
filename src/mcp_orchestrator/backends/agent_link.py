"""The lines between us and an agent's process: its frames, our requests that wait, and its questions on their way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

import msgspec

from mcp_orchestrator.backends.agent_process import AgentProcess
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import AgentSpec, AgentUsage, Ended, EndStatus, TroubleKind, Warned
from mcp_orchestrator.model.errors import BackendError

Frame = dict[str, Any]
_Result = TypeVar("_Result")

MOST_BAD_LINES: Final = 5
"""Warnings about lines that are no frames; the rest is skipped without a word."""

_SHOWN: Final = 200


class AgentLink:
    """One process of an agent whose standard output is JSON objects, one a line.

    `on_frame` gets each object with its line. What is no JSON object is skipped and told to `on_warning` (as a
    `Warned`), at most `MOST_BAD_LINES` times.
    """

    def __init__(self, spec: AgentSpec, reaper: Reaper, on_frame: Callable[[Frame, bytes], None]) -> None:
        self.process = AgentProcess(spec, reaper, self._line)
        self._on_frame = on_frame
        self.on_warning: Callable[[Warned, bytes | None], None] = lambda _warned, _raw: None
        self._bad = 0
        self._waiting: dict[Any, asyncio.Future[Frame]] = {}
        self._questions: dict[Any, asyncio.Task[None]] = {}

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one object as a line.

        Raises:
            BackendError: the agent does not read its input.
        """
        self.process.write(msgspec.json.encode(message))

    async def request(self, key: object, message: Mapping[str, Any]) -> Frame | None:
        """Send a request and wait for what `answered` says under the same key; None: the process ended before.

        Raises:
            BackendError: the agent does not read its input.
        """
        waiting: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiting
        try:
            self.send(message)
            return await self.until_over(waiting)
        finally:
            self._waiting.pop(key, None)

    def answered(self, key: object, answer: Frame) -> None:
        """The agent answered a request; one that nobody waits for is no matter."""
        waiting = self._waiting.get(key)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def until_over(self, awaited: asyncio.Future[_Result]) -> _Result | None:
        """Wait for a result, or for the end of the process (None)."""
        over = asyncio.ensure_future(self.process.ended.wait())
        both: set[asyncio.Future[Any]] = {awaited, over}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            return awaited.result() if awaited.done() else None
        finally:
            for one in both:
                one.cancel()

    def question(self, key: object, asking: Coroutine[Any, Any, None]) -> None:
        """Let a question of the agent go its way, so that its other frames are read meanwhile."""
        task = asyncio.get_running_loop().create_task(asking)
        self._questions[key] = task
        task.add_done_callback(lambda _task: self._questions.pop(key, None))

    def withdraw(self, key: object) -> None:
        """The agent no longer wants an answer to this question."""
        task = self._questions.get(key)
        if task is not None:
            task.cancel()

    async def settle(self) -> None:
        """Withdraw all questions: the turn they belong to is over."""
        tasks = tuple(self._questions.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def reply(self, message: Mapping[str, Any]) -> None:
        """Send the answer to a question; an agent that no longer reads has no use for it."""
        try:
            self.send(message)
        except BackendError as error:
            self.on_warning(Warned(f"an answer could not be sent: {error.message}", "protocol"), None)

    def _line(self, line: bytes) -> None:
        try:
            frame = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            frame = None
        if isinstance(frame, dict):
            self._on_frame(frame, line)
            return
        self._bad += 1
        if self._bad <= MOST_BAD_LINES:
            shown = line[:_SHOWN].decode("utf-8", "replace")
            more = "; further ones are skipped without a word" if self._bad == MOST_BAD_LINES else ""
            self.on_warning(Warned(f"a line that is no JSON object was skipped: {shown!r}{more}", "protocol"), line)


def cut_off(
    process: AgentProcess, *, sent: bool, interrupted: bool, closed: bool, text: str, usage: AgentUsage
) -> Ended:
    """The end of a turn whose process ended before it told the end itself.

    `sent`: the prompt was sent; `interrupted`, `closed`: we had asked for that end.
    """
    words = "; ".join(process.stderr[-3:])
    evidence = f"the process {process.why}" + (f"; its last words: {words}" if words else "")
    if interrupted:
        return Ended(EndStatus.CANCELLED, text, usage=usage, evidence=f"it was interrupted, then {evidence}")
    if closed:
        message = "its session was closed before it told how the turn ended"
        return Ended(EndStatus.UNKNOWN, text, message=message, usage=usage, evidence=evidence)
    if not sent:
        message = f"the agent ended before it was given the task: {evidence}"
        return Ended(EndStatus.FAILED, trouble=TroubleKind.CRASH, message=message, retryable=True, evidence=evidence)
    message = f"the agent ended in the middle of its turn: {evidence}"
    return Ended(EndStatus.UNKNOWN, text, trouble=TroubleKind.CRASH, message=message, usage=usage, evidence=evidence)


def whole(value: object) -> int | None:
    """A count that an agent told, or None for anything else."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


def record(value: object) -> Frame:
    """An object of a frame, or an empty one: agents leave out, or change, what is not there."""
    return value if isinstance(value, dict) else {}


def listed(value: object) -> list[Frame]:
    """The objects of an array of a frame."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def words_of(value: object) -> str:
    """A text of a frame, or an empty one."""
    return value if isinstance(value, str) else ""
