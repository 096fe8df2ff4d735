"""A door to delegations whose runs follow a script, and our A2A endpoint in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from dataclasses import dataclass, field, replace
from typing import Any

from mcp_orchestrator.agent_api import Glimpse
from mcp_orchestrator.core.answers import answer_of
from mcp_orchestrator.listeners.a2a import A2aListener
from mcp_orchestrator.model.agent import AgentKind, AgentMode, AgentSpec, AgentUsage, Ended, EndStatus
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.delegation import Changes, Delegated, DelegationState
from mcp_orchestrator.model.snapshot import A2aSpec

AGENTS = (
    AgentSpec("coder", AgentKind.CODEX, description="Writes code.", labels=("code", "fast")),
    AgentSpec("reader", AgentKind.CLAUDE_CODE, most_mode=AgentMode.READ),
)


@dataclass
class Run:
    """A run; its script tells its story with `say`, `ask` and `end`."""

    kept: Delegated
    text: str = ""
    questions: dict[str, Question] = field(default_factory=dict)
    tools: list[Any] = field(default_factory=list)
    usage: AgentUsage = field(default_factory=AgentUsage)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    answers: dict[str, asyncio.Future[Any]] = field(default_factory=dict)
    changes: Changes | None = None
    work: asyncio.Task[None] | None = None

    def stir(self, **kept):
        self.kept = replace(self.kept, **kept, updated=time.time())
        self.changed.set()
        self.changed = asyncio.Event()

    def work_on(self):
        self.stir(state=DelegationState.WORKING)

    def say(self, text):
        self.text += text
        self.stir()

    async def ask(self, params):
        key = f"q{len(self.answers) + 1}"
        self.questions[key] = Question("elicitation/create", params)
        self.answers[key] = asyncio.get_running_loop().create_future()
        self.stir()
        answer = await self.answers[key]
        self.stir()
        return answer

    def end(self, status=EndStatus.COMPLETED, text="", **more):
        self.questions.clear()
        self.stir(state=DelegationState.ENDED, ended=Ended(status, text, **more))

    def glimpse(self):
        return Glimpse(self.kept, self.text, dict(self.questions), list(self.tools), self.usage, self.changed)


class FakeDoor:
    """A `DelegationDoor`. `script(run)` is started for every run; `orders` are what was asked for."""

    def __init__(self, script, agents=AGENTS):
        self.script = script
        self.agents = agents
        self.runs = {}
        self.orders = []
        self.refusal = None
        self._numbers = itertools.count(1)

    async def begin(self, task, owner, **wishes):
        if self.refusal is not None:
            raise self.refusal
        self.orders.append((task, wishes))
        now = time.time()
        agent = wishes.get("agent") or self.agents[0].name
        kept = Delegated(
            f"run-{next(self._numbers)}",
            agent,
            "scripted",
            task,
            wishes.get("mode", AgentMode.READ),
            owner.id,
            context=wishes.get("context"),
            created=now,
            updated=now,
        )
        run = self.runs[kept.id] = Run(kept)
        run.work = asyncio.ensure_future(self.script(run))
        return run.glimpse()

    def _run(self, ident, who):
        run = self.runs.get(ident)
        if run is None or run.kept.owner != who.id:
            raise LookupError(f"no run {ident}")
        return run

    async def look(self, ident, who):
        return self._run(ident, who).glimpse()

    async def recent(self, who, limit):
        own = [run.glimpse() for run in self.runs.values() if run.kept.owner == who.id]
        return own[::-1][:limit]

    async def changes(self, ident, who):
        changes = self._run(ident, who).changes
        if changes is None:
            raise ValueError("nothing to look at")
        return changes

    def answer(self, ident, who, key, action, *, option=None, content=None):
        run = self._run(ident, who)
        answer = answer_of(run.questions[key], action, content=content, option=option, by="a2a")
        del run.questions[key]
        run.answers[key].set_result(answer)
        return key

    async def cancel(self, ident, who, reason):
        run = self._run(ident, who)
        if run.kept.ended is None:
            run.work.cancel()
            run.end(EndStatus.CANCELLED, message=reason)
        return run.glimpse()

    async def aclose(self):
        tasks = [run.work for run in self.runs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def endpoint(door, *, listener=A2aListener, **settings):
    """Our A2A listener in front of a door; gives its address."""
    settings.setdefault("port", 0)
    serving = listener(A2aSpec(**settings), door)
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(serving.serve(ready.set_result))
    await asyncio.wait({ready, task}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield ready.result()
    finally:
        await serving.stop(0.0)
        await task
        await door.aclose()
