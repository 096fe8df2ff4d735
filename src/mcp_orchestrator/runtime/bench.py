"""Agents that are left out for a while, because they have no quota, are not there or not signed in; and what runs cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from mcp_orchestrator.model.agent import AgentUsage, Ended, EndStatus, TroubleKind
from mcp_orchestrator.model.agent_routes import Standing

FIRST: Final[Mapping[TroubleKind, float]] = {
    TroubleKind.QUOTA: 300.0,
    TroubleKind.RATE: 30.0,
    TroubleKind.MISSING: 30.0,
    TroubleKind.AUTH: 60.0,
}
"""Seconds that an agent is left out at first, where it does not tell when it is able again."""

LONGEST: Final[Mapping[TroubleKind, float]] = {
    TroubleKind.QUOTA: 3600.0,
    TroubleKind.RATE: 900.0,
    TroubleKind.MISSING: 600.0,
    TroubleKind.AUTH: 600.0,
}
"""The most: each time again it is twice as long."""

FURTHEST: Final = 8 * 86400.0
"""Seconds; a reset that an agent tells and that is further away is not believed."""

WEIGHT: Final = 0.3
"""Of a new cost in the moving mean."""


@dataclass(slots=True)
class _Seen:
    until: float = 0.0
    why: str = ""
    times: int = 0
    cost: int | None = None


class Bench:
    """The one place where it is kept. `now` gives seconds since the epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: dict[str, _Seen] = {}

    def heard(self, agent: str, ended: Ended) -> Standing | None:
        """Note how a run of an agent ended; how it stands where that put it on the bench."""
        seen = self._seen.setdefault(agent, _Seen())
        self._paid(seen, ended.usage)
        if ended.status is EndStatus.COMPLETED:
            seen.until, seen.times, seen.why = 0.0, 0, ""
            return None
        trouble = ended.trouble
        if trouble is None or trouble not in FIRST:
            return None
        now = self._now()
        wait = min(FIRST[trouble] * 2.0 ** min(seen.times, 20), LONGEST[trouble])
        resets = ended.resets_at
        told = resets is not None and now < resets <= now + FURTHEST
        seen.until = resets if resets is not None and told else now + wait
        seen.times += 1
        seen.why = f"{trouble.value}: {ended.message[:200] or 'it did not say more'}"
        return self.standing(agent)

    @staticmethod
    def _paid(seen: _Seen, usage: AgentUsage) -> None:
        if usage.cost is not None:
            seen.cost = usage.cost if seen.cost is None else round(seen.cost + WEIGHT * (usage.cost - seen.cost))

    def lift(self, agent: str) -> None:
        """The agent is another one now, or was mended."""
        seen = self._seen.get(agent)
        if seen is not None:
            seen.until, seen.times, seen.why = 0.0, 0, ""

    def standing(self, agent: str, working: int = 0) -> Standing:
        """How an agent stands."""
        seen = self._seen.get(agent)
        if seen is None:
            return Standing(working=working)
        found = Standing(seen.until, seen.why, working, seen.cost)
        return found if seen.until > self._now() else replace(found, benched_until=0.0, why="")
