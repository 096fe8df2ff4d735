"""A compiled configuration: what the engine runs on, free of files, YAML and secrets in clear text."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_orchestrator.model.budget import BudgetSpec, Prices
from mcp_orchestrator.model.results import UNBOUNDED, Bound, ResultsSpec

if TYPE_CHECKING:
    from mcp_orchestrator.model.agent import AgentSpec
    from mcp_orchestrator.model.agent_routes import AgentRoute
    from mcp_orchestrator.model.routing import LogicalTool, Override
    from mcp_orchestrator.model.rules import PolicyRule


class Secret:
    """A string that prints as `<secret>`; `reveal()` is the only way to the value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value in clear text, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))


class TransportKind(enum.StrEnum):
    """How an MCP server is reached."""

    STDIO = "stdio"
    HTTP = "http"
    SSE = "sse"


class StartPolicy(enum.StrEnum):
    """When a backend is started: at once and kept, or when first needed and stopped when idle."""

    EAGER = "eager"
    LAZY = "lazy"


class EraPolicy(enum.StrEnum):
    """Which eras a backend is spoken to in: probed, or fixed by configuration."""

    AUTO = "auto"
    MODERN = "modern"
    LEGACY = "legacy"


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """One MCP server of the configuration, ready to be opened. Equal specs need no restart on reload.

    Times are seconds, sizes bytes. `env` is what the child gets on top of the allow-list `inherit_env`. Values of
    `env`, `headers`, `args` and `url` that came from a secret reference or from a verbatim block are `Secret`.
    `include` and `exclude` are the server's own tool names, or globs over them: what is not included (None: everything
    is) or is excluded can neither be listed nor called. They and `where`, which is `file:line` of the definition, are
    not compared: the catalog looks at them, the server need not be restarted. `confidential` are the words among all
    these values that are taken out of what the server says (standard error, error texts) before it is shown or kept.
    """

    name: str
    transport: TransportKind
    command: str = ""
    args: tuple[str | Secret, ...] = ()
    env: tuple[tuple[str, Secret], ...] = ()
    cwd: str | None = None
    inherit_env: tuple[str, ...] = ()
    url: Secret | None = None
    headers: tuple[tuple[str, Secret], ...] = ()
    start: StartPolicy = StartPolicy.LAZY
    era: EraPolicy = EraPolicy.AUTO
    timeout: float = 300.0
    start_timeout: float = 60.0
    idle_stop: float = 600.0
    max_result_bytes: int = 16 * 1024 * 1024
    max_sessions: int = 32
    disabled: bool = False
    include: tuple[str, ...] | None = field(default=None, compare=False)
    exclude: tuple[str, ...] = field(default=(), compare=False)
    confidential: tuple[Secret, ...] = field(default=(), compare=False)
    where: str = field(default="", compare=False)


class NameStyle(enum.StrEnum):
    """How clients of a profile see names: `SERVER__TOOL` always, or the backend's own name where it is unique."""

    PREFIXED = "prefixed"
    ORIGINAL = "original"


@dataclass(frozen=True, slots=True)
class ProfileSpec:
    """What one kind of caller sees: globs over `SERVER.NAME`, and how much of results. Empty `include`: everything."""

    name: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    names: NameStyle = NameStyle.PREFIXED
    results: Bound = UNBOUNDED
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class HttpSpec:
    """The HTTP listener. `allowed_hosts` and `allowed_origins` come on top of loopback names."""

    host: str = "127.0.0.1"
    port: int = 8808
    path: str = "/mcp"
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_body_bytes: int = 4 * 1024 * 1024
    drain: float = 10.0
    session_idle: float = 1800.0
    max_sessions: int = 10_000


@dataclass(frozen=True, slots=True)
class A2aSpec:
    """The listener for A2A clients. `public_url` is the address on its agent cards, None: the one it listens on.

    `allowed_hosts` come on top of loopback names and of the host in `public_url`.
    """

    host: str = "127.0.0.1"
    port: int = 8809
    public_url: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    max_body_bytes: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DelegationSpec:
    """How work is delegated. Times are seconds.

    `depth` is how deep delegations may nest (1: an agent may not delegate), `max_runs` how many run at once on all
    agents together, `wait` how long `delegate` waits before it gives a handle. Workspaces are made under `workspaces`
    and kept for `retain` after the end of their run (0: for ever). A workspace that a caller names must be one of
    `roots` (absolute directories) or lie under one.
    """

    depth: int = 3
    max_runs: int = 16
    wait: float = 45.0
    workspaces: Path = field(default_factory=lambda: Path("workspaces"))
    retain: float = 7 * 86400.0
    roots: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class IdentitySpec:
    """Who callers are. With `required`, nobody is served over the network who does not say who they are.

    `groups` and `teams` are names with the ids of principals, or patterns over them; a team may also name groups, as
    `group:NAME`. A principal is in the first team that has it.
    """

    required: bool = False
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    teams: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Durability(enum.StrEnum):
    """What an acknowledged record survives: the process (`normal`) or also power loss (`full`)."""

    NORMAL = "normal"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class StorageSpec:
    """Where state lives: in the SQLite file `path`, or in the PostgreSQL database at `url`.

    Beside `path` lies in any case what belongs to this machine alone. `name` is the address without its password.
    `retain` is for how many seconds the journal is kept, 0 for ever.
    """

    path: Path
    durability: Durability = Durability.NORMAL
    retain: float = 90 * 86400.0
    url: Secret | None = None
    name: str = ""


class Captured(enum.StrEnum):
    """What the journal keeps of a call's arguments besides their hash: nothing, or what is left without secrets."""

    NONE = "none"
    REDACTED = "redacted"


@dataclass(frozen=True, slots=True)
class ObserveSpec:
    """Switches of observation: `log_level`, `log_format` (text or json), `journal`, `trace`, `capture`, `validate`."""

    log_level: str = "info"
    log_format: str = "text"
    journal: bool = True
    trace: bool = True
    validate: bool = True
    capture: Captured = Captured.NONE


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A compiled configuration. `digest` identifies it (SHA-256, hex, of the source files' bytes)."""

    source: str
    digest: str
    backends: Mapping[str, BackendSpec]
    profiles: Mapping[str, ProfileSpec]
    http: HttpSpec
    storage: StorageSpec
    observe: ObserveSpec = field(default_factory=ObserveSpec)
    page_size: int = 1000
    list_wait: float = 3.0
    question_expiry: float = 600.0
    mouths: tuple[str, ...] = ("client",)
    warnings: tuple[str, ...] = ()
    agents: Mapping[str, AgentSpec] = field(default_factory=dict)
    routes: tuple[AgentRoute, ...] = ()
    delegation: DelegationSpec = field(default_factory=DelegationSpec)
    a2a: A2aSpec | None = None
    identity: IdentitySpec = field(default_factory=IdentitySpec)
    policies: tuple[PolicyRule, ...] = ()
    budgets: tuple[BudgetSpec, ...] = ()
    prices: Prices = field(default_factory=Prices)
    results: ResultsSpec = field(default_factory=ResultsSpec)
    overrides: Mapping[str, Override] = field(default_factory=dict)
    tools: Mapping[str, LogicalTool] = field(default_factory=dict)

    @property
    def bounds_results(self) -> bool:
        """Whether anything is said of how large a result may be that is handed on."""
        spec = self.results
        return bool(spec.inline) or bool(spec.tools) or any(profile.results for profile in self.profiles.values())
