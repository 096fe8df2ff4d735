"""Which era a backend is spoken to in: the client's own where the backend has it, else the other one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from mcp_orchestrator.core import apps
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.snapshot import EraPolicy

ASKING: Final[Mapping[str, Any]] = {
    "elicitation": {"form": {}, "url": {}},
    "sampling": {"tools": {}},
    "roots": {"listChanged": True},
    "extensions": {apps.EXTENSION: {"mimeTypes": [apps.HTML]}},
}
"""Declared on shared legacy sessions, so that servers list everything they have; questions there are declined."""

_sorted: Final = msgspec.json.Encoder(order="sorted")
_ANSWERED: Final[Mapping[str, Mapping[str, Any]]] = {
    "elicitation": {"form": {}, "url": {}},
    "sampling": {"tools": {}},
    "roots": {},
}
"""What a person at the command line can answer."""


def own_session(client: ClientFace | None) -> str | None:
    """The client session for which a legacy backend session is opened apart, or None to share one.

    A question on a legacy stream does not say whose call it belongs to, so a client that can be asked shares with nobody.
    """
    if client is None or client.era is Era.MODERN or not client.may_be_asked:
        return None
    return client.session


def pooled(client: ClientFace | None, principal: str) -> str | None:
    """The pool from which a modern client that can be asked gets a legacy session for each of its calls, else None.

    Sessions of a pool are used by one call at a time and only for one principal with one set of abilities, for a
    legacy server learns both at its opening.
    """
    if client is None or client.era is Era.LEGACY or not client.may_be_asked:
        return None
    abilities = hashlib.sha256(_sorted.encode(client.capabilities)).hexdigest()[:16]
    return f"pool {principal} {abilities} "


def abilities(client: ClientFace) -> Mapping[str, Any]:
    """What a legacy server is told that this client can do: all it declared, but for hosting tasks.

    A server would ask the client how those go on, which only the two of them could understand; without the ability it
    asks in the ordinary way (MCP 2025-11-25 basic/utilities/tasks, removed in the modern era).
    """
    return {name: value for name, value in client.capabilities.items() if name != "tasks"}


def answerable(client: ClientFace) -> ClientFace:
    """The client as a server should see it when somebody else answers for it: it can be asked everything."""
    able = dict(client.capabilities)
    for name, modes in _ANSWERED.items():
        declared = able.get(name)
        able[name] = {**modes, **(declared if isinstance(declared, Mapping) else {})}
    return replace(client, capabilities=able)


class EraBook:
    """What is known of one backend's eras: True works, False does not, absent nobody tried."""

    def __init__(self, policy: EraPolicy, possible: Sequence[Era]) -> None:
        fixed = None if policy is EraPolicy.AUTO else Era(policy.value)
        self._possible = tuple(era for era in possible if fixed is None or era is fixed) or tuple(possible)
        self.verdicts: dict[Era, bool] = {}

    def may(self, era: Era) -> bool:
        """Whether the era is worth trying."""
        return era in self._possible and self.verdicts.get(era) is not False

    def choose(self, wanted: Era | None) -> Era:
        """The era to use for a client of era `wanted` (None: whatever is likeliest)."""
        wanted = wanted or Era.MODERN
        if self.may(wanted):
            return wanted
        if self.may(wanted.other):
            return wanted.other
        return wanted if wanted in self._possible else wanted.other

    @property
    def unknown(self) -> bool:
        """True while both eras are possible and neither has been seen to work: a probe must tell."""
        return len(self._possible) > 1 and not any(self.verdicts.values())

    @property
    def seen(self) -> frozenset[Era]:
        """The eras that have been seen to work."""
        return frozenset(era for era, works in self.verdicts.items() if works)

    def learn(self, era: Era, *, works: bool) -> bool:
        """Note a verdict; True when it is news."""
        news = self.verdicts.get(era) is not works
        self.verdicts[era] = works
        return news

    def recall(self, verdicts: Mapping[Era, bool]) -> None:
        """Take over verdicts from before."""
        self.verdicts.update(verdicts)

    def forget(self) -> None:
        """What was known proved wrong: everything is open again."""
        self.verdicts.clear()
