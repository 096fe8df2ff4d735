"""A new configuration while running: open the new, swap, then close the old; on failure the old one stays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from mcp_orchestrator.config.compare import compare
from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.snapshot import Snapshot
from mcp_orchestrator.runtime.gateway import Gateway
from mcp_orchestrator.runtime.generation import Generation
from mcp_orchestrator.runtime.supervisor import Supervisor

OPEN_PATIENCE: Final = 10.0
"""Seconds that changed backends get to open before the swap; one that is slower comes up after it."""


class Reloader:
    """Swaps generations. `make` creates a supervisor that remembers what is known of its backend."""

    def __init__(
        self,
        gateway: Gateway,
        make: Callable[[Any], Awaitable[Supervisor]],
        own: Callable[[Snapshot], Supervisor | None] = lambda _snapshot: None,
    ) -> None:
        """`own` gives the supervisor of the gateway's own tools, made for a snapshot's agents; None without agents."""
        self._gateway = gateway
        self._own = own
        self._make = make
        self._one_at_a_time = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    async def apply(self, snapshot: Snapshot) -> Mapping[str, Any]:
        """Run on `snapshot` from now on; returns what changed: {added, removed, changed, kept: [names]}."""
        async with self._one_at_a_time:
            gateway = self._gateway
            old = gateway.generation
            changes = compare(old.snapshot, snapshot)
            fresh = {name: await self._make(snapshot.backends[name]) for name in (*changes.added, *changes.changed)}
            for supervisor in fresh.values():
                supervisor.start()
            await asyncio.gather(
                _settled([fresh[name] for name in changes.changed], OPEN_PATIENCE),
                _settled([fresh[name] for name in changes.added], snapshot.list_wait),
            )
            kept = {name: old.supervisors[name] for name in changes.kept}
            both = {**kept, **fresh}
            supervisors = {name: both[name] for name in snapshot.backends if name in both}
            own = self._own(snapshot)
            before = old.supervisors.get(OWN)
            if own is not None:
                supervisors[OWN] = own
                if own is not before:
                    own.start()
                    await _settled([own], OPEN_PATIENCE)
            gateway.generation = Generation(snapshot, supervisors)
            # Rules may hide other things now; for whom would have to be looked at for everybody.
            kinds = frozenset(OfferKind) if changes.policies_changed else _different(old, gateway.generation)
            if kinds:
                gateway.announcements.lists_changed(kinds)
            for name in (*changes.removed, *changes.changed):
                self._retire(old.supervisors[name])
            if before is not None and before is not own:
                self._retire(before)
            summary = {
                "added": list(changes.added),
                "removed": list(changes.removed),
                "changed": list(changes.changed),
                "kept": list(changes.kept),
            }
            data = {"source": snapshot.source, "digest": snapshot.digest, "backends": len(supervisors), **summary}
            gateway.engine.record(EventKind.CONFIG_LOADED, None, data)
            return summary

    def _retire(self, supervisor: Supervisor) -> None:
        task = asyncio.get_running_loop().create_task(_when_unused(supervisor))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def stop(self) -> None:
        """Wait for retired backends to end."""
        for task in list(self._retiring):
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)


async def _settled(supervisors: list[Supervisor], patience: float) -> None:
    tasks = [asyncio.ensure_future(supervisor.settled.wait()) for supervisor in supervisors]
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=patience)
        for task in late:
            task.cancel()


async def _when_unused(supervisor: Supervisor) -> None:
    """Running calls finish in their generation; then the backend of the old one ends."""
    try:
        await supervisor.unused()
    finally:
        await supervisor.stop()


def _different(old: Generation, new: Generation) -> frozenset[OfferKind]:
    kinds: set[OfferKind] = set()
    profiles = old.snapshot.profiles.keys() | new.snapshot.profiles.keys()
    for era in Era:
        for profile in (None, *sorted(profiles)):
            before, after = old.catalog(era, profile), new.catalog(era, profile)
            for kind in OfferKind:
                if _seen(before, kind) != _seen(after, kind):
                    kinds.add(kind)
    return frozenset(kinds)


def _seen(catalog: Catalog, kind: OfferKind) -> list[tuple[Any, ...]]:
    return [(offer.public, offer.pin, offer.override) for offer in catalog.offers(kind)]
