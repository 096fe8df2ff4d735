"""Reaches a gateway for a command; the parts that do so are imported only now, so that help stays quick."""

from __future__ import annotations

from mcp_orchestrator.cli.actor import Found, Work
from mcp_orchestrator.cli.loading import Configuration
from mcp_orchestrator.cli.printing import Printer


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
