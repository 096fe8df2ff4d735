"""State that lives as long as the process: for tests, and for `observe.journal: false`."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Final

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.delegation import Delegated, DelegationState
from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.storage.database import Database, database_at
from mcp_orchestrator.storage.ledger import MemoryLedger
from mcp_orchestrator.storage.offers import decode_eras, decode_offers, era_rows, offer_rows
from mcp_orchestrator.storage.tokens import MemoryTokens
from mcp_orchestrator.storage.trouble import StorageError

RING: Final = 1000
"""Events kept unless told otherwise."""


class Settled:
    """An awaitable that is done at once, without a turn of the event loop."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


_SETTLED: Final = Settled()


class MemoryDelegations:
    """A `DelegationStore` that forgets with the process; of those that ended, the last `ring` are kept."""

    def __init__(self, ring: int = RING, events: Sequence[Event] | deque[Event] = ()) -> None:
        self._ring = ring
        self._events = events
        self._kept: dict[str, Delegated] = {}

    async def save(self, delegated: Delegated) -> None:
        """Keep this state, in place of the former one."""
        self._kept[delegated.id] = delegated
        ended = [one.id for one in self._kept.values() if one.state is DelegationState.ENDED]
        for run in ended[: max(0, len(ended) - self._ring)]:
            del self._kept[run]

    async def unfinished(self) -> Sequence[Delegated]:
        """Those without an end, the oldest first."""
        found = [one for one in self._kept.values() if one.state is not DelegationState.ENDED]
        return sorted(found, key=_age)

    async def find(self, run: str) -> Delegated | None:
        """One by its run id."""
        return self._kept.get(run)

    async def told(self, run: str, kind: EventKind) -> bool:
        """Whether the journal beside it has an event of this kind for a run."""
        return any(event.run == run and event.kind is kind for event in self._events)

    async def recent(self, owner: str | None, limit: int, before: float | None = None) -> Sequence[Delegated]:
        """The newest first, of one principal or of all, begun before a time."""
        found = [
            one
            for one in self._kept.values()
            if (owner is None or one.owner == owner) and (before is None or one.created < before)
        ]
        return sorted(found, key=_age, reverse=True)[:limit]


def _age(delegated: Delegated) -> tuple[float, str]:
    return delegated.created, delegated.id


class MemoryStore:
    """A `JournalSink` that keeps the last `ring` events, an `OfferStore` and a `DelegationStore` of the process."""

    def __init__(self, ring: int = RING) -> None:
        self._events: deque[Event] = deque(maxlen=ring)
        self._offers: dict[tuple[str, str], Offers] = {}
        self._eras: dict[str, dict[Era, bool]] = {}
        self.delegations = MemoryDelegations(ring, self._events)
        self.tokens = MemoryTokens()
        self.ledger = MemoryLedger(time.time)

    @property
    def events(self) -> tuple[Event, ...]:
        """What is in the ring, oldest first."""
        return tuple(self._events)

    async def open(self) -> None:
        """Nothing to open; here so that stores can take each other's place."""

    async def aclose(self) -> None:
        """Forget the ledger; there is nothing else to close."""
        self.ledger.close()

    def record(self, event: Event) -> None:
        """Keep an event; the oldest goes when the ring is full."""
        self._events.append(event)

    def commit(self) -> Awaitable[None]:
        """Done at once."""
        return _SETTLED

    async def load(self) -> Mapping[tuple[str, str], Offers]:
        """All remembered offers, by (fingerprint, era)."""
        return dict(self._offers)

    async def save(self, fingerprint: str, offers: Offers) -> None:
        """Remember offers for a backend spec."""
        self._offers[fingerprint, offers.era.value] = offers

    async def load_eras(self) -> Mapping[str, Mapping[Era, bool]]:
        """By fingerprint: which eras are known to work and which not."""
        return {fingerprint: dict(eras) for fingerprint, eras in self._eras.items()}

    async def save_era(self, fingerprint: str, era: Era, works: bool) -> None:
        """Remember one verdict."""
        self._eras.setdefault(fingerprint, {})[era] = works


async def recalled(place: Path | Database) -> MemoryStore:
    """A store in memory that begins with what a state file or database remembers of backends; nothing is written there.

    One that is missing or cannot be read remembers nothing.
    """
    memory = MemoryStore()
    offers, eras = await asyncio.to_thread(_remembered, database_at(place))
    for (fingerprint, _era), known in offers.items():
        await memory.save(fingerprint, known)
    for fingerprint, verdicts in eras.items():
        for era, works in verdicts.items():
            await memory.save_era(fingerprint, era, works)
    return memory


def _remembered(database: Database) -> tuple[Mapping[tuple[str, str], Offers], Mapping[str, Mapping[Era, bool]]]:
    try:
        connection = database.open_reader()
    except StorageError:
        return {}, {}
    try:
        return decode_offers(offer_rows(connection)), decode_eras(era_rows(connection))
    except (sqlite3.Error, StorageError):  # remembering is a convenience: the gateway that owns it tells what is wrong
        return {}, {}
    finally:
        connection.close()
