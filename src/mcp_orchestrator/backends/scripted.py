"""An agent that plays a file, for demonstrations and tests: it talks, asks and writes, but no model is behind it.

The file is described in `docs/reference/agent-script.md`. Its session can be taken up again in another process: before
each step, the number of turn and step is told as the handle of the turn, and a turn that is rejoined goes on there. The
step that was under way when the process ended is played again. A script may name other steps to resume with.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from pathlib import Path
from typing import Final

from mcp_orchestrator.agent_api import AgentTalk
from mcp_orchestrator.backends.agent_script import Script, ScriptError, read_script
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.backends.scripted_steps import Cut, CutError, Player, Round
from mcp_orchestrator.model.agent import (
    AgentFacts,
    AgentOpening,
    AgentSpec,
    Ended,
    EndStatus,
    Started,
    TroubleKind,
    Turn,
)
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

_HANDLE: Final = re.compile(r"([1-9][0-9]{0,5})\.([1-9][0-9]{0,5})")
_CAN: Final = (
    *("resume", "fork", "questions", "usage", "cost", "cancel", "structured"),
    *("mcp_http", "read_only"),
)


def create(spec: AgentSpec, reaper: Reaper) -> ScriptedBackend:
    """The agent that a definition describes."""
    del reaper  # it starts no process
    return ScriptedBackend(spec)


class ScriptedBackend:
    """Plays the file of `settings["script"]`, which is read anew for each session."""

    def __init__(self, spec: AgentSpec) -> None:
        self._spec = spec

    @property
    def spec(self) -> AgentSpec:
        """Its definition."""
        return self._spec

    @property
    def path(self) -> Path:
        """The file that is played."""
        return self._spec.base / str(self._spec.settings.get("script", ""))

    async def probe(self) -> AgentFacts:
        """Whether the file can be played."""
        try:
            script = read_script(self.path)
        except ScriptError as error:
            return AgentFacts(found=False, notes=(str(error),))
        turns = "one turn" if len(script.turns) == 1 else f"{len(script.turns)} turns"
        return AgentFacts(
            found=True,
            signed_in=True,
            models=(script.model,) if script.model else (),
            can=dict.fromkeys(_CAN, True) | {"mcp_stdio": False},
            start=0.0,
            notes=(f"plays {self.path} ({turns}); there is no model behind it",),
        )

    async def open(self, opening: AgentOpening) -> ScriptedSession:
        """Read the file and open a session.

        Raises:
            BackendError: the file cannot be played.
        """
        try:
            script = read_script(self.path)
        except ScriptError as error:
            where = f" ({self._spec.where})" if self._spec.where else ""
            raise BackendError(FailureKind.UNAVAILABLE, f"agent {self._spec.name}: {error}{where}") from error
        return ScriptedSession(self._spec, script, self.path.parent, opening)

    async def aclose(self) -> None:
        """Nothing is shared."""


class ScriptedSession:
    """One playing of a script."""

    def __init__(self, spec: AgentSpec, script: Script, directory: Path, opening: AgentOpening) -> None:
        resumed = opening.resume if not opening.fork else None
        self._spec = spec
        self._script = script
        self._opening = opening
        self._native = resumed or f"scripted-{secrets.token_hex(6)}"
        self._turns = 0
        self._resuming = resumed is not None
        self._cut = Cut()
        self._player = Player(spec.name, directory, opening, self._cut)

    @property
    def native(self) -> str | None:
        """Its id; made at random."""
        return self._native

    @property
    def pid(self) -> int | None:
        """No process."""
        return None

    async def turn(self, turn: Turn, talk: AgentTalk) -> Ended:
        """Play the steps of a turn."""
        number, first = self._begin(turn)
        self._cut.interrupted.clear()
        steps = self._script.turn(number)
        handles = [f"{number}.{position}" for position in range(1, len(steps) + 1)]
        if self._resuming and self._script.resumed is not None:
            # Rejoined once more, it resumes once more: the handle stays what it is.
            steps, first = self._script.resumed, 1
            handles = [turn.rejoin or f"{number}.1"] * len(steps)
        self._resuming = False
        played = Round(turn, talk)
        model = self._opening.model or self._spec.model or self._script.model
        talk.event(Started(session=self._native, model=model))
        try:
            for handle, step in list(zip(handles, steps, strict=True))[first - 1 :]:
                await self._cut.race(talk.bound(self._native, handle))
                await self._player.play(step, played)
                if played.ended is not None:
                    return played.ended
        except CutError as cut:
            return self._cut_off(cut, played)
        if not played.did:
            evidence = "its script has no step that says or does anything in this turn"
            return Ended(EndStatus.UNKNOWN, trouble=TroubleKind.SILENT, usage=played.usage, evidence=evidence)
        return Ended(EndStatus.COMPLETED, played.text, usage=played.usage, evidence="its script was played to the end")

    def _begin(self, turn: Turn) -> tuple[int, int]:
        """Number of turn and step to begin with."""
        stood = _HANDLE.fullmatch(turn.rejoin) if turn.rejoin is not None else None
        if stood is not None:
            self._turns = int(stood[1])
            return self._turns, int(stood[2])
        self._turns += 1
        return self._turns, 1

    def _cut_off(self, cut: CutError, played: Round) -> Ended:
        if self._cut.interrupted.is_set():
            evidence = "it was interrupted between two steps of its script"
            return Ended(EndStatus.CANCELLED, played.text, usage=played.usage, evidence=evidence)
        if self._cut.crashed:
            self._cut.close("the step crash of its script")
            message = "the agent ended in the middle of its turn"
            return Ended(
                EndStatus.UNKNOWN,
                played.text,
                trouble=TroubleKind.CRASH,
                message=message,
                usage=played.usage,
                evidence=str(cut),
            )
        message = "its session was closed before it told how the turn ended"
        return Ended(EndStatus.UNKNOWN, played.text, message=message, usage=played.usage, evidence=str(cut))

    async def interrupt(self) -> None:
        """Stop between two steps, or in the middle of one that waits (but `hang`)."""
        self._cut.interrupted.set()

    async def wait_closed(self) -> str:
        """Wait until it is closed, or has crashed."""
        await self._cut.closed.wait()
        return self._cut.why

    async def close(self) -> None:
        """End the session; a turn that is being played returns."""
        self._cut.close("closed")
        await self._player.aclose()
        await asyncio.sleep(0)
