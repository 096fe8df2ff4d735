"""An agent without a process, for tests of whatever works with agents: a turn is a function, or is driven by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from mcp_orchestrator.agent_api import AgentTalk
from mcp_orchestrator.model.agent import (
    AgentEvent,
    AgentFacts,
    AgentKind,
    AgentOpening,
    AgentSpec,
    Ended,
    EndStatus,
    Started,
    Text,
    TroubleKind,
    Turn,
)
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import BackendError

DONE: Final = Ended(EndStatus.COMPLETED, "done", evidence="the test says so")


class Acting:
    """One turn in the hands of a test: what the agent says, asks and ends with."""

    def __init__(self, session: FakeAgentSession, turn: Turn, talk: AgentTalk) -> None:
        self.session = session
        self.turn = turn
        self.talk = talk
        self.end: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    def say(self, text: str, *, message: str = "", final: bool = True) -> None:
        """Say something."""
        self.talk.event(Text(text, message, final), f'{{"say": "{text}"}}')

    def event(self, event: AgentEvent, raw: str | bytes | None = None) -> None:
        """Tell anything."""
        self.talk.event(event, raw)

    async def ask(self, question: Question) -> Answer:
        """Ask, and wait for the answer."""
        return await self.talk.ask(question)

    def finish(self, ended: Ended = DONE, **changes: Any) -> None:
        """End the turn; `changes` are fields of the end. A turn that has ended stays as it is."""
        if not self.end.done():
            self.end.set_result(replace(ended, **changes))


Play = Callable[[Acting], Awaitable[None]]
"""What an agent does in a turn. It calls `finish`, or the turn goes on until it is interrupted or closed."""


class FakeAgentSession:
    """One conversation with a `FakeAgent`. `interruptions` counts how often it was asked to stop."""

    def __init__(self, agent: FakeAgent, opening: AgentOpening) -> None:
        self._agent = agent
        self._native = agent.native if opening.resume is None or opening.fork else opening.resume
        self._acting: Acting | None = None
        self.opening = opening
        self.interruptions = 0
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def native(self) -> str | None:
        """The id that the test gave it, or the one it was resumed by."""
        return self._native

    @property
    def pid(self) -> int | None:
        """No process."""
        return None

    async def turn(self, turn: Turn, talk: AgentTalk) -> Ended:
        """Bind, say that it has started, play, and wait for the end that the test gives."""
        acting = self._acting = Acting(self, turn, talk)
        self._agent.turns.append(acting)
        if self.over.done():
            return self._broken_off()
        if self._native is not None:
            await talk.bound(self._native)
        talk.event(Started(session=self._native))
        self._agent.acting.put_nowait(acting)
        playing = asyncio.ensure_future(self._agent.play(acting)) if self._agent.play is not None else None
        waited: set[asyncio.Future[Any]] = {acting.end, self.over, *({playing} if playing is not None else ())}
        try:
            while not acting.end.done() and not self.over.done():
                done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if playing is not None and playing in done:
                    playing.result()  # a mistake of the test is raised here
                    waited.discard(playing)
            return acting.end.result() if acting.end.done() else self._broken_off()
        finally:
            self._acting = None
            if playing is not None:
                playing.cancel()

    async def interrupt(self) -> None:
        """End the turn as cancelled, unless the agent is `deaf`."""
        self.interruptions += 1
        if self._acting is not None and not self._agent.deaf:
            self._acting.finish(Ended(EndStatus.CANCELLED, evidence="it was interrupted"))

    async def wait_closed(self) -> str:
        """Wait for `die`, or for the end on purpose."""
        return await asyncio.shield(self.over)

    def die(self, reason: str = "exit code 1") -> None:
        """End as a crashed process does."""
        if not self.over.done():
            self.over.set_result(reason)

    async def close(self) -> None:
        """End on purpose."""
        self.die("closed")

    def _broken_off(self) -> Ended:
        trouble = None if self.over.result() == "closed" else TroubleKind.CRASH
        return Ended(EndStatus.UNKNOWN, trouble=trouble, evidence=f"its session is over: {self.over.result()}")


class FakeAgent:
    """An agent that plays `play` in every turn, or (None) leaves each to the test.

    The test takes turns that have begun from `acting` (or looks at all of them in `turns`), and makes it refuse
    sessions with `refuse` or keep them waiting with `gate`. `deaf` agents do not listen to interruptions.
    """

    def __init__(
        self, name: str = "fake", play: Play | None = None, *, native: str | None = "session-1", **spec: Any
    ) -> None:
        self._spec = AgentSpec(name, spec.pop("kind", AgentKind.SCRIPTED), **spec)
        self.play = play
        self.native = native
        self.deaf = False
        self.facts = AgentFacts(found=True, version="1.0")
        self.refuse: BackendError | None = None
        self.gate: asyncio.Event | None = None
        self.sessions: list[FakeAgentSession] = []
        self.turns: list[Acting] = []
        self.acting: asyncio.Queue[Acting] = asyncio.Queue()
        self.released = False

    @property
    def spec(self) -> AgentSpec:
        """Its definition."""
        return self._spec

    async def probe(self) -> AgentFacts:
        """What the test says of it."""
        return self.facts

    async def open(self, opening: AgentOpening) -> FakeAgentSession:
        """Open a session; waits for `gate`, fails with `refuse`."""
        if self.gate is not None:
            await self.gate.wait()
        if self.refuse is not None:
            raise self.refuse
        session = FakeAgentSession(self, opening)
        self.sessions.append(session)
        return session

    async def aclose(self) -> None:
        """Note that everything was released."""
        self.released = True


async def answering(acting: Acting) -> None:
    """Say what the task was, and be done."""
    acting.say(acting.turn.prompt)
    acting.finish(text=acting.turn.prompt)
