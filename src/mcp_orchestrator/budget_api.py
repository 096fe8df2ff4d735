"""The door of the ledger: what is reserved, charged and given back of budgets, by whichever store keeps it."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mcp_orchestrator.model.budget import Balance
from mcp_orchestrator.model.rules import Hold


@dataclass(frozen=True, slots=True)
class Held:
    """Everything was held. The balances are as they stand afterwards."""

    balances: Sequence[Balance]


@dataclass(frozen=True, slots=True)
class Lacking:
    """Nothing was held, for this hold has not enough left; `balance` is how it stands."""

    hold: Hold
    balance: Balance


class Ledger(Protocol):
    """Keeps holds. Everything of one call is one transaction; amounts are whole numbers (see `model.budget.Unit`).

    All raise OSError, from awaiting, when it could not be kept. Several gateways may share what is kept.
    """

    def reserve(self, run: str, holds: Sequence[Hold], above: Sequence[str] = ()) -> Awaitable[Held | Lacking]:
        """Hold all holds of a run, or none. Durable when it returns; the same run reserves once.

        `above` are the runs on whose behalf it is, the nearest first: money and tokens that one of them still holds of
        the same hold are drawn from before anything more is held, and what is left over goes back there.
        """
        ...

    def settle(self, run: str, used: Mapping[str, int]) -> Awaitable[Sequence[Balance]]:
        """Charge what was used, by unit; where a unit is missing, what was held. Once: repeating it does nothing."""
        ...

    def release(self, run: str) -> Awaitable[Sequence[Balance]]:
        """Give back what a run holds: nothing was sent. Once, likewise."""
        ...

    def note(self, run: str, used: Mapping[str, int]) -> Awaitable[Sequence[Balance]]:
        """What a run has used so far, by unit: it is charged even if nobody settles; the hold grows if it is more."""
        ...

    def adopt(self, run: str) -> Awaitable[None]:
        """Keep the hold of a run that an earlier gateway has reserved."""
        ...

    def tend(self) -> Awaitable[int]:
        """Renew what is ours, charge the estimates of what nobody renewed; returns how many those are.

        Whatever could not be settled or released before is tried again.
        """
        ...

    def raised(self, hold: Hold, amount: int, until: float) -> Awaitable[Balance]:
        """Raise the limit of an hold's budget, key and window by an amount until a time (seconds since the epoch)."""
        ...

    def balances(self) -> Awaitable[Sequence[Balance]]:
        """Every row whose window is not over."""
        ...

    def peek(self, holds: Sequence[Hold]) -> Awaitable[Sequence[Balance]]:
        """How these holds stand; those of which nothing was ever held are empty ones."""
        ...
