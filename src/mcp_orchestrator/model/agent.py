"""Agents: what one says while it works, how its turn ended, what it used, and what is known of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_orchestrator.model.snapshot import Secret


class AgentKind(enum.StrEnum):
    """The words for `agents.NAME.kind`."""

    ACP = "acp"
    CLAUDE_CODE = "claude-code"
    CODEX = "codex"
    A2A = "a2a"
    CLI = "cli"
    SCRIPTED = "scripted"


class AgentMode(enum.StrEnum):
    """What a delegation may do to the files of its workspace."""

    READ = "read"
    WRITE = "write"


class EndStatus(enum.StrEnum):
    """How a turn ended, judged by the agent's own events and evidence, never by an exit code alone.

    `limit`: a limit of turns, money or time was reached; `refused`: the model or the agent declined the task;
    `unknown`: nobody saw how it ended, and it may have had effects.
    """

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LIMIT = "limit"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class TroubleKind(enum.StrEnum):
    """What went wrong with a turn that failed, was limited, or is unknown."""

    MISSING = "missing"  # the program is not there
    AUTH = "auth"  # not signed in, or the model refused the key
    RATE = "rate"  # too many requests just now
    QUOTA = "quota"  # nothing left until a reset
    MODEL = "model"  # the model's endpoint failed
    PROTOCOL = "protocol"  # the agent broke its protocol
    CRASH = "crash"  # the agent's process or connection ended in the middle
    TIMEOUT = "timeout"
    SILENT = "silent"  # it said that it is done, and had done nothing
    INVALID = "invalid"  # the answer does not fit the schema that was asked for
    TURNS = "turns"  # a limit of turns
    SESSION = "session"  # the agent's session is in use, or could not be taken up again
    BUDGET = "budget"  # a limit of money or tokens
    VERIFY = "verify"  # the work was looked at, and was not good
    INTERNAL = "internal"


class CostSource(enum.StrEnum):
    """Where an amount of money comes from. What nobody measured is `unmeasured`, never zero."""

    REPORTED = "reported"
    COMPUTED = "computed"
    UNMEASURED = "unmeasured"


@dataclass(frozen=True, slots=True)
class AgentUsage:
    """What one turn used (not the running sum of a session). None: not told. `cost` is in micro-dollars."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: int | None = None
    cost_source: CostSource = CostSource.UNMEASURED
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The agent has begun. `mcp` is the state of each MCP server as the agent tells it, by name."""

    session: str | None = None
    model: str | None = None
    version: str | None = None
    tools: tuple[str, ...] = ()
    mcp: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Text:
    """Something the agent said. A piece of a message that is still coming has `final` False; `message` tells which."""

    text: str
    message: str = ""
    final: bool = True


@dataclass(frozen=True, slots=True)
class Thought:
    """Something the agent thought aloud."""

    text: str


class ToolStatus(enum.StrEnum):
    """Where a tool call of an agent stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call of the agent, as known so far: a later event of the same `id` replaces what it names.

    `kind` is `shell`, `edit`, `read`, `search`, `fetch`, `mcp`, `agent` or `other`; `server` the MCP server of an
    `mcp` one; `input` and `output` plain JSON. None: not told (yet).
    """

    id: str
    name: str | None = None
    kind: str | None = None
    title: str | None = None
    status: ToolStatus | None = None
    server: str | None = None
    input: Any = None
    output: Any = None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that the agent says it changed: `change` is `add`, `update`, `delete` or `move`."""

    path: str
    change: str = "update"


