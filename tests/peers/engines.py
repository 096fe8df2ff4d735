"""A whole engine over fake backends, for the tests of runtime."""

import contextlib

import structlog

from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era, Principal
from mcp_orchestrator.model.snapshot import BackendSpec, HttpSpec, ProfileSpec, Snapshot, StorageSpec, TransportKind
from mcp_orchestrator.runtime.engine import Engine
from mcp_orchestrator.runtime.gateway import Gateway
from mcp_orchestrator.runtime.generation import Generation
from mcp_orchestrator.runtime.supervisor import Supervisor
from mcp_orchestrator.testing.fake_backend import FakeBackend, FakeClock

MODERN = ClientFace(Era.MODERN, "2026-07-28")
QUIET = ClientFace(Era.LEGACY, "2025-11-25", session="quiet")


def asking(session):
    """A legacy client that can answer questions."""
    return ClientFace(Era.LEGACY, "2025-11-25", {"elicitation": {}}, {"name": "c"}, session)


class Journal:
    """Keeps events in a list; `broken` makes commits fail."""

    def __init__(self):
        self.events = []
        self.broken = False

    def record(self, event):
        self.events.append(event)

    async def commit(self):
        if self.broken:
            raise OSError("disk full")

    def kinds(self):
        return [event.kind.value for event in self.events]


class Store:
    """An OfferStore in memory."""

    def __init__(self):
        self.offers = {}
        self.eras = {}

    async def load(self):
        return self.offers

    async def save(self, fingerprint, offers):
        self.offers[fingerprint, offers.era.value] = offers

    async def load_eras(self):
        return self.eras

    async def save_era(self, fingerprint, era, works):
        self.eras.setdefault(fingerprint, {})[era] = works


class Ear:
    """A Port that keeps what it hears and answers with `answer`."""

    def __init__(self, answer=None):
        self.heard = []
        self.asked = []
        self.answer = answer

    def notify(self, method, params):
        self.heard.append((method, params))

    def let_go(self, after):
        self.heard.append(("let go", after))

    async def ask(self, question):
        self.asked.append(question)
        return self.answer


def spec(name, transport=TransportKind.STDIO, **changes):
    return BackendSpec(name, transport, command="none", **{"idle_stop": 60.0, **changes})


def snapshot(tmp_path, specs, **changes):
    backends = {made.name: made for made in specs}
    profiles = {"narrow": ProfileSpec("narrow", include=("one.*",))}
    return Snapshot("test", "0", backends, profiles, HttpSpec(), StorageSpec(tmp_path / "state.db"), **changes)


class Whole:
    """Everything a test of the engine wants to look at."""

    def __init__(self, tmp_path, *backends, specs=None, **changes):
        self.clock = FakeClock()
        self.journal = Journal()
        self.store = Store()
        self.backends = {backend.name: backend for backend in backends}
        specs = specs or [spec(backend.name) for backend in backends]
        self.engine = Engine(
            self.journal,
            structlog.get_logger(),
            clock=self.clock,
            wall=lambda: 0.0,
            randomness=bytes,
            trace=True,
        )
        made = snapshot(tmp_path, specs, **changes)
        generation = Generation(made, {})
        self.gateway = Gateway(self.engine, generation, self.store, lambda known: known.name, {"name": "t"})
        supervisors = {known.name: self.supervise(known) for known in specs}
        self.gateway.generation = Generation(made, supervisors)

    def supervise(self, known, backend=None):
        return Supervisor(
            known,
            backend or self.backends[known.name],
            self.gateway,
            clock=self.clock,
            chance=lambda: 0.0,
            client_info={"name": "mcp-orchestrator"},
        )

    def supervisor(self, name) -> Supervisor:
        return self.gateway.generation.supervisors[name]

    async def known(self):
        """Start all backends and wait until each is known."""
        for supervisor in self.gateway.generation.supervisors.values():
            supervisor.start()
        for supervisor in self.gateway.generation.supervisors.values():
            await supervisor.settled.wait()

    async def stop(self):
        await self.engine.stop(0.1)
        for supervisor in self.gateway.generation.supervisors.values():
            await supervisor.stop()
        await self.gateway.settle_down()

    async def call(self, name, client=MODERN, port=None, **arguments):
        run = self.gateway.start(tool_call(name, client, **arguments), port or Ear())
        return await run.outcome()


def tool_call(name, client=MODERN, **arguments):
    params = {"name": name, "arguments": arguments}
    return Call(CallKind.TOOL, "tools/call", name, params, {}, client, Principal("local:t"))


@contextlib.asynccontextmanager
async def whole(tmp_path, *backends, **changes):
    """A running engine over these backends, all of them known."""
    made = Whole(tmp_path, *backends, **changes)
    await made.known()
    try:
        yield made
    finally:
        await made.stop()


__all__ = ["MODERN", "QUIET", "Ear", "FakeBackend", "Whole", "asking", "snapshot", "spec", "tool_call", "whole"]
