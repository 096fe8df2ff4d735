"""A delegation: a run on an agent, as it is kept; the place where its agent works; and what it changed there."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_orchestrator.model.agent import AgentMode, AgentUsage, Ended, EndStatus, TroubleKind


class DelegationState(enum.StrEnum):
    """Where a delegation stands. Each step is durable before what it announces is done.

    `accepted`: recorded, nothing started; `starting`: its agent is being started; `working`: the agent has told its
    session, or has begun; `ended`: it has its one end.
    """

    ACCEPTED = "accepted"
    STARTING = "starting"
    WORKING = "working"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The place of a run. Paths are absolute; hashes are git object ids.

    `path` is where the agent works, `scratch` its TMPDIR. `origin` is the directory that the caller named (None: an
    empty place of our own), `repository` the top of its repository (None: no git), `base` the commit that holds the
    caller's tree as it was, HEAD plus uncommitted changes. `mode` read: changes are thrown away.
    """

    run: str
    path: str
    scratch: str
    mode: AgentMode
    origin: str | None = None
    repository: str | None = None
    base: str | None = None


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """One file that differs: `change` is add, update, delete or move (`before`: its former path)."""

    path: str
    change: str
    added: int = 0
    removed: int = 0
    binary: bool = False
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs from the base: files in order of their paths, and the unified diff, cut at a limit if need be."""

    files: tuple[ChangedFile, ...] = ()
    diff: str = ""
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of applying: the files written, or (nothing was written) the files in conflict and why of each."""

    files: tuple[str, ...] = ()
    conflicts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tried:
    """One agent that had the run and has it no more: how it ended, and what it cost (micro-dollars, None: not known)."""

    agent: str
    status: EndStatus
    trouble: TroubleKind | None = None
    message: str = ""
    cost: int | None = None


@dataclass(frozen=True, slots=True)
class Delegated:
    """Everything that is kept of a delegation. Times are seconds since the epoch.

    `id` is the run id. `owner` the principal who delegated, with its `groups`, `team` and `scopes`; `profile` the view they came by, `parent` the run of the
    agent that delegated (None: a client did), `depth` 1 for a client's own. `origin` is the directory that was named. `native` is the agent's session, `turn`
    its handle of the turn. `usage` is what was used so far: it counts after a restart as well. `limits` are those of this run: `turns`, `seconds`, `cost` (micro-dollars). `decision` is
    the reasons of the plan, as plain JSON. `asked` counts its questions; `questions` are the open ones, by key a digest of
    what is asked, so that one that is asked again after a restart keeps its key. An `ended` without the state `ended` is
    an end that the journal may not have yet. `behalf` is the client at the top ("": the owner), `lineage` the runs above,
    the nearest first. `route` is the id of the route that it came by ("": none), `named` that its agent was named, `labels`
    what was asked for, `client` the client's name for itself, `asked_limits` the limits without those of the agent. `tried`
    are the agents that had it before. `compared` are the runs whose work is compared, with the agent of each, and `chosen`
    the best of them ("": the caller chooses).
    """

    id: str
    agent: str
    kind: str
    task: str
    mode: AgentMode
    owner: str
    state: DelegationState = DelegationState.ACCEPTED
    profile: str | None = None
    parent: str | None = None
    depth: int = 1
    context: str | None = None
    trace: str = ""
    origin: str | None = None
    workspace: Workspace | None = None
    schema: Mapping[str, Any] | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    decision: tuple[Any, ...] = ()
    native: str | None = None
    turn: str | None = None
    attached: bool | None = None
    attempts: int = 0
    events: int = 0
    usage: AgentUsage = field(default_factory=AgentUsage)
    created: float = 0.0
    updated: float = 0.0
    asked: int = 0
    questions: Mapping[str, str] = field(default_factory=dict)
    ended: Ended | None = None
    groups: tuple[str, ...] = ()
    team: str = ""
    scopes: tuple[str, ...] | None = None
    behalf: str = ""
    lineage: tuple[str, ...] = ()
    route: str = ""
    named: bool = False
    labels: tuple[str, ...] = ()
    client: str = ""
    asked_limits: Mapping[str, float] = field(default_factory=dict)
    tried: tuple[Tried, ...] = ()
    compared: Mapping[str, str] = field(default_factory=dict)
    chosen: str = ""
