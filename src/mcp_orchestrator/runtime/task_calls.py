"""Requests about tasks: who may ask for which, and from where the answer comes.

MCP extension tasks (`tasks/get`, `tasks/update`, `tasks/cancel`) for modern clients; MCP 2025-11-25
basic/utilities/tasks (`tasks/get`, `tasks/result`, `tasks/list`, `tasks/cancel`) for legacy ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.plan import task_plan
from mcp_orchestrator.core.policing import NO_WORLD
from mcp_orchestrator.core.translate import tasks as words
from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.model.call import Call, Era, Invocation
from mcp_orchestrator.model.errors import INVALID_PARAMS, METHOD_NOT_FOUND, REQUEST_CANCELLED, BackendError
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome
from mcp_orchestrator.plugin_api import Port, RunHandle
from mcp_orchestrator.runtime.lives import Nobody
from mcp_orchestrator.runtime.task_run import TaskFace

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.engine import Engine
    from mcp_orchestrator.runtime.generation import Generation
    from mcp_orchestrator.runtime.tasks import Relayed

LIST_PATIENCE: Final = 5.0
"""Seconds in which backends may tell how the tasks of a list stand; after that they are shown as last seen."""


class Said:
    """A `RunHandle` whose outcome is known at once: answers of our own are no runs and leave no trace."""

    id = ""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    async def outcome(self) -> Outcome:
        """The answer."""
        return self._outcome

    def cancel(self, reason: str) -> None:
        """Too late."""


class Awaited:
    """A `RunHandle` around something that takes a while; cancelling it leaves the task that it asks about alone."""

    id = ""

    def __init__(self, work: Any, ended: Callable[[], None] = lambda: None) -> None:
        self._work: asyncio.Task[Outcome] = asyncio.get_running_loop().create_task(work)
        self._work.add_done_callback(lambda _done: ended())
        self._reason = ""

    async def outcome(self) -> Outcome:
        """Wait for it."""
        await asyncio.wait({self._work})
        if self._work.cancelled():
            return Failed(FailureKind.CANCELLED, REQUEST_CANCELLED, f"cancelled: {self._reason}")
        return self._work.result()

    def cancel(self, reason: str) -> None:
        """Wait no longer."""
        self._reason = reason
        self._work.cancel()


class TaskCalls:
    """Answers requests about tasks. `generation` gives the backends of now."""

    def __init__(self, engine: Engine, generation: Callable[[], Generation]) -> None:
        self._engine = engine
        self._tasks = engine.tasks
        self._generation = generation

    def start(self, call: Call, port: Port) -> RunHandle:
        """Answer, or go to the backend whose task it is."""
        refused = self._refusal(call)
        if refused is not None:
            return Said(refused)
        if call.method == "tasks/list":
            return Awaited(self._list(call))
        face = self._tasks.face(call.name, call.principal)
        if face is not None:
            return self._of_run(face, call, port)
        way = self._tasks.way(call.name, call.principal)
        supervisor = self._generation().supervisors.get(way[0]) if way is not None else None
        if way is None or supervisor is None:
            return Said(words.not_found())
        policing = self._engine.policing
        world = policing.world() if policing is not None else NO_WORLD
        plan = task_plan(call, way[0], way[1], self._generation().rules, world)
        return self._engine.start(call, plan, port, supervisor)

    def _refusal(self, call: Call) -> Failed | None:
        modern = call.client.era is Era.MODERN
        if call.method not in (words.MODERN_METHODS if modern else words.LEGACY_METHODS):
            text = f"Method not found: {call.method}"
            return Failed(FailureKind.UNKNOWN_NAME, METHOD_NOT_FOUND, text, {"method": call.method})
        if modern and not words.declares(call.client):
            return words.missing_capability()
        if call.method != "tasks/list" and not call.name:
            return Failed(FailureKind.INVALID, INVALID_PARAMS, f"{call.method}: taskId must be a string")
        if call.method == "tasks/list" and call.params.get("cursor") is not None:
            text = "Invalid cursor: the list of tasks is one page, so that no cursor is ours"
            return Failed(FailureKind.INVALID, INVALID_PARAMS, text)
        responses = call.params.get("inputResponses")
        if call.method == "tasks/update" and not isinstance(responses, Mapping):
            return Failed(FailureKind.INVALID, INVALID_PARAMS, "tasks/update: inputResponses must be an object")
        return None

    # -- tasks that are runs --------------------------------------------------------------------------------------

    def _of_run(self, face: TaskFace, call: Call, port: Port) -> RunHandle:
        modern = call.client.era is Era.MODERN
        match call.method:
            case "tasks/get":
                shown = {"resultType": "complete", **face.detailed()} if modern else face.fields(Era.LEGACY)
                return Said(Completed(encode(shown), call.client.era, checked=False))
            case "tasks/update":
                wrong = face.take(call.params["inputResponses"])
                if wrong:
                    return Said(Failed(FailureKind.INVALID, INVALID_PARAMS, f"tasks/update: {wrong}"))
                return Said(Completed(words.ACKNOWLEDGED, Era.MODERN))
            case "tasks/cancel":
                return _cancel(face, modern=modern)
            case _:
                face.attach(port)
                return Awaited(_payload(face), lambda: face.detach(port))

    # -- tasks of backends ----------------------------------------------------------------------------------------

    async def _list(self, call: Call) -> Outcome:
        """`tasks/list` of a legacy client: what its session has begun, each as it stands now."""
        faces, relayed = self._tasks.of(call.principal, call.client.session)
        running = [one for one in relayed if not one.last.status.terminal]
        if running:
            looks = [asyncio.ensure_future(self._look(call, one)) for one in running]
            _, late = await asyncio.wait(looks, timeout=LIST_PATIENCE)
            for look in late:
                look.cancel()
        shown = [face.fields(Era.LEGACY) for face in faces] + [{**one.shown, "taskId": one.id} for one in relayed]
        return Completed(encode({"tasks": shown}), Era.LEGACY)

    async def _look(self, call: Call, one: Relayed) -> None:
        supervisor = self._generation().supervisors.get(one.backend)
        if supervisor is None:
            return
        try:
            lease = await supervisor.lease(call.client, call.principal.id)
        except BackendError:
            return
        try:
            request = Invocation("", "tasks/get", {"taskId": one.theirs}, {}, call.client)
            outcome = await lease.session.invoke(request, Nobody())
        finally:
            lease.release()
        task = words.sighted(outcome.result) if isinstance(outcome, Completed) else None
        if isinstance(outcome, Completed) and task is not None:
            self._tasks.note(one, task, outcome.result)


async def _payload(face: TaskFace) -> Outcome:
    await face.finished.wait()
    return face.payload()


async def _cancelled(face: TaskFace) -> Outcome:
    await face.finished.wait()
    return Completed(encode(face.fields(Era.LEGACY)), Era.LEGACY)


def _cancel(face: TaskFace, *, modern: bool) -> RunHandle:
    if not modern and face.status.terminal:
        text = f"Cannot cancel task: it is {face.status.value} already"
        return Said(Failed(FailureKind.INVALID, INVALID_PARAMS, text))
    face.run.cancel("the client cancelled the task")
    return Said(Completed(words.ACKNOWLEDGED, Era.MODERN)) if modern else Awaited(_cancelled(face))
