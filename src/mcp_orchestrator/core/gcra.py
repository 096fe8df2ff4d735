"""Rate limits by the generic cell rate algorithm: one number for each key, no timers, exact in every window.

A key's number is the time at which it would have used up what it was given (ITU-T I.371, virtual scheduling).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mcp_orchestrator.model.rules import Limit

MOST_KEYS: Final = 100_000
"""Keys that are remembered. Those that are idle go first: they are as good as unknown."""

_LOOK_AT: Final = 16


@dataclass(frozen=True, slots=True)
class Throttled:
    """A call that comes too early: by which limit, and in how many seconds it may come."""

    limit: Limit
    wait: float


class Meter:
    """Counts calls against limits. Times are seconds of one monotonic clock; use it on one thread."""

    def __init__(self, most_keys: int = MOST_KEYS) -> None:
        self._most = most_keys
        self._due: OrderedDict[tuple[str, str], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def admit(self, limits: Sequence[Limit], now: float) -> Throttled | None:
        """Count a call against all of its limits, or (too early for one of them) against none."""
        for limit in limits:
            wait = self.wait(limit, now)
            if wait > 0:
                return Throttled(limit, wait)
        for limit in limits:
            key, step = (limit.rule, limit.key), limit.rate.seconds / limit.rate.count
            self._due[key] = max(self._due.pop(key, now), now) + step
        self._forget(now)
        return None

    def wait(self, limit: Limit, now: float) -> float:
        """Seconds until a call would be admitted; 0: now. Nothing is counted."""
        due = self._due.get((limit.rule, limit.key))
        if due is None or due <= now:
            return 0.0
        step = limit.rate.seconds / limit.rate.count
        early = due - now - step * (max(1, limit.rate.burst) - 1)
        return early if early > step * 1e-9 else 0.0

    def _forget(self, now: float) -> None:
        """Keep to the most keys: the oldest ones that are idle, else the one that was used least recently."""
        if len(self._due) <= self._most:
            return
        oldest = [key for key, _ in zip(self._due, range(_LOOK_AT), strict=False)]
        idle = [key for key in oldest if self._due[key] <= now]
        for key in idle or oldest[:1]:
            del self._due[key]
