"""Reaches a gateway for a command; the parts that do so are imported only now, so that help stays quick."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from mcp_orchestrator.cli.loading import Configuration
from mcp_orchestrator.cli.printing import Printer

Found = TypeVar("Found")


class Actor(Protocol):
    """Carries out actions by name; `running` tells whether that happens in a gateway that was there before."""

    @property
    def running(self) -> bool:
        """True for the gateway that is running, False for one of our own."""
        ...

    async def ask(self, action: str, args: dict[str, Any]) -> Any:
        """The answer of one action, plain JSON. Raises Ended with the exit code that a failure means."""
        ...


Work = Callable[[Actor], Coroutine[Any, Any, Found]]


def act(configuration: Configuration, out: Printer, work: Work[Found], *, journal: bool = False) -> Found:
    """Do `work` with the running gateway of this configuration, else with one in this process.

    With `journal`, what one in this process does is kept in the journal; without, nothing is written.

    Raises:
        Ended: whatever the work ends with; exit code 4 when the gateway goes away meanwhile.
    """
    from mcp_orchestrator.cli import gateways  # noqa: PLC0415 - see above

    return gateways.act(configuration, out, work, journal=journal)


def act_on_running(configuration: Configuration, work: Work[Found]) -> Found:
    """Do `work` with the running gateway of this configuration.

    Raises:
        Ended: exit code 4 when there is none.
    """
    from mcp_orchestrator.cli import gateways  # noqa: PLC0415 - see above

    return gateways.act_on_running(configuration, work)


def is_running(configuration: Configuration) -> bool:
    """Whether a gateway of this configuration is running and answers."""
    from mcp_orchestrator.cli import gateways  # noqa: PLC0415 - see above

    return gateways.running_card(configuration) is not None
