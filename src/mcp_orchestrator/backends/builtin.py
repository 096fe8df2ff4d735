"""The gateway's own tools as a backend: `delegate` and the `run_*` tools, planned and journalled like any other call."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mcp_orchestrator.agent_api import LongTalk
from mcp_orchestrator.backends import builtin_results
from mcp_orchestrator.backends.builtin_compared import shown_compared
from mcp_orchestrator.backends.builtin_orders import ordered
from mcp_orchestrator.backends.builtin_replies import Reply, refusal, reply_of, shown_run
from mcp_orchestrator.core.delegating import shown_changes, status_word
from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.core.own_tools import definitions, instructions
from mcp_orchestrator.core.selecting import READER
from mcp_orchestrator.core.translate import tasks as words
from mcp_orchestrator.core.translate.questions import may_ask
from mcp_orchestrator.core.wire.versions import LATEST_MODERN
from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.call import Era, Invocation, Principal
from mcp_orchestrator.model.catalog import OfferKind, Offers
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.delegation import Delegated
from mcp_orchestrator.model.errors import METHOD_NOT_FOUND
from mcp_orchestrator.model.outcome import Failed, FailureKind, Outcome
from mcp_orchestrator.plugin_api import Backend, ListChanged, Opening, Session, Talk
from mcp_orchestrator.runtime.delegation import Delegation, OpenQuestion
from mcp_orchestrator.runtime.delegations import Delegations
from mcp_orchestrator.runtime.orders import DelegationError

HEARTBEAT: Final = 10.0
"""Seconds between two signs of life while a client waits: many clients begin their time limit anew with each."""

_LEAVES_IT: Final = frozenset(
    {
        "client disconnected",
        "the client is gone",
        "the client ended the session",
        "the session was idle for too long",
        "the gateway needed room for a new session",
        "the listener closes",
        "the gateway is stopping",
    }
)
"""Why a call is cancelled without a client wanting it: the delegation goes on, and can be asked about."""


class Builtin(Backend):
    """Makes the one session; `changed` tells it that the agents are others now."""

    def __init__(self, delegations: Delegations) -> None:
        self._delegations = delegations
        self._session: BuiltinSession | None = None

    @property
    def name(self) -> str:
        """The name that no server can have."""
        return OWN

    @property
    def eras(self) -> Sequence[Era]:
        """Ours."""
        return (Era.MODERN,)

    async def open(self, opening: Opening) -> Session:
        """Nothing needs to be opened."""
        self._session = BuiltinSession(self._delegations, opening)
        return self._session

    def changed(self) -> None:
        """The agents are others: the tools are described anew."""
        if self._session is not None:
            self._session.changed()

    async def aclose(self) -> None:
        """Nothing to release."""


class BuiltinSession(Session):
    """Carries the tools out."""

    def __init__(self, delegations: Delegations, opening: Opening) -> None:
        self._delegations = delegations
        self._opening = opening
        self._closed = asyncio.Event()
        self._tools: Mapping[str, Callable[[_Asked], Any]] = {
            "delegate": self._delegate,
            "run_list": self._list,
            "run_status": self._status,
            "run_answer": self._answer,
            "run_cancel": self._cancel,
            "run_changes": self._changes,
            "run_apply": self._apply,
        }

    @property
    def era(self) -> Era:
        """Modern: clients of the other era are translated for like with any backend."""
        return Era.MODERN

    @property
    def pid(self) -> int | None:
        """No process."""
        return None

    async def offers(self) -> Offers:
        """The tools, as the agents of now make them; none without agents."""
        specs = self._delegations.specs
        wait, results = self._delegations.rules.wait, self._delegations.engine.results
        labels = self._delegations.steering.routes.labels
        tools = definitions(specs, wait, labels) if specs or self._delegations.has_runs else ()
        return Offers(
            backend=OWN,
            era=Era.MODERN,
            version=LATEST_MODERN,
            capabilities={"tools": {"listChanged": True}, **({} if results is None else builtin_results.CAPABILITY)},
            instructions=instructions(specs) if specs else None,
            tools=(*tools, *(() if results is None else builtin_results.TOOLS)),
            templates=() if results is None else builtin_results.TEMPLATES,
            taken_at=self._delegations.engine.now(),
        )

    def changed(self) -> None:
        """Have the offers looked at anew."""
        self._opening.on_event(ListChanged(OfferKind.TOOL))

    async def invoke(self, invocation: Invocation, talk: Talk) -> Outcome:
        """Carry out one tool call, or a read of a kept result."""
        name = str(invocation.params.get("name"))
        results = self._delegations.engine.results
        if invocation.method == "resources/read" or (name == READER and results is not None):
            return await builtin_results.read(results, invocation)
        work = self._tools.get(name) if invocation.method == "tools/call" else None
        if work is None:
            text = f"the gateway itself has no {invocation.method} {name}"
            return Failed(FailureKind.UNKNOWN_NAME, METHOD_NOT_FOUND, text, retryable=True)
        try:
            made: Reply = await work(_Asked(invocation, talk))
        except (DelegationError, LookupError, ValueError) as error:
            return refusal(str(error.args[0] if error.args else error))
        return made.outcome()

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Nothing of a client's notifications concerns us."""

    async def wait_closed(self) -> str:
        """Until closed."""
        await self._closed.wait()
        return "closed"

    async def close(self) -> None:
        """End."""
        self._closed.set()

    # -- the tools ------------------------------------------------------------------------------------------------

    async def _delegate(self, asked: _Asked) -> Reply:
        order = ordered(asked.invocation, asked.arguments, asked.word("task"))
        try:
            delegation = await self._delegations.begin(order)
        except asyncio.CancelledError:
            if reason := _unwanted(asked.talk):
                self._delegations.call_off(order.run, reason)
            raise
        talk = asked.talk
        as_task = isinstance(talk, LongTalk) and words.declares(asked.invocation.client) and talk.become_task()
        wait = None if as_task else _seconds(asked.arguments.get("wait"), self._delegations.rules.wait)
        return await self._attend(asked, delegation, wait)

    async def _attend(self, asked: _Asked, delegation: Delegation, wait: float | None) -> Reply:
        """Stay with a run until it ends, asks what the client cannot be asked, or the wait is over."""
        attending = _Attending(asked, delegation, wait)
        try:
            await attending.through()
        except asyncio.CancelledError:
            if reason := _unwanted(asked.talk):
                delegation.cancel(reason)
            raise
        finally:
            attending.leave()
        return await self._shown(delegation.kept, delegation)

    async def _list(self, asked: _Asked) -> Reply:
        limit = int(asked.arguments.get("limit") or 20)
        kept = await self._delegations.recent(asked.principal, 200 if asked.arguments.get("open") else limit)
        if asked.arguments.get("open"):
            kept = [one for one in kept if one.ended is None][:limit]
        runs = [self._line(one, asked.principal) for one in kept]
        text = "\n".join(f"{one['run']} {one['agent']} {one['status']}: {one['task']}" for one in runs) or "no runs"
        return Reply({"runs": runs}, text)

    async def _status(self, asked: _Asked) -> Reply:
        run, wait = asked.word("run"), _seconds(asked.arguments.get("wait"), 0.0)
        kept = await self._delegations.find(run, asked.principal)
        delegation = self._delegations.live(run, asked.principal)
        if delegation is not None and kept.ended is None and wait > 0:
            return await self._attend(asked, delegation, wait)
        return await self._shown(kept, delegation)

    async def _answer(self, asked: _Asked) -> Reply:
        run, arguments = asked.word("run"), asked.arguments
        if asked.principal.kind == "agent":
            raise ValueError("a person must answer this; it was put to the caller of the run that you work for")
        kept = await self._delegations.find(run, asked.principal)
        delegation = self._delegations.live(run, asked.principal)
        self._delegations.check_ours(kept)
        if delegation is None or kept.ended is not None:
            raise LookupError(f"run '{run}' has ended ({status_word(kept, asks=False)}); nothing is asked any more")
        content = arguments.get("content")
        key = delegation.answer(
            arguments.get("question"),
            str(arguments.get("action") or "accept"),
            option=arguments.get("option"),
            content=content if isinstance(content, Mapping) else None,
            by=f"run_answer by {asked.principal.id}",
        )
        answered = {"run": run, "question": key, "status": "answered"}
        return Reply(answered, f"question {key} of run {run} is answered; run_status tells how it goes on")

    async def _cancel(self, asked: _Asked) -> Reply:
        run = asked.word("run")
        kept = await self._delegations.cancel(run, asked.principal, f"cancelled by {asked.principal.id}")
        return await self._shown(kept, self._delegations.live(run, asked.principal), judge=False)

    async def _changes(self, asked: _Asked) -> Reply:
        run = asked.word("run")
        changes = await self._delegations.changes(run, asked.principal)
        return Reply({"run": run, **shown_changes(changes, diff=True)}, changes.diff or "no changes")

    async def _apply(self, asked: _Asked) -> Reply:
        run = asked.word("run")
        applied = await self._delegations.apply(run, asked.principal)
        if applied.conflicts:
            lines = [f"- {path}: {why}" for path, why in applied.conflicts.items()]
            text = "\n".join(["nothing was applied; these files are in conflict:", *lines])
            return Reply({"run": run, "applied": [], "conflicts": dict(applied.conflicts)}, text, is_error=True)
        text = f"{len(applied.files)} files were written" if applied.files else "there was nothing to apply"
        return Reply({"run": run, "applied": list(applied.files), "conflicts": {}}, text)

    # -- how runs are shown ---------------------------------------------------------------------------------------

    async def _shown(self, kept: Delegated, delegation: Delegation | None, *, judge: bool = True) -> Reply:
        changes = None
        if kept.ended is not None and kept.mode is AgentMode.WRITE and kept.workspace is not None:
            try:
                changes = await self._delegations.workspaces.changes(kept.workspace)
            except ValueError:
                changes = None  # the workspace is gone: what was in it is told by run_changes
        shown = shown_run(kept, delegation, changes)
        if kept.compared:
            shown |= await shown_compared(self._delegations, kept)
        return reply_of(shown, judge=judge)

    def _line(self, kept: Delegated, who: Principal) -> dict[str, Any]:
        live = self._delegations.live(kept.id, who)
        return {
            "run": kept.id,
            "agent": kept.agent,
            "status": status_word(kept, asks=live is not None and bool(live.open)),
            "task": kept.task[:200],
            "mode": kept.mode.value,
            "created": kept.created,
        }


