"""A backend without processes or sockets, for tests of the engine and of plug-ins: played by plain functions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome
from mcp_orchestrator.plugin_api import Opening, SessionEvent, Talk

Play = Callable[[Invocation, Talk], Awaitable[Outcome]]


def tool(name: str, **schema: Any) -> dict[str, Any]:
    """A tool definition; keyword arguments are properties of its input schema."""
    return {"name": name, "description": f"The tool {name}.", "inputSchema": {"type": "object", "properties": schema}}


async def echo(invocation: Invocation, _talk: Talk) -> Outcome:
    """Answer with what was asked."""
    text = encode({"method": invocation.method, "params": invocation.params, "meta": invocation.meta}).decode()
    return Completed(encode({"content": [{"type": "text", "text": text}]}), Era.LEGACY)


class FakeSession:
    """One conversation with a `FakeBackend`."""

    def __init__(self, backend: FakeBackend, era: Era, opening: Opening) -> None:
        self._backend = backend
        self._era = era
        self.opening = opening
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.closed = False
        self.invocations: list[Invocation] = []
        self.notified: list[str] = []

    @property
    def era(self) -> Era:
        """The era that it was opened in."""
        return self._era

    @property
    def pid(self) -> int | None:
        """No process."""
        return None

    async def offers(self) -> Offers:
        """What the backend was told to offer."""
        capabilities = {"tools": {}, "resources": {}, "prompts": {}, **self._backend.capabilities}
        return Offers(
            self._backend.name,
            self._era,
            "2026-07-28" if self._era is Era.MODERN else "2025-11-25",
            {"name": self._backend.name},
            capabilities,
            tools=tuple(self._backend.tools),
            resources=tuple(self._backend.resources),
            prompts=tuple(self._backend.prompts),
        )

    async def invoke(self, invocation: Invocation, talk: Talk) -> Outcome:
        """Play the call; a session that dies under it answers `died`."""
        self.invocations.append(invocation)
        playing = asyncio.ensure_future(self._backend.play(invocation, talk))
        try:
            ends: set[asyncio.Future[Any]] = {playing, self.over}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not playing.done():
                playing.cancel()
        if playing.done() and not playing.cancelled():
            return playing.result()
        return Failed(FailureKind.DIED, -32000, f"server '{self._backend.name}' ended while the call was running")

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:  # noqa: ARG002 - only the name is kept
        """Note a notification."""
        self.notified.append(method)

    async def wait_closed(self) -> str:
        """Wait for `die`."""
        return await asyncio.shield(self.over)

    def die(self, reason: str = "exit code 1") -> None:
        """End as a crashed process does."""
        self.over.set_result(reason)

    def say(self, event: SessionEvent) -> None:
        """Say something outside of any call."""
        self.opening.on_event(event)

    async def close(self) -> None:
        """End on purpose."""
        self.closed = True
        if not self.over.done():
            self.over.set_result("closed")


class FakeBackend:
    """A backend that speaks `speaks`, offers `tools`, answers with `play` and counts its sessions."""

    def __init__(self, name: str, *, speaks: Sequence[Era] = (Era.LEGACY,), play: Play = echo) -> None:
        self._name = name
        self.speaks = tuple(speaks)
        self.play = play
        self.tools: list[dict[str, Any]] = [tool("echo")]
        self.resources: list[dict[str, Any]] = []
        self.prompts: list[dict[str, Any]] = []
        self.capabilities: dict[str, Any] = {}
        self.sessions: list[FakeSession] = []
        self.refuse: BackendError | None = None
        self.gate: asyncio.Event | None = None
        self.released = False

    @property
    def name(self) -> str:
        """The configured name."""
        return self._name

    @property
    def eras(self) -> Sequence[Era]:
        """Both may be tried."""
        return (Era.MODERN, Era.LEGACY)

    async def open(self, opening: Opening) -> FakeSession:
        """Open in the era asked for, or in the first one it speaks; waits for `gate`, fails with `refuse`."""
        if self.gate is not None:
            await self.gate.wait()
        if self.refuse is not None:
            raise self.refuse
        era = opening.era or self.speaks[0]
        if era not in self.speaks:
            raise BackendError(FailureKind.BAD_ANSWER, f"server '{self._name}' does not speak the {era} era")
        session = FakeSession(self, era, opening)
        self.sessions.append(session)
        return session

    async def aclose(self) -> None:
        """Note that everything was released."""
        self.released = True


class FakeTalk:
    """Collects what a session says about a call; answers questions with `answer`."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.progressed: list[Mapping[str, Any]] = []
        self.notified: list[tuple[str, Mapping[str, Any]]] = []
        self.asked: list[Question] = []
        self.let_gone: list[float] = []
        self.answer = answer or Answer({"action": "decline"})

    def progress(self, params: Mapping[str, Any]) -> None:
        """Keep progress."""
        self.progressed.append(params)

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Keep a notification."""
        self.notified.append((method, params))

    def let_go(self, after: float) -> None:
        """Keep for how long."""
        self.let_gone.append(after)

    async def ask(self, question: Question) -> Answer:
        """Keep the question, give the answer."""
        self.asked.append(question)
        return self.answer


class FakeClock:
    """Monotonic seconds that only move when told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
