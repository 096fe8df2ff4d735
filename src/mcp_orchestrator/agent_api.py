"""The doors of delegation: what an agent, the keeper of workspaces and the store of delegations must look like.

Everything here is a protocol; the nouns are in `model.agent` and `model.delegation`. Additions only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mcp_orchestrator.model.agent import (
    AgentEvent,
    AgentFacts,
    AgentMode,
    AgentOpening,
    AgentSpec,
    AgentUsage,
    Ended,
    ToolUse,
    Turn,
)
from mcp_orchestrator.model.agent_routes import Verdict
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.delegation import Applied, Changes, Delegated, Workspace
from mcp_orchestrator.model.event import EventKind


@runtime_checkable
class LongTalk(Protocol):
    """What a run's `Talk` also offers to the gateway's own tools, which may take long."""

    @property
    def cancelled_because(self) -> str:
        """Why the run was asked to stop; "" when it was not."""
        ...

    def become_task(self) -> bool:
        """Become a task at once, for a client that can carry one; False when it stays a call."""
        ...


class AgentTalk(Protocol):
    """How an agent's session speaks to the delegation it works for."""

    def event(self, event: AgentEvent, raw: str | bytes | None = None) -> None:
        """Tell what the agent said or did, with the raw frame it came from. Never blocks, never raises."""
        ...

    async def ask(self, question: Question, raw: str | bytes | None = None) -> Answer:
        """Put an agent's question to whoever may answer it; always returns, with a well-formed refusal if nobody does.

        Permission requests are made with `core.translate.permissions.permission` and read with `decision`.
        """
        ...

    async def bound(self, session: str, turn: str | None = None) -> None:
        """Note the agent's own session, and its handle of the turn; returns once that is durable.

        Call it as early as the agent tells; after a crash the session is resumed, or the turn rejoined, by it.
        """
        ...


class AgentSession(Protocol):
    """One open conversation with an agent. One turn at a time; closed by whoever opened it."""

    @property
    def native(self) -> str | None:
        """The agent's own session id, once known."""
        ...

    @property
    def pid(self) -> int | None:
        """Process id, or None where there is no process of ours."""
        ...

    async def turn(self, turn: Turn, talk: AgentTalk) -> Ended:
        """Do one piece of work to its end. Never raises BackendError: whatever happens is an `Ended`.

        Cancelling the awaiting task is not how a turn is stopped (that is `interrupt`): it abandons the turn.
        """
        ...

    async def interrupt(self) -> None:
        """Ask the agent to stop its turn by its own means; the turn then ends by itself, as `cancelled`.

        Open questions of the turn are answered by the caller before. Returns without waiting for the end.
        """
        ...

    async def wait_closed(self) -> str:
        """Wait until the session is over by itself; returns why, for a person."""
        ...

    async def close(self) -> None:
        """End the session and its whole process tree (close stdin, then TERM, then KILL). Idempotent, bounded."""
        ...


class AgentBackend(Protocol):
    """An agent of the configuration: knows how to look at it and how to open sessions with it."""

    @property
    def spec(self) -> AgentSpec:
        """Its definition."""
        ...

    async def probe(self) -> AgentFacts:
        """Look at the agent without giving it work; never raises, bounded by `start_timeout`."""
        ...

    async def open(self, opening: AgentOpening) -> AgentSession:
        """Open a session. Raises BackendError with what was tried and what came back."""
        ...

    async def aclose(self) -> None:
        """Release what sessions share."""
        ...


@runtime_checkable
class WarmsUp(Protocol):
    """An agent backend that can keep sessions ready (`AgentSpec.keep`), because its agent starts slowly."""

    async def warm_up(self) -> None:
        """Begin to keep them ready, in the background; `open` takes one and `aclose` ends the rest. Never raises."""
        ...


