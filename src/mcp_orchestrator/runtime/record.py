"""What is known of a backend, how it stands, and whom its supervisor tells."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind, Offers
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.snapshot import BackendSpec
from mcp_orchestrator.plugin_api import SessionEvent
from mcp_orchestrator.runtime.lives import LifeKey


class State(enum.StrEnum):
    """What `backends list` shows."""

    IDLE = "idle"
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"
    STOPPED = "stopped"


class Supervised(Protocol):
    """A supervisor as those see it whom it tells."""

    @property
    def spec(self) -> BackendSpec:
        """What it keeps usable."""
        ...


class Hooks(Protocol):
    """What a supervisor tells its owner, on the event loop and without waiting."""

    def offers_changed(self, supervisor: Supervised, offers: Offers, kinds: frozenset[OfferKind]) -> None:
        """New offers in one era; `kinds` are those that differ from what was known before."""
        ...

    def era_known(self, supervisor: Supervised, era: Era, works: bool) -> None:
        """A verdict worth remembering."""
        ...

    def heard(self, supervisor: Supervised, key: LifeKey, event: SessionEvent) -> None:
        """A session said something outside of any call; `key` tells whose session it is, and its era."""
        ...

    async def asked(self, backend: str, client: str, question: Question) -> Answer:
        """A session that is a client's own asks outside of any call; always answered, if need be with a decline."""
        ...

    def noted(self, supervisor: Supervised, what: str, data: Mapping[str, Any]) -> None:
        """Something for journal and log: `backend.ready`, `backend.failed`, `backend.ended`."""
        ...


@dataclass(slots=True)
class Record:
    """What is known of a backend from its past. Times are the supervisor's clock, seconds.

    `settled`: somebody has seen it, or has failed to; `stale`: its offers are only remembered from another process.
    """

    offers: dict[Era, Offers] = field(default_factory=dict)
    failures: int = 0
    restarts: int = 0
    retry_at: float = 0.0
    last_error: str = ""
    last_data: Any = None
    settled: bool = False
    stale: bool = False
    started_at: float | None = None

    def abilities(self, era: Era) -> Mapping[str, Any]:
        """What the backend declared in an era; nothing when nobody has seen it there."""
        known = self.offers.get(era)
        return known.capabilities if known is not None else {}
