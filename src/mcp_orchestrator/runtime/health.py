"""How providers of logical tools stand: failures and ejection, latency, calls in flight, and whom a sticky caller stays with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from mcp_orchestrator.core.strategies import is_ejected, is_full
from mcp_orchestrator.model.plan import Care
from mcp_orchestrator.model.routing import Outlook, Standing

MOST_HOMES: Final = 10_000
"""Sticky callers that are remembered, least recently served first to go."""

WEIGHT: Final = 0.3
"""Of a new latency in the moving mean."""

LONGEST: Final = 8
"""By how much the time of an ejection may have grown when probes keep failing."""


class Health:
    """The one place where it is kept. `clock` is monotonic seconds, `chance` gives numbers in [0, 1)."""

    def __init__(self, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        self._clock = clock
        self._chance = chance
        self.standings: dict[str, Standing] = {}
        self._ejected: set[str] = set()
        self._homes: OrderedDict[str, str] = OrderedDict()

    def outlook(self, down: Mapping[str, str]) -> Outlook:
        """What planning may know now. `down` says by server why it is not available."""
        return Outlook(self._clock(), self._chance(), self.standings, self._ejected, down, self._homes)

    def enter(self, care: Care) -> Visit | str:
        """Take a place at a provider; or why there is none now, though it was there when the call was planned."""
        standing = self.standings.setdefault(care.provider, Standing())
        if is_full(standing, care.limit):
            return f"{care.limit} calls at once are its limit"
        now = self._clock()
        if standing.ejected_until and standing.probing:
            return f"it is ejected after {standing.failures} failures, and another call is trying it"
        probes = is_ejected(standing, now) or bool(standing.ejected_until)
        standing.probing = standing.probing or probes
        standing.busy += 1
        return Visit(self, standing, care, now, probes=probes)

    def left(self, visit: Visit, *, well: bool | None) -> None:
        """A call has left its provider: it went well, or did not, or says nothing of the provider (None)."""
        standing, care, now = visit.standing, visit.care, self._clock()
        standing.busy -= 1
        if visit.probes:
            standing.probing = False
        if well is None or care.logical is None:
            return
        if not well:
            self._failed(standing, care, now)
            return
        standing.failures = standing.ejections = 0
        standing.ejected_until = 0.0
        self._ejected.discard(care.provider)
        took = now - visit.since
        known = standing.latency
        standing.latency = took if known is None else known + WEIGHT * (took - known)
        standing.measured_at = now
        if care.home:
            self._homes[care.home] = care.provider
            self._homes.move_to_end(care.home)
            if len(self._homes) > MOST_HOMES:
                self._homes.popitem(last=False)

    def _failed(self, standing: Standing, care: Care, now: float) -> None:
        standing.failures += 1
        logical = care.logical
        if logical is None or standing.failures < logical.eject_after:
            return
        standing.ejected_until = now + logical.eject_for * min(2**standing.ejections, LONGEST)
        standing.ejections += 1
        self._ejected.add(care.provider)


class Visit:
    """One call at a provider."""

    __slots__ = ("_health", "care", "probes", "since", "standing")

    def __init__(self, health: Health, standing: Standing, care: Care, since: float, *, probes: bool) -> None:
        self._health = health
        self.standing = standing
        self.care = care
        self.since = since
        self.probes = probes

    def leave(self, *, well: bool | None) -> None:
        """Give the place back."""
        self._health.left(self, well=well)
