"""In which order the providers of a logical tool are tried: by the strategy and by how they stand, decided purely."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from mcp_orchestrator.model.call import Call
from mcp_orchestrator.model.routing import LogicalTool, Outlook, Standing, Strategy

MEASURED_FOR: Final = 300.0
"""Seconds after which a measured latency counts as unknown, so that a provider that was slow once gets another chance."""

_MASK: Final = (1 << 64) - 1
_UNIT: Final = 1.0 / (1 << 53)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a strategy looks at. `mark` is a 64-bit hash of `provider` (`SERVER.TOOL`), `price` in micro-dollars."""

    place: int
    provider: str
    backend: str
    weight: int
    price: int | None
    limit: int | None
    mark: int


def mark(name: str) -> int:
    """A 64-bit hash of a name."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def stable_for(call: Call, arguments: Mapping[str, Any], logical: LogicalTool) -> str:
    """What the choice is stable for, as a text; "" when each call chooses anew."""
    by = logical.by
    if by.startswith("args."):
        return f"{by}={arguments.get(by[5:])!r}"
    match by:
        case "call":
            return ""
        case "context" if call.context is not None:
            return f"context={call.context}"
        case _:
            return f"caller={call.principal.id}"


def ordered(logical: LogicalTool, candidates: Sequence[Candidate], key: str, outlook: Outlook) -> Sequence[Candidate]:
    """The candidates in the order of the strategy, whatever their health."""
    standings = outlook.standings
    match logical.strategy:
        case Strategy.FAILOVER:
            return candidates
        case Strategy.WEIGHTED:
            return _spread(candidates, key, outlook)
        case Strategy.CHEAPEST:
            # A price that is not known is never taken for nothing.
            return sorted(candidates, key=lambda one: math.inf if one.price is None else one.price)
        case Strategy.FASTEST:
            return sorted(candidates, key=lambda one: _slowness(standings.get(one.provider), outlook.now))
        case Strategy.STICKY:
            home = outlook.homes.get(home_of(logical, key)) if key else None
            spread = _spread(candidates, key, outlook)
            return spread if home is None else sorted(spread, key=lambda one: one.provider != home)
        case _:
            assert_never(logical.strategy)


def home_of(logical: LogicalTool, key: str) -> str:
    """Under which key it is remembered who served a sticky choice."""
    return f"{logical.name}\n{key}"


def _spread(candidates: Sequence[Candidate], key: str, outlook: Outlook) -> Sequence[Candidate]:
    """Weighted rendezvous hashing: shares follow the weights, and only those move whose provider is not there.

    Each candidate draws -ln(u) / weight with its own u from a hash of key and candidate; the least comes first.
    """
    seed = mark(key) if key else int(outlook.chance * (1 << 53)) * 0x9E3779B97F4A7C15 & _MASK
    return sorted(candidates, key=_drawn(seed))


def _drawn(seed: int) -> Callable[[Candidate], float]:
    def draw(one: Candidate) -> float:
        if one.weight <= 0:
            return math.inf
        mixed = seed ^ one.mark  # the finalizer of splitmix64
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _MASK
        mixed ^= mixed >> 31
        return -math.log(((mixed >> 11) + 1) * _UNIT) / one.weight

    return draw


def _slowness(standing: Standing | None, now: float) -> float:
    """The measured latency; nothing where none is known, unless a call is already out to measure it."""
    if standing is None:
        return 0.0
    if standing.latency is None or now - standing.measured_at > MEASURED_FOR:
        return math.inf if standing.busy else 0.0
    return standing.latency


def is_ejected(standing: Standing | None, now: float) -> bool:
    """Whether a provider is left out now. After its time one call at a time may probe it."""
    if standing is None or not standing.ejected_until:
        return False
    return standing.probing or now < standing.ejected_until


def is_full(standing: Standing | None, limit: int | None) -> bool:
    """Whether a provider takes no more calls at once."""
    return limit is not None and standing is not None and standing.busy >= limit
