"""Tells clients how their tasks go on: modern ones that listen for it, and the legacy session that began the task.

What a backend says of its tasks is passed on. While somebody listens, a modern backend is asked to tell, and looked at as
often as it wants to be; seldom where it agreed to tell (MCP extension tasks, status notifications are optional).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.translate import tasks as words
from mcp_orchestrator.core.translate.tasks import Sighting
from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.call import ClientFace, Era, Invocation, Principal
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import Completed
from mcp_orchestrator.plugin_api import ClientEvent, Session, TaskChanged
from mcp_orchestrator.runtime.lives import Nobody
from mcp_orchestrator.runtime.task_following import LONGEST_POLL, POLL_PATIENCE, POLL_SECONDS, SHORTEST_POLL
from mcp_orchestrator.runtime.task_pushes import Ear
from mcp_orchestrator.runtime.task_run import TaskFace

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.engine import Engine
    from mcp_orchestrator.runtime.generation import Generation

Hear = Callable[[ClientEvent], None]

MOST_FAILURES: Final = 5
_TOLD_BY: Final = ("status", "statusMessage", "inputRequests", "ttlMs", "result", "error")


@dataclass(slots=True, eq=False)
class Follower:
    """Somebody who hears of a backend's task, which the client knows as `id`. `told` is what it heard last."""

    id: str
    backend: str
    theirs: str
    hear: Hear
    told: Mapping[str, Any] | None = None
    over: bool = False

    def take(self, params: Mapping[str, Any]) -> None:
        """Tell the state of the task if it is news."""
        told = {key: params[key] for key in _TOLD_BY if key in params}
        task = words.seen(params)
        if self.over or task is None or told == self.told:
            return
        self.told = told
        self.over = task.status.terminal
        meta = words.relabelled(params.get("_meta"), self.theirs, self.id)
        kept = {key: value for key, value in params.items() if key not in {"_meta", "resultType"}}
        self.hear(TaskChanged({**kept, "taskId": self.id, **({"_meta": meta} if meta else {})}))


class TaskNews:
    """Who hears of which task. `to_session` tells one legacy client session."""

    def __init__(
        self, engine: Engine, generation: Callable[[], Generation], to_session: Callable[[str, ClientEvent], None]
    ) -> None:
        self._engine = engine
        self._generation = generation
        self._to_session = to_session
        engine.tasks.tell = self._of_run

    def follow(
        self, owner: Principal, client: ClientFace, tasks: Sequence[str], hear: Hear
    ) -> tuple[list[str], Callable[[], None]]:
        """Hear of tasks of this owner; returns those that there are, and the idempotent way to stop."""
        found: list[str] = []
        stops: list[Callable[[], None]] = []
        for ident in dict.fromkeys(tasks):
            stop = self._follow(ident, owner, client, hear)
            if stop is not None:
                found.append(ident)
                stops.append(stop)

        def stop_all() -> None:
            while stops:
                stops.pop()()

        return found, stop_all

    def heard(self, backend: str, params: Mapping[str, Any]) -> None:
        """A backend session told of a task; what nobody began through us is nobody's business."""
        task = words.seen(params)
        if task is None:
            return
        self._engine.tasks.pushes.heard(backend, task.id, params)
        relayed = self._engine.tasks.known(backend, task.id)
        if relayed is None:
            return
        self._engine.tasks.note(relayed, task, encode(params))
        if relayed.session is not None:
            meta = words.relabelled(params.get("_meta"), task.id, relayed.id)
            event = TaskChanged({**params, "taskId": relayed.id, **({"_meta": meta} if meta else {})})
            self._to_session(relayed.session, event)

    def _of_run(self, face: TaskFace) -> None:
        session = face.run.call.client.session
        if session is not None:
            self._to_session(session, TaskChanged(face.fields(Era.LEGACY)))

    def _follow(self, ident: str, owner: Principal, client: ClientFace, hear: Hear) -> Callable[[], None] | None:
        face = self._engine.tasks.face(ident, owner)
        if face is not None:
            listener = lambda: hear(TaskChanged(face.detailed()))  # noqa: E731 - one line
            face.listeners.append(listener)
            if face.status.terminal:
                self._engine.loop.call_soon(listener)  # whoever listens now would wait in vain
            return lambda: face.listeners.remove(listener) if listener in face.listeners else None
        way = self._engine.tasks.way(ident, owner)
        if way is None or way[0] not in self._generation().supervisors:
            return None
        follower = Follower(ident, *way, hear)

        def told(params: Mapping[str, Any]) -> None:
            follower.take(params)
            if follower.over:
                ear.stirred.set()

        ear = self._engine.tasks.pushes.follow(*way, told)
        asking = self._engine.loop.create_task(self._ask(follower, ear, client, owner))

        def stop() -> None:
            ear.close()
            asking.cancel()

        return stop

    async def _ask(self, follower: Follower, ear: Ear, client: ClientFace, owner: Principal) -> None:
        """Look at a backend's task again and again, until it is over or cannot be seen any more."""
        try:
            await self._look_on(follower, ear, client, owner)
        finally:
            ear.close()

    async def _look_on(self, follower: Follower, ear: Ear, client: ClientFace, owner: Principal) -> None:
        failures = 0
        while not follower.over and failures < MOST_FAILURES:
            supervisor = self._generation().supervisors.get(follower.backend)
            if supervisor is None:
                return
            task, shown = None, b""
            try:
                lease = await supervisor.lease(client, owner.id)
            except BackendError:
                failures += 1
            else:
                try:
                    ear.at(lease.session)
                    task, shown = await _look(lease.session, follower.theirs, client)
                finally:
                    lease.release()
                failures = 0 if task is not None else failures + 1
            if task is not None:
                self._seen(follower, task, shown)
            poll = task.poll if task is not None and task.poll is not None else POLL_SECONDS
            if not follower.over:
                await ear.pause(min(max(poll, SHORTEST_POLL), LONGEST_POLL))

    def _seen(self, follower: Follower, task: Sighting, shown: bytes) -> None:
        params = decode(shown)
        if follower.told is None and not task.status.terminal:
            follower.told = {key: params[key] for key in _TOLD_BY if key in params}  # what it was when it began
        relayed = self._engine.tasks.known(follower.backend, task.id)
        if relayed is not None:
            self._engine.tasks.note(relayed, task, shown)
        follower.take(params)


async def _look(session: Session, task: str, client: ClientFace) -> tuple[Sighting | None, bytes]:
    request = Invocation("", "tasks/get", {"taskId": task}, {}, client, name_header=task)
    try:
        outcome = await asyncio.wait_for(session.invoke(request, Nobody()), POLL_PATIENCE)
    except TimeoutError:
        return None, b""
    return (words.sighted(outcome.result), outcome.result) if isinstance(outcome, Completed) else (None, b"")