class _Asked:
    """One call of a tool of ours."""

    def __init__(self, invocation: Invocation, talk: Talk) -> None:
        self.invocation = invocation
        self.talk = talk
        arguments = invocation.params.get("arguments")
        given = arguments if isinstance(arguments, Mapping) else {}
        self.arguments = {name: value for name, value in given.items() if value is not None}

    @property
    def principal(self) -> Principal:
        """Who calls."""
        return self.invocation.principal

    def word(self, name: str) -> str:
        """An argument that must be there. Raises ValueError."""
        value = self.arguments.get(name)
        if not isinstance(value, str) or not value:
            raise ValueError(f"'{name}' must be a non-empty text")
        return value


class _Attending:
    """A call that stays with a run: it passes signs of life on, and questions to a client that can be asked."""

    def __init__(self, asked: _Asked, delegation: Delegation, wait: float | None) -> None:
        self._asked = asked
        self._delegation = delegation
        self._putting: dict[str, asyncio.Task[None]] = {}
        self._left_open: set[str] = set()
        self._wait = wait
        self._beats = 0

    async def through(self) -> None:
        """Until the end, a question that the client does not answer, or so many seconds (None: for ever)."""
        loop, delegation = asyncio.get_running_loop(), self._delegation
        end = None if self._wait is None else loop.time() + self._wait
        while not delegation.over.is_set():
            changed = delegation.changed
            if self._must_tell():
                return
            left = math.inf if end is None or self._putting else end - loop.time()
            if left <= 0:
                return
            try:
                async with asyncio.timeout(min(left, HEARTBEAT)):
                    await changed.wait()
            except TimeoutError:
                if left > HEARTBEAT:  # never just before the result
                    self._beat()

    def leave(self) -> None:
        """The call ends: what was being asked is asked elsewhere."""
        for task in self._putting.values():
            task.cancel()

    def _must_tell(self) -> bool:
        """Put new questions to the client; True when one is open that it cannot be asked.

        An agent is not asked what the agent it delegated to asks: that has gone up to a person already.
        """
        if self._asked.principal.kind == "agent":
            return False
        for key, waiting in list(self._delegation.open.items()):
            if waiting.answered.done() or (key in self._putting and key not in self._left_open):
                continue
            if key in self._left_open or not may_ask(self._asked.invocation.client, waiting.question):
                return True
            self._putting[key] = asyncio.get_running_loop().create_task(self._put(waiting))
        for key, task in list(self._putting.items()):
            if task.done() or key not in self._delegation.open:
                task.cancel()  # somebody else has answered
                del self._putting[key]
        return False

    async def _put(self, waiting: OpenQuestion) -> None:
        answer: Answer = await self._asked.talk.ask(waiting.question)
        if self._wait is not None and _is_none(answer):
            self._left_open.add(waiting.key)  # the call ends and tells it; somebody else may answer
        else:
            self._delegation.give(waiting.key, answer)
        self._delegation.stir()

    def _beat(self) -> None:
        self._beats += 1
        said = self._delegation.text[-120:].strip().replace("\n", " ")
        message = f"{self._delegation.kept.agent}: {said or self._delegation.status}"
        self._asked.talk.progress({"progress": self._beats, "message": message})


def _is_none(answer: Answer) -> bool:
    """Whether a client left it open: `cancel`, which `claude -p` sends unseen, is no choice (MCP client/elicitation)."""
    return answer.result is None or answer.by != "client" or answer.result.get("action") == "cancel"


def _unwanted(talk: Talk) -> str:
    """Why the run is to end with its cancelled call, or "": a client that only went away leaves it."""
    reason = talk.cancelled_because if isinstance(talk, LongTalk) else ""
    return f"the client cancelled the call: {reason}" if reason and reason not in _LEAVES_IT else ""


def _seconds(given: Any, default: float) -> float:
    return float(given) if isinstance(given, int | float) else default
