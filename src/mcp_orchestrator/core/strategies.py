"""In which order the providers of a logical tool are tried: by the strategy and by how they stand, decided purely."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, assert_never

from mcp_orchestrator.model.call import Call
from mcp_orchestrator.model.routing import LogicalTool, Outlook, Standing, Strategy

MEASURED_FOR: Final = 300.0
"""Seconds after which a measured latency counts as unknown, so that a provider that was slow once gets another chance."""

MOST_SPREADS: Final = 4096
"""Orders of one tool that are kept."""

_MASK: Final = (1 << 64) - 1
_UNIT: Final = 1.0 / (1 << 53)
_GOLDEN: Final = 0x9E3779B97F4A7C15
_log: Final = math.log


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


class Choice(Protocol):
    """What an order is made of: the tool, its candidates, and the orders that were made before, by key."""

    @property
    def spec(self) -> LogicalTool:
        """The tool."""
        ...

    @property
    def candidates(self) -> Sequence[Candidate]:
        """In the order of the configuration."""
        ...

    @property
    def spreads(self) -> dict[str, Sequence[Candidate]]:
        """Orders by key: they depend on nothing else."""
        ...


def ordered(choice: Choice, key: str, outlook: Outlook) -> Sequence[Candidate]:
    """The candidates in the order of the strategy, whatever their health."""
    standings, logical, candidates = outlook.standings, choice.spec, choice.candidates
    match logical.strategy:
        case Strategy.FAILOVER:
            return candidates
        case Strategy.WEIGHTED:
            return _spread(choice, key, outlook)
        case Strategy.CHEAPEST:
            # A price that is not known is never taken for nothing.
            return sorted(candidates, key=lambda one: math.inf if one.price is None else one.price)
        case Strategy.FASTEST:
            return sorted(candidates, key=lambda one: _slowness(standings.get(one.provider), outlook.now))
        case Strategy.STICKY:
            home = outlook.homes.get(home_of(logical, key)) if key else None
            order = _spread(choice, key, outlook)
            return order if home is None else sorted(order, key=lambda one: one.provider != home)
        case _:
            assert_never(logical.strategy)


def home_of(logical: LogicalTool, key: str) -> str:
    """Under which key it is remembered who served a sticky choice."""
    return f"{logical.name}\n{key}"


def _spread(choice: Choice, key: str, outlook: Outlook) -> Sequence[Candidate]:
    """The candidates in an order of their own for each key; without a key in one by chance."""
    if not key:
        return spread(choice.candidates, int(outlook.chance * (1 << 53)) * _GOLDEN & _MASK)
    known = choice.spreads.get(key)
    if known is None:
        if len(choice.spreads) >= MOST_SPREADS:
            choice.spreads.clear()
        known = choice.spreads[key] = spread(choice.candidates, mark(key))
    return known


def spread(candidates: Sequence[Candidate], seed: int) -> Sequence[Candidate]:
    """Weighted rendezvous hashing: shares follow the weights, and only those move whose provider is not there.

    Each candidate draws -ln(u) / weight with its own u from a hash of key and candidate; the least comes first.
    """
    drawn = []
    for one in candidates:
        mixed = seed ^ one.mark  # the finalizer of splitmix64
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _MASK
        share = -_log((((mixed ^ (mixed >> 31)) >> 11) + 1) * _UNIT) / one.weight if one.weight else math.inf
        drawn.append((share, one.place, one))
    drawn.sort()
    return [one for _, _, one in drawn]


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
