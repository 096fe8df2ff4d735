"""The tasks of the gateway: runs that became tasks, and tasks of backends under ids of ours; owned and bounded.

An id is opaque and cannot be guessed, and it opens for nobody but its owner. The id of a modern backend's task is
sealed: it carries the way to the task, so that it outlives this process and needs no memory of it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.translate import tasks as words
from mcp_orchestrator.core.translate.tasks import Sighting
from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.call import Call, Era, Principal
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome
from mcp_orchestrator.model.plan import Target
from mcp_orchestrator.model.snapshot import TransportKind
from mcp_orchestrator.runtime.run_events import SHOWN
from mcp_orchestrator.runtime.task_pushes import TaskPushes
from mcp_orchestrator.runtime.task_run import KEPT, TaskFace

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.engine import Engine
    from mcp_orchestrator.runtime.lives import Hold, Lease
    from mcp_orchestrator.runtime.run import Run

SLOW_AFTER: Final = 5.0
"""Seconds after which a running tool call becomes a task, for a client that declared the extension."""

MOST: Final = 1000
MOST_OF_ONE: Final = 100
"""Tasks that are runs, and tasks of backends, of the whole gateway and of one principal; each kind by itself."""

LONGEST_HOLD: Final = 86_400.0
_NOT_OF_THE_TASK: Final = frozenset({"_meta", "result", "error", "resultType"})


@dataclass(slots=True, eq=False)
class Relayed:
    """A task of a backend, known to its owner as `id` and to the backend as `theirs`. `last` is how it was last seen.

    `session` is the legacy client session that it belongs to, `hold` what keeps its backend's process alive.
    """

    id: str
    backend: str
    theirs: str
    era: Era
    owner: Principal
    session: str | None
    run: str
    last: Sighting
    shown: dict[str, Any]
    hold: Hold | None = None
    timer: asyncio.TimerHandle | None = None


class Tasks:
    """The registry. `tell` is called with a run's task after every change of its status."""

    def __init__(self, engine: Engine, slow_after: float) -> None:
        self._engine = engine
        self.slow_after = slow_after
        self.tell: Callable[[TaskFace], None] = lambda _face: None
        self.pushes = TaskPushes()
        self._faces: dict[str, TaskFace] = {}
        self._relayed: dict[str, Relayed] = {}
        self._by_theirs: dict[tuple[str, str], Relayed] = {}
        self._aside: set[asyncio.Task[Any]] = set()

    # -- runs that become tasks -----------------------------------------------------------------------------------

    def may_become(self, run: Run) -> None:
        """Watch the clock of a run whose client can carry a task, each time that it begins to wait for it."""
        if not run.call.client.capabilities.get("extensions"):
            return  # the most frequent sort of client
        if run.call.method == words.CREATING and run.face is None and words.declares(run.call.client):
            if run.when_over is not None:
                run.when_over()
            timer = self._engine.loop.call_later(self.slow_after, self.promote, run)
            run.when_over = timer.cancel

    def promote(self, run: Run, *, ahead: bool = False) -> bool:
        """Make a run a task, and its creation the answer of whoever waits; False when it stays a call.

        A run that waits for its client to come back with answers stays a call, and so does one for which there is no
        room. `ahead`: also when nobody waits yet.
        """
        if run.face is not None:
            return True
        owner = run.call.principal
        if self._full(owner, [face.run.call.principal for face in self._faces.values()]):
            return False
        engine = self._engine
        face = TaskFace(secrets.token_urlsafe(24), run, engine.question_expiry, engine.now, self.tell)
        if not run.hand_over(face, face.creation(run.call.client.era), ahead=ahead):
            return False
        run.face = face
        run.when_over = lambda: self._over(face)
        self._faces[face.id] = face
        self._note(run.id, face.id, run.plan.target.backend if run.plan.target is not None else "", "run")
        return True

    def face(self, ident: str, owner: Principal) -> TaskFace | None:
        """A run's task, for its owner alone."""
        face = self._faces.get(ident)
        return face if face is not None and face.run.call.principal == owner else None

    def said(self, run: Run, message: str) -> None:
        """What a followed task is about just now."""
        if run.face is not None:
            run.face.say(message)

    def _over(self, face: TaskFace) -> None:
        face.touch()
        left = face.created + face.ttl - self._engine.now()
        self._engine.loop.call_later(max(left, 0.0), self._faces.pop, face.id, None)

    # -- tasks of backends ----------------------------------------------------------------------------------------

    def passed_on(self, run: Run, lease: Lease, transport: TransportKind, target: Target, outcome: Outcome) -> Outcome:
        """An outcome on its way to the client: ids of tasks become ours, and what it tells of the task is noted."""
        call = run.call
        if run.face is not None:
            return outcome
        if call.method.startswith("tasks/"):
            return self._about(call, target.name, outcome)
        if call.method != words.CREATING or not isinstance(outcome, Completed) or outcome.era is not call.client.era:
            return outcome
        task = words.created(outcome.result, outcome.era)
        if task is None:
            return outcome
        made = self._relay(run, target.backend, task, outcome)
        if isinstance(made, Failed):
            return made
        if transport is TransportKind.STDIO and not task.status.terminal:
            made.hold = lease.hold()
        return Completed(words.renamed(outcome.result, task.id, made.id), outcome.era)

    def _relay(self, run: Run, backend: str, task: Sighting, outcome: Completed) -> Relayed | Failed:
        call, era = run.call, outcome.era
        sealed = self._engine.stamped_for(call.principal, encode([backend, task.id])) if era is Era.MODERN else None
        if self._full(call.principal, [one.owner for one in self._relayed.values()]):
            if sealed is None:
                text = "too many tasks: this one was begun, but there is no room to remember it"
                return Failed(FailureKind.OVERLOADED, -32603, text)
            self._make_room(call.principal)
        ident = sealed or secrets.token_urlsafe(24)
        shown = decode(outcome.result)
        shown = shown.get("task", shown)
        made = Relayed(ident, backend, task.id, era, call.principal, call.client.session, run.id, task, shown)
        self._relayed[ident] = self._by_theirs[backend, task.id] = made
        kept = min(task.ttl or LONGEST_HOLD, LONGEST_HOLD)
        made.timer = self._engine.loop.call_later(max(kept, KEPT if era is Era.LEGACY else 0.0), self._forget, made)
        self._note(run.id, ident, backend, "relayed")
        return made

    def _make_room(self, owner: Principal) -> None:
        """Forget what was noted of a sealed task: its id goes on working, only its status is no longer watched."""
        sealed = [one for one in self._relayed.values() if one.era is Era.MODERN]
        oldest = next((one for one in sealed if one.owner == owner), sealed[0] if sealed else None)
        if oldest is not None:
            self._forget(oldest)

    def _about(self, call: Call, theirs: str, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Failed):
            text = outcome.message.replace(theirs, call.name) if theirs else outcome.message
            return Failed(outcome.kind, outcome.code, text, outcome.data, outcome.retryable)
        if not isinstance(outcome, Completed):
            return outcome
        task = words.sighted(outcome.result) if call.method in {"tasks/get", "tasks/cancel"} else None
        relayed = self._relayed.get(call.name)
        if relayed is not None and task is not None and task.id == theirs:
            self.note(relayed, task, outcome.result)
        return Completed(words.renamed(outcome.result, theirs, call.name), outcome.era, outcome.checked)

    def note(self, relayed: Relayed, task: Sighting, shown: bytes) -> None:
        """Note how a backend's task stands; `shown` is the task as the backend wrote it."""
        ended = task.status.terminal and not relayed.last.status.terminal
        relayed.last = task
        relayed.shown = {key: value for key, value in decode(shown).items() if key not in _NOT_OF_THE_TASK}
        if ended:
            data = {"task": relayed.id[:SHOWN], "backend": relayed.backend, "status": task.status.value}
            self._engine.record(EventKind.TASK_ENDED, relayed.run, data)
            if relayed.hold is not None:
                relayed.hold.release()
                relayed.hold = None

    def way(self, ident: str, owner: Principal) -> tuple[str, str] | None:
        """(backend, its own id) of a task of this owner; None for every other id."""
        known = self._relayed.get(ident)
        if known is not None:
            return (known.backend, known.theirs) if known.owner == owner else None
        inside = self._engine.opened_for(owner, ident)
        if inside is None:
            return None
        backend, theirs = decode(inside)
        return str(backend), str(theirs)

    def known(self, backend: str, theirs: str) -> Relayed | None:
        """A backend's task by the backend's own id."""
        return self._by_theirs.get((backend, theirs))

    def of(self, owner: Principal, session: str | None) -> tuple[list[TaskFace], list[Relayed]]:
        """The tasks of one legacy client session."""
        faces = [face for face in self._faces.values() if face.run.call.principal == owner]
        relayed = [one for one in self._relayed.values() if one.owner == owner and one.era is Era.LEGACY]
        return (
            [face for face in faces if face.run.call.client.session == session],
            [one for one in relayed if one.session == session],
        )

    def session_gone(self, session: str) -> None:
        """A legacy client is gone, and with it the only way to its backends' tasks."""
        for one in [one for one in self._relayed.values() if one.session == session]:
            self._forget(one)

    def _forget(self, one: Relayed) -> None:
        self._relayed.pop(one.id, None)
        if self._by_theirs.get((one.backend, one.theirs)) is one:
            del self._by_theirs[one.backend, one.theirs]
        if one.timer is not None:
            one.timer.cancel()
        if one.hold is not None:
            one.hold.release()

    # -- both -----------------------------------------------------------------------------------------------------

    def aside(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something that nobody waits for; what goes wrong with it is of no consequence."""
        task = self._engine.loop.create_task(work)
        self._aside.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._aside.discard(task)
        if not task.cancelled():
            task.exception()

    @staticmethod
    def _full(owner: Principal, owners: list[Principal]) -> bool:
        return len(owners) >= MOST or owners.count(owner) >= MOST_OF_ONE

    def _note(self, run: str, ident: str, backend: str, form: str) -> None:
        data = {"task": ident[:SHOWN], "backend": backend, "form": form}
        self._engine.record(EventKind.TASK_CREATED, run, data)
