"""How much of the event loop one source of messages may take: a flood is read slowly, ordinary traffic never notices."""

from __future__ import annotations

from typing import Final

SHARE: Final = 0.25
"""Of the loop's time, in the long run. Reading an answer takes about 10 microseconds: 25,000 of them a second."""

BURST: Final = 0.004
"""Seconds of work that are let through at once."""


class Pace:
    """A leaky bucket of processor time. `now` is in seconds on any clock that only goes forward."""

    __slots__ = ("_level", "_seen")

    def __init__(self) -> None:
        self._level = 0.0
        self._seen = 0.0

    def took(self, seconds: float, now: float) -> float:
        """Note that work for this source took `seconds`; returns how many seconds it must wait, mostly 0."""
        self._level = max(0.0, self._level - (now - self._seen) * SHARE) + seconds
        self._seen = now
        return 0.0 if self._level <= BURST else self._level / SHARE