@dataclass(frozen=True, slots=True)
class Planned:
    """The agent's plan as it stands: (text, status) of each entry; replaces the former one."""

    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Used:
    """What the turn has used so far; replaces what was told before in this turn."""

    usage: AgentUsage


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should know and that does not end the turn."""

    text: str
    kind: str = "warning"


@dataclass(frozen=True, slots=True)
class Ended:
    """The one end of a turn. `text` is the agent's final words, `structured` what it gave in the schema asked for.

    `evidence` says from what the status was judged, for a person. `native` is the session to come back to, when known.
    `resets_at`: seconds since the epoch at which a limit is over, where the agent says so.
    """

    status: EndStatus
    text: str = ""
    structured: Any = None
    trouble: TroubleKind | None = None
    message: str = ""
    retryable: bool = False
    usage: AgentUsage = field(default_factory=AgentUsage)
    evidence: str = ""
    resets_at: float | None = None


AgentEvent = Started | Text | Thought | ToolUse | FileChange | Planned | Used | Warned
"""What comes before the end; the end is what the turn returns, so that there is exactly one."""


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent of the configuration. Times are seconds; money is micro-dollars (None: no limit).

    `command` is the whole command line; empty: the one that the kind or the profile names. `env` is what the agent
    gets on top of the allow-list (the basic variables, the profile's and `inherit_env`). `settings` are the keys of
    the kind itself (see the configuration reference), as plain JSON. `most_mode` is the most that a delegation to it
    may ask for. `keep` sessions are kept warm; at most `max_runs` delegations run at once. What is `confidential` is
    taken out of whatever is shown or kept. `base` is the directory of the configuration file: relative paths in
    `settings` count from it.
    """

    name: str
    kind: AgentKind
    command: tuple[str | Secret, ...] = ()
    url: Secret | None = None
    headers: tuple[tuple[str, Secret], ...] = ()
    model: str | None = None
    description: str = ""
    labels: tuple[str, ...] = ()
    env: tuple[tuple[str, Secret], ...] = ()
    inherit_env: tuple[str, ...] = ()
    most_mode: AgentMode = AgentMode.WRITE
    timeout: float = 3600.0
    start_timeout: float = 60.0
    max_turns: int | None = None
    max_cost: int | None = None
    max_runs: int = 4
    keep: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    base: Path = field(default_factory=Path)
    disabled: bool = False
    confidential: tuple[Secret, ...] = field(default=(), compare=False)
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Attachment:
    """How a delegated agent reaches this gateway as its MCP server. Either way the token stands for the run.

    `url` ends in `/mcp` (fast-agent 0.10 appends that otherwise, 2026-11-22) and wants `headers`
    (`Authorization: Bearer TOKEN`); `command` is a stdio shim that needs `env`. `name` is how the server is called.
    """

    name: str
    url: str
    headers: tuple[tuple[str, Secret], ...]
    command: tuple[str, ...]
    env: tuple[tuple[str, Secret], ...]


@dataclass(frozen=True, slots=True)
class AgentOpening:
    """How a session with an agent is to be opened.

    `cwd` is where it works; `scratch` a directory of its own for temporary files (TMPDIR). `resume` is the native
    session to go on with (None: a new one), `fork` to branch off it instead. `attachment` None: do not plug us in.
    """

    cwd: Path
    scratch: Path
    mode: AgentMode
    model: str | None = None
    resume: str | None = None
    fork: bool = False
    attachment: Attachment | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One piece of work for a session. `schema` is a JSON Schema for the structured answer.

    `max_turns` (rounds of the model) and `max_cost` (micro-dollars) are handed to agents that can keep them.
    `rejoin` is the handle that an earlier gateway noted for this very turn: where the agent still runs it (A2A), the
    turn is joined instead of begun; elsewhere it means that the prompt goes on with an interrupted turn.
    """

    prompt: str
    schema: Mapping[str, Any] | None = None
    max_turns: int | None = None
    max_cost: int | None = None
    rejoin: str | None = None


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What is known of an agent without giving it work. None: could not be found out.

    `found` whether the program or the address answers; `version` its own word, `verified` the version with which the
    adapter was last tried; `can` are abilities by name (`resume`, `fork`, `questions`, `usage`, `cost`, `cancel`,
    `structured`, `mcp_http`, `mcp_stdio`, `read_only`); `start` seconds; `notes` sentences for a person.
    """

    found: bool
    command: str = ""
    version: str | None = None
    verified: str | None = None
    signed_in: bool | None = None
    modes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    can: Mapping[str, bool] = field(default_factory=dict)
    start: float | None = None
    notes: tuple[str, ...] = ()