class Workspaces(Protocol):
    """Where agents work: in a tree of their own, made from the caller's, whose changes are shown and then applied."""

    async def prepare(self, run: str, given: Path | None, mode: AgentMode) -> Workspace:
        """A place for the agent of a run, and a scratch directory beside it.

        `write` in a git repository: a worktree made from HEAD plus what is not committed (untracked files that are
        not ignored included). `read`: likewise, thrown away afterwards. None: an empty directory.

        Raises:
            ValueError: it cannot be had (not a directory, no repository, no commit yet); the text tells how to mend it.
        """
        ...

    async def changes(self, workspace: Workspace) -> Changes:
        """What the agent changed since the workspace was made: files and a unified diff (bounded).

        Raises:
            ValueError: the workspace is no longer there.
        """
        ...

    async def apply(self, workspace: Workspace) -> Applied:
        """Bring the changes into the tree they were made from: all of them, or none and the conflicts named.

        Raises:
            ValueError: there is nothing to apply to, or the workspace is no longer there.
        """
        ...

    async def discard(self, workspace: Workspace) -> None:
        """Remove the worktree, the scratch directory and the hidden ref. Idempotent."""
        ...


class Verifier(Protocol):
    """Runs the commands by which the work of agents is verified."""

    async def verify(self, command: Sequence[str], workspace: Workspace, seconds: float) -> Verdict:
        """Run a command line in a workspace, in a clean environment, for at most so many seconds. Never raises.

        It passes with exit code 0; what it said (the end of it) is in the verdict. Its whole process tree has ended.
        """
        ...


class DelegationStore(Protocol):
    """Keeps delegations across restarts, with the events of each."""

    async def save(self, delegated: Delegated) -> None:
        """Keep this state, in place of what was kept under the same id; returns once it is durable.

        Raises:
            OSError: it could not be kept; nothing may be started or acknowledged then.
        """
        ...

    async def unfinished(self) -> Sequence[Delegated]:
        """Those without an end, the oldest first, except what another living gateway carries out; ours from now on."""
        ...

    async def find(self, run: str) -> Delegated | None:
        """One by its run id."""
        ...

    async def told(self, run: str, kind: EventKind) -> bool:
        """Whether the journal beside it has an event of this kind for a run, durably."""
        ...

    async def recent(self, owner: str | None, limit: int, before: float | None = None) -> Sequence[Delegated]:
        """The newest first, of one principal or (None) of all, begun before a time (seconds since the epoch)."""
        ...


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A delegation as it stands at one moment, for those who look on from outside.

    `text` is what the agent has said so far, `questions` what is open and not answered yet, by key, in the order asked.
    `changed` is set at the next change of anything here.
    """

    kept: Delegated
    text: str
    questions: Mapping[str, Question]
    tools: Sequence[ToolUse]
    usage: AgentUsage
    changed: asyncio.Event


class DelegationDoor(Protocol):
    """How listeners of other protocols than MCP delegate. Everybody sees and acts on their own runs alone."""

    @property
    def agents(self) -> Sequence[AgentSpec]:
        """The agents that may be delegated to, in the order of the configuration."""
        ...

    async def begin(
        self,
        task: str,
        owner: Principal,
        *,
        agent: str | None = None,
        labels: Sequence[str] = (),
        mode: AgentMode = AgentMode.READ,
        workspace: str | None = None,
        schema: Mapping[str, Any] | None = None,
        context: str | None = None,
    ) -> Glimpse:
        """Accept a delegation; it is on record before anything is started, and its run id is made here.

        Raises:
            ValueError: nothing was begun; the text says why and how to mend it.
            OSError: it could not be recorded; nothing was begun.
        """
        ...

    async def look(self, run: str, who: Principal) -> Glimpse:
        """A delegation as it stands. Raises LookupError when there is none of this id, for this principal."""
        ...

    async def recent(self, who: Principal, limit: int) -> Sequence[Glimpse]:
        """The newest first."""
        ...

    async def changes(self, run: str, who: Principal) -> Changes:
        """What the agent changed. Raises LookupError, or ValueError where there is nothing to look at."""
        ...

    def answer(
        self,
        run: str,
        who: Principal,
        key: str | None,
        action: str,
        *,
        option: str | None = None,
        content: Mapping[str, Any] | None = None,
    ) -> str:
        """Answer an open question; returns its key.

        Raises:
            LookupError: it is not open, or there is no such run.
            ValueError: the answer does not fit; the text says how to mend it.
        """
        ...

    async def cancel(self, run: str, who: Principal, reason: str) -> Glimpse:
        """Stop a run; returns once it is over. Raises LookupError."""
        ...
