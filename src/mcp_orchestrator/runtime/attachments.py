"""How delegated agents reach this gateway as their own MCP server: one token for each run, good while the run lasts.

The agent that comes with a token is a principal of its own: it sees what its caller saw, its calls hang under the run,
and what it delegates is one step deeper.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from mcp_orchestrator.model.agent import Attachment
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.delegation import Delegated
from mcp_orchestrator.model.snapshot import Secret

NAME: Final = "orchestrator"
"""How agents see the server: short, because some put it in front of every tool's name."""

TOKEN_VARIABLE: Final = "MCP_ORCHESTRATOR_RUN_TOKEN"  # noqa: S105 - the name of a variable
SOCKET_VARIABLE: Final = "MCP_ORCHESTRATOR_RUN_SOCKET"


@dataclass(slots=True)
class Admitted:
    """Whom a token stands for."""

    principal: Principal
    profile: str | None
    seen: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Reach:
    """Where agents find the gateway: `url` ends in `/mcp`; `shim` is the command of the bridge for stdio, `socket` its end here."""

    url: str
    shim: Sequence[str]
    socket: str


def child_of(kept: Delegated) -> Principal:
    """The principal of the agent that carries out a run: bound by all that binds the one on whose behalf it works."""
    return Principal(
        f"agent:{kept.agent}:{kept.id}",
        "agent",
        run=kept.id,
        depth=kept.depth,
        trace=kept.trace,
        groups=kept.groups,
        team=kept.team,
        scopes=kept.scopes,
        owner=kept.behalf or kept.owner,
        lineage=(kept.id, *kept.lineage),
        mode=kept.mode.value,
    )


class Attachments:
    """The tokens that are good now. Only their hashes are kept."""

    def __init__(self) -> None:
        self.reach: Reach | None = None
        self._good: dict[bytes, Admitted] = {}
        self._of_run: dict[str, bytes] = {}

    def attach(self, kept: Delegated, seen: Callable[[], None]) -> Attachment | None:
        """A way in for the agent of a run; None while nobody listens. `seen` is called when the agent uses it."""
        if self.reach is None:
            return None
        self.detach(kept.id)
        token = secrets.token_urlsafe(32)
        key = _hash(token)
        self._good[key] = Admitted(child_of(kept), kept.profile, seen)
        self._of_run[kept.id] = key
        return Attachment(
            name=NAME,
            url=self.reach.url,
            headers=(("Authorization", Secret(f"Bearer {token}")),),
            command=tuple(self.reach.shim),
            env=((TOKEN_VARIABLE, Secret(token)), (SOCKET_VARIABLE, Secret(self.reach.socket))),
        )

    def detach(self, run: str) -> None:
        """The run is over: its token is good for nothing from now on."""
        key = self._of_run.pop(run, None)
        if key is not None:
            self._good.pop(key, None)

    def admit(self, token: str) -> Admitted | None:
        """Whom a token stands for; None for any other text."""
        found = self._good.get(_hash(token))
        if found is not None:
            found.seen()
        return found


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
