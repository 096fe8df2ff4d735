"""What a run needs of the engine it lives in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from mcp_orchestrator.core.bonds import Kept
from mcp_orchestrator.model.call import Call
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Outcome
from mcp_orchestrator.model.plan import Target
from mcp_orchestrator.plugin_api import JournalSink
from mcp_orchestrator.runtime.desk import Desk
from mcp_orchestrator.runtime.health import Health
from mcp_orchestrator.runtime.outside import Addressees

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.approvals import Approvals
    from mcp_orchestrator.runtime.budgets import Purse
    from mcp_orchestrator.runtime.policing import Policing
    from mcp_orchestrator.runtime.results import Results
    from mcp_orchestrator.runtime.run import Run
    from mcp_orchestrator.runtime.supervisor import Supervisor
    from mcp_orchestrator.runtime.tasks import Tasks


class Surroundings(Protocol):
    """What a run needs of the engine it lives in."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""
        ...

    @property
    def journal(self) -> JournalSink:
        """Where events go."""
        ...

    trouble: bool
    """Whether the last record could not be kept."""

    @property
    def keep(self) -> bool:
        """Whether events of runs are made."""
        ...

    @property
    def log(self) -> Any:
        """The log of the program."""
        ...

    def clock(self) -> float:
        """Monotonic seconds."""
        ...

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def record(self, kind: EventKind, run: str | None, data: Mapping[str, Any]) -> None:
        """Queue an event."""
        ...

    def parks(self, run: Run) -> bool:
        """Keep a run that waits for a client to come back; False when there are too many."""
        ...

    def sealed(self, call: Call, kept: Kept) -> str:
        """State for the client to carry, bound to this call."""
        ...

    @property
    def question_expiry(self) -> float:
        """Seconds that a question waits for its answer."""
        ...

    @property
    def asks_client(self) -> bool:
        """Whether clients are asked at all."""
        ...

    @property
    def desk(self) -> Desk | None:
        """Where questions wait that no client can be asked, if there is such a place."""
        ...

    @property
    def tasks(self) -> Tasks:
        """The tasks of the gateway."""
        ...

    @property
    def health(self) -> Health:
        """How providers of logical tools stand."""
        ...

    @property
    def capture(self) -> Callable[[Any, Callable[[str], str]], Any] | None:
        """What the journal keeps of arguments besides their digest, given a function that takes out secrets."""
        ...

    @property
    def supervisor_of(self) -> Callable[[str], Supervisor | None]:
        """The backends of now by name."""
        ...

    @property
    def addressees(self) -> Addressees:
        """Who was asked to visit which address."""
        ...

    def digest(self, arguments: Any) -> str:
        """SHA-256 (hex) of arguments."""
        ...

    @property
    def purse(self) -> Purse | None:
        """What is spent; None where nobody keeps account."""
        ...

    @property
    def approvals(self) -> Approvals:
        """Who agreed to what."""
        ...

    @property
    def policing(self) -> Policing | None:
        """The policy at work; None while nobody has one."""
        ...

    @property
    def results(self) -> Results | None:
        """The bounds of results; None where there never were any."""
        ...

    @property
    def for_the_way(self) -> Callable[[Call, Target, Outcome], Outcome]:
        """Gives an outcome the URIs of the client's view."""
        ...
