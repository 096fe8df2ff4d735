"""What was asked: a call, who asks, and what is handed to a backend to carry it out."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Era(enum.StrEnum):
    """The two families of MCP revisions: *modern* is 2026-07-28 and later, *legacy* 2025-11-25 and before."""

    MODERN = "modern"
    LEGACY = "legacy"

    @property
    def other(self) -> Era:
        """The era that this one is not."""
        return Era.LEGACY if self is Era.MODERN else Era.MODERN


class CallKind(enum.StrEnum):
    """What a call addresses."""

    TOOL = "tool"
    RESOURCE = "resource"
    PROMPT = "prompt"
    COMPLETION = "completion"
    SUBSCRIPTION = "subscription"
    TASK = "task"
    EXTENSION = "extension"


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf a call is made. `id` is stable and safe to log, e.g. `local:ada` or `anonymous`.

    Of an agent that carries out a run for somebody: `run` is that run, `depth` how many delegations lie between it and
    a client (1 for a client's own), `trace` the trace that its calls hang under. `groups` and `team` are what rules and
    budgets know of it. `scopes` are what its token is good for (see `core.scopes`); None is no limit. Of an agent,
    `owner` is the client at the top on whose behalf it works, `lineage` its run and those above, the nearest first, and
    `mode` that of its run (read or write).
    """

    id: str
    kind: str = "local"
    run: str = ""
    depth: int = 0
    trace: str = ""
    groups: tuple[str, ...] = field(default=(), compare=False)
    team: str = field(default="", compare=False)
    scopes: tuple[str, ...] | None = field(default=None, compare=False)
    owner: str = field(default="", compare=False)
    lineage: tuple[str, ...] = field(default=(), compare=False)
    mode: str = field(default="", compare=False)


ANONYMOUS = Principal("anonymous", "anonymous")


@dataclass(frozen=True, slots=True)
class ClientFace:
    """The client as far as the protocol says: era, negotiated version, abilities, and name as it was sent.

    `capabilities` and `info` are the raw objects of the wire. `session` is our own session id for legacy clients and
    None for modern ones, whose every request stands alone.
    """

    era: Era
    version: str
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] | None = None
    session: str | None = None

    @property
    def may_be_asked(self) -> bool:
        """True when a legacy server would see a client that can answer questions (elicitation, sampling, roots)."""
        return any(name in self.capabilities for name in ("elicitation", "sampling", "roots"))


@dataclass(slots=True)
class Call:
    """One request of a client, free of transport: what the plan decides on.

    `name` is what the client wrote (a public tool name, a resource URI, a prompt name), or "" where the method has
    none. `params` are the wire parameters without `_meta`; `meta` is `_meta` without the keys that belong to one hop
    (protocol version, client info, client capabilities, log level, progress token). `timeout` is in seconds.
    """

    kind: CallKind
    method: str
    name: str
    params: dict[str, Any]
    meta: dict[str, Any]
    client: ClientFace
    principal: Principal = ANONYMOUS
    profile: str | None = None
    wants_progress: bool = False
    log_level: str | None = None
    timeout: float | None = None
    context: str | None = None


@dataclass(slots=True)
class Invocation:
    """What a backend session is asked to do for one run: `params` already carry the backend's own names.

    `headers` are the `Mcp-Param-*` headers that the offered schema asks for (modern HTTP only); `name_header` is the
    value of `Mcp-Name`, or None where the method bears no name. `principal`, `profile` and `trace` tell on whose behalf,
    by which view and under which trace it is asked: for the gateway's own tools, never sent to a server.
    """

    run: str
    method: str
    params: dict[str, Any]
    meta: dict[str, Any]
    client: ClientFace
    wants_progress: bool = False
    log_level: str | None = None
    name_header: str | None = None
    headers: Mapping[str, str] | None = None
    principal: Principal = ANONYMOUS
    profile: str | None = None
    trace: str = ""
