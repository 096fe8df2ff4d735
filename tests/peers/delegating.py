"""Delegations over agents that do what a test tells them, for the tests of runtime and of the tools of our own."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import anyio
import structlog
from engines import MODERN, Ear, Journal, Store, snapshot, tool_call

from mcp_orchestrator.backends.builtin import Builtin
from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.identity.sealing import AesGcmSealer, new_key
from mcp_orchestrator.model.agent import (
    AgentFacts,
    AgentKind,
    AgentSpec,
    AgentUsage,
    CostSource,
    Ended,
    EndStatus,
    Started,
    Text,
    TroubleKind,
    Used,
)
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.delegation import Applied, Changes, DelegationState, Workspace
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.snapshot import BackendSpec, DelegationSpec, StartPolicy, TransportKind
from mcp_orchestrator.runtime.attachments import Attachments
from mcp_orchestrator.runtime.delegations import Delegations, Order
from mcp_orchestrator.runtime.engine import Engine
from mcp_orchestrator.runtime.gateway import Gateway
from mcp_orchestrator.runtime.generation import Generation
from mcp_orchestrator.runtime.supervisor import Supervisor
from mcp_orchestrator.testing.fake_backend import FakeClock

ADA = Principal("local:ada")
BOB = Principal("local:bob")
DONE = Ended(EndStatus.COMPLETED, "done", evidence="told by the test")


PATIENCE = 5


async def until(delegation, holds):
    """Wait until something is true of a delegation."""
    with anyio.fail_after(PATIENCE):
        while not holds():
            await delegation.changed.wait()


class Agent:
    """An agent whose turns are functions of the test: `work(session, turn, talk)` -> Ended."""

    def __init__(self, name="worker", work=None, *, native="n1", fails=None, **spec):
        self.spec = AgentSpec(name, spec.pop("kind", AgentKind.SCRIPTED), **spec)
        self.work = work or answers("done")
        self.native = native
        self.fails = fails
        self.opened = []
        self.closed = 0
        self.interrupted = 0
        self.turns = []
        self.begun = asyncio.Event()

    async def probe(self):
        return AgentFacts(found=True, version="1")

    async def open(self, opening):
        self.opened.append(opening)
        if self.fails is not None:
            raise BackendError(self.fails, "it cannot be opened")
        return Session(self, opening)

    async def aclose(self):
        pass


class Session:
    """A session of such an agent."""

    def __init__(self, agent, opening):
        self.agent = agent
        self.opening = opening
        self.native = agent.native
        self.pid = None
        self.stop = asyncio.Event()
        self.ended = asyncio.Event()

    async def turn(self, turn, talk):
        self.agent.turns.append(turn)
        self.agent.begun.set()
        return await self.agent.work(self, turn, talk)

    async def interrupt(self):
        self.agent.interrupted += 1
        self.stop.set()

    async def wait_closed(self):
        await self.ended.wait()
        return "closed"

    async def close(self):
        self.agent.closed += 1
        self.ended.set()


def answers(text, **ended):
    """A turn that says one thing and is done."""

    async def work(session, turn, talk):
        talk.event(Started(session=session.native))
        talk.event(Text(text), raw='{"frame": 1}')
        return replace(DONE, text=text, **ended)

    return work


def asks(question, then=lambda answer: DONE):
    """A turn that asks and ends as `then` says."""

    async def work(session, turn, talk):
        return then(await talk.ask(question))

    return work


async def until_stopped(session, turn, talk):
    """A turn that goes on until it is interrupted."""
    talk.event(Started(session=session.native))
    await session.stop.wait()
    return Ended(EndStatus.CANCELLED, evidence="interrupted")


async def deaf(session, turn, talk):
    """A turn that ends only with its agent."""
    await session.ended.wait()
    return Ended(EndStatus.UNKNOWN, trouble=TroubleKind.CRASH, evidence="the process ended")


def spends(*amounts):
    """A turn that tells what it has used so far, and then waits to be stopped."""

    async def work(session, turn, talk):
        for amount in amounts:
            talk.event(Used(AgentUsage(input_tokens=1, cost=amount, cost_source=CostSource.REPORTED)))
        return await until_stopped(session, turn, talk)

    return work


class Kept:
    """A `DelegationStore` in memory; `broken` makes saves fail. `history` is every state that was saved."""

    def __init__(self, *there):
        self.rows = {one.id: one for one in there}
        self.history = []
        self.events = []
        self.broken = False

    async def save(self, delegated):
        if self.broken:
            raise OSError("disk full")
        self.rows[delegated.id] = delegated
        self.history.append(delegated)

    async def unfinished(self):
        return [one for one in self.rows.values() if one.state is not DelegationState.ENDED]

    async def find(self, run):
        return self.rows.get(run)

    async def told(self, run, kind):
        return any(event.run == run and event.kind is kind for event in self.events)

    async def recent(self, owner, limit, before=None):
        chosen = [one for one in self.rows.values() if owner is None or one.owner == owner]
        return sorted(chosen, key=lambda one: -one.created)[:limit]


class Places:
    """`Workspaces` that are mere directories."""

    def __init__(self, tmp_path):
        self.tmp_path = tmp_path
        self.discarded = []
        self.refuses = ""
        self.changed = Changes()
        self.applied = Applied(("a.txt",))

    async def prepare(self, run, given, mode):
        if self.refuses:
            raise ValueError(self.refuses)
        path = self.tmp_path / run
        (path / "scratch").mkdir(parents=True)
        origin = str(given) if given is not None else None
        return Workspace(run, str(path), str(path / "scratch"), mode, origin, origin, "0" * 40 if origin else None)

    async def changes(self, workspace):
        return self.changed

    async def apply(self, workspace):
        return self.applied

    async def discard(self, workspace):
        self.discarded.append(workspace.run)


class House:
    """Everything a test of delegations wants to look at."""

    def __init__(self, tmp_path, *agents, kept=None, **rules):
        self.clock = FakeClock()
        self.journal = Journal()
        self.store = kept or Kept()
        self.store.events = self.journal.events
        self.places = Places(tmp_path)
        self.attachments = Attachments()
        self.engine = Engine(
            self.journal,
            structlog.get_logger(),
            clock=self.clock,
            wall=lambda: 1000.0,
            randomness=bytes,
            trace=True,
        )
        self.delegations = Delegations(self.engine, self.store, self.places, self.attachments)
        self.rules = DelegationSpec(**{"roots": (Path(tmp_path),), **rules})
        self.agents = {agent.spec.name: agent for agent in agents}
        self.delegations.configure(self.agents, self.rules)
        self._count = 0

    def order(self, task="do it", **changes):
        self._count += 1
        return Order(f"r{self._count}", task, **{"owner": ADA, **changes})

    async def begin(self, task="do it", **changes):
        return await self.delegations.begin(self.order(task, **changes))

    async def ended(self, delegation):
        with anyio.fail_after(PATIENCE):
            await delegation.over.wait()
        return delegation.kept.ended

    def events(self, run):
        return [event for event in self.journal.events if event.run == run]


class Front:
    """A gateway whose own tools delegate to the agents of a house."""

    def __init__(self, tmp_path, *agents, **rules):
        self.house = House(tmp_path, *agents, **rules)
        self.builtin = Builtin(self.house.delegations)
        made = snapshot(tmp_path, [])
        engine = self.house.engine
        engine._sealer = engine.stamps = AesGcmSealer(new_key())
        self.gateway = Gateway(engine, Generation(made, {}), Store(), lambda known: known.name, {"name": "t"})
        own = Supervisor(
            BackendSpec(OWN, TransportKind.HTTP, start=StartPolicy.EAGER),
            self.builtin,
            self.gateway,
            clock=self.house.clock,
            chance=lambda: 0.0,
            client_info={"name": "t"},
        )
        self.own = own
        self.gateway.generation = Generation(made, {OWN: own})

    async def __aenter__(self):
        self.own.start()
        with anyio.fail_after(PATIENCE):
            await self.own.settled.wait()
        return self

    async def __aexit__(self, *failure):
        await self.house.delegations.stop()
        await self.house.engine.stop(0.1)
        await self.own.stop()
        await self.gateway.settle_down()

    def start(self, tool, client=MODERN, port=None, who=ADA, **arguments):
        call = replace(tool_call(tool, client, **arguments), principal=who)
        return self.gateway.start(call, port or Ear())

    async def outcome(self, tool, client=MODERN, port=None, who=ADA, **arguments):
        with anyio.fail_after(PATIENCE):
            return await self.start(tool, client, port, who, **arguments).outcome()

    async def result(self, tool, client=MODERN, port=None, who=ADA, **arguments):
        """The result object of a call that completed."""
        return json.loads((await self.outcome(tool, client, port, who, **arguments)).result)

    async def shown(self, tool, client=MODERN, port=None, who=ADA, **arguments):
        """Its structured content."""
        return (await self.result(tool, client, port, who, **arguments))["structuredContent"]
