"""How long to wait before the next try: exponential with full jitter, bounded."""

from __future__ import annotations

from typing import Final

FIRST: Final = 0.5
LONGEST: Final = 60.0


def delay(failures: int, chance: float) -> float:
    """Seconds before the try after `failures` failures in a row (1 or more); `chance` is in [0, 1).

    Doubles from half a second up to a minute; jitter spreads it over the upper half, so that many backends that
    failed together do not come back together.
    """
    ceiling = min(LONGEST, FIRST * 2.0 ** (min(failures, 16) - 1))
    return ceiling * (0.5 + 0.5 * chance)
