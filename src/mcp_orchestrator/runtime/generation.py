"""A snapshot with its live backends and the catalogs made from what they offer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from mcp_orchestrator.core import naming, uris
from mcp_orchestrator.core.budget import Budgets
from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.plan import Rules
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.pricing import shaping_of
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.plan import Others
from mcp_orchestrator.model.snapshot import Snapshot
from mcp_orchestrator.runtime.supervisor import Supervisor

UNHURRIED: Final = 10 * 366 * 86_400.0
"""Seconds: the gateway's own tools have limits of their own."""


class Generation:
    """Immutable in what it is made of; catalogs are made when looked at and dropped when offers change.

    `stale` until somebody has looked at it and backends that are only remembered are being looked at anew.
    """

    def __init__(self, snapshot: Snapshot, supervisors: Mapping[str, Supervisor]) -> None:
        self.snapshot = snapshot
        self.supervisors = supervisors
        self.rules = Rules(
            timeouts={name: spec.timeout for name, spec in snapshot.backends.items()} | {naming.OWN: UNHURRIED},
            where={name: spec.where for name, spec in snapshot.backends.items()},
            validate=snapshot.observe.validate,
            policy=Policy(snapshot.policies) if snapshot.policies else None,
            budgets=_budgets(snapshot),
        )
        self.shaping = shaping_of(snapshot)
        self.stale = True
        self._catalogs: dict[tuple[Era, str | None], Catalog] = {}

    def catalog(self, era: Era, profile: str | None) -> Catalog:
        """The catalog of a view, from what is known now; of a profile that is no longer there, an empty one."""
        found = self._catalogs.get((era, profile))
        if found is None:
            spec = self.snapshot.profiles.get(profile) if profile is not None else None
            gone = profile is not None and spec is None
            found = Catalog(era, spec, [] if gone else self.sources(era), self.snapshot.backends, self.shaping)
            self._catalogs[era, profile] = found
        return found

    def sources(self, era: Era) -> list[Offers]:
        """The offers of every known backend, in the client's own era where the backend has them in it."""
        known = [supervisor.record.offers for supervisor in self.supervisors.values()]
        chosen = [offers.get(era) or offers.get(era.other) for offers in known]
        return [offers for offers in chosen if offers is not None]

    def offers_changed(self) -> None:
        """What was made from old offers goes."""
        self._catalogs.clear()

    def down(self, backends: Iterable[str], now: float) -> dict[str, str]:
        """Of these backends those that cannot be reached now, and why. `now` is the clock of the supervisors."""
        found = {}
        for name in backends:
            supervisor = self.supervisors.get(name)
            if supervisor is not None and supervisor.record.retry_at > now:
                left = supervisor.record.retry_at - now
                found[name] = f"server '{name}' is not available; next try in {left:.1f} s"
        return found

    @property
    def waiting(self) -> list[Supervisor]:
        """Backends of which nothing is known yet and that have not failed either."""
        return [supervisor for supervisor in self.supervisors.values() if not supervisor.record.settled]

    def named_by(self, name: str) -> Supervisor | None:
        """The server whose prefix a public or dotted name, or a qualified URI, bears."""
        for backend, supervisor in self.supervisors.items():
            if name.startswith((naming.public_name(backend, ""), f"{backend}.", uris.qualify(backend, ""))):
                return supervisor
        return None

    def awaited(self, name: str, others: Others | None) -> Supervisor | None:
        """Whom a call that has no target yet is for: the server that it names, or one that may do a logical tool's work."""
        if others is None:
            return self.named_by(name)
        return next((supervisor for supervisor in self.waiting if supervisor.spec.name in others.backends), None)

    def why_unknown(self, name: str) -> tuple[str, Any]:
        """Why nothing is known of a name that bears the prefix of a server, and the data of that failure.

        "" and None when it bears the prefix of no such server.
        """
        for backend, supervisor in self.supervisors.items():
            prefixes = (naming.public_name(backend, ""), f"{backend}.")
            if not supervisor.record.offers and name.startswith(prefixes):
                reason = supervisor.record.last_error or "it is still starting"
                text = f"server '{backend}' is not available, and what it offers is not known yet: {reason}"
                return text, supervisor.record.last_data
        return "", None

    async def wait_known(self, patience: float, clock_now: float, *, first: bool = False) -> bool:
        """Wait for backends that are still being looked at, each for `patience` seconds from its start at most.

        A hung backend therefore delays lists only in the first seconds of its life. With `first`, wait only until one
        of them is known. Returns whether one has become known.
        """
        waiting = self.waiting
        if not waiting:
            return False
        left = max(patience - (clock_now - (supervisor.record.started_at or clock_now)) for supervisor in waiting)
        if left <= 0:
            return False
        tasks = [asyncio.ensure_future(supervisor.settled.wait()) for supervisor in waiting]
        try:
            when = asyncio.FIRST_COMPLETED if first else asyncio.ALL_COMPLETED
            done, _ = await asyncio.wait(tasks, timeout=left, return_when=when)
        finally:
            for task in tasks:
                task.cancel()
        return bool(done)

    def look_in(self, era: Era) -> None:
        """Have offers of this era fetched, in the background, where a backend may have some nobody has seen."""
        for supervisor in self.supervisors.values():
            if supervisor.record.offers and supervisor.needs_look_in(era):
                supervisor.look_in(era)


def _budgets(snapshot: Snapshot) -> Budgets | None:
    """The budgets of a snapshot, ready to be asked; None when it has none."""
    return Budgets(snapshot.budgets, snapshot.prices) if snapshot.budgets else None
