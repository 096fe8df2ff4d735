"""The running gateway of a configuration through its control socket, else one in this process for one command."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.cli.actor import Found, Work
from mcp_orchestrator.cli.exits import Ended, Exit, of_failure
from mcp_orchestrator.cli.loading import Configuration
from mcp_orchestrator.cli.printing import Printer, safe_line
from mcp_orchestrator.cli.results import needs_sign_in
from mcp_orchestrator.listeners import control
from mcp_orchestrator.listeners.control import (
    ActionError,
    GatewayCard,
    NoGatewayError,
    ask_gateway,
    find_gateway,
    read_card,
)
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.snapshot import Snapshot
from mcp_orchestrator.observe.logging import make_logger
from mcp_orchestrator.storage.trouble import StorageError
from mcp_orchestrator.wiring import Application, run

SILENCE: Final = 2.0
"""Seconds after which it is told for which servers a command waits."""

CALL_PATIENCE: Final = 24 * 3600.0
"""Seconds to wait for the running gateway: calls have deadlines of their own there."""


def act(configuration: Configuration, out: Printer, work: Work[Found], *, journal: bool) -> Found:
    """Do `work` with the running gateway of this configuration, else with one in this process.

    With `journal`, what one in this process does is kept in the journal; without, nothing is written.

    Raises:
        Ended: whatever the work ends with; exit code 4 when the gateway goes away meanwhile, 2 when the journal
            cannot be written.
    """

    async def whichever() -> Found:
        card = await find_gateway(_state(configuration))
        if card is not None and _serves(card, configuration):
            return await work(_Running(_state(configuration)))
        if card is not None:
            out.note(f"The gateway that is running (process {card.pid}) serves {safe_line(card.config or '')}.")
        return await _in_process(configuration, out, work, journal=journal)

    return run(whichever)


def act_on_running(configuration: Configuration, work: Work[Found]) -> Found:
    """Do `work` with the running gateway of this configuration.

    Raises:
        Ended: exit code 4 when there is none.
    """
    if running_card(configuration) is None:
        message = f"no gateway with {configuration.path} is running"
        raise Ended(Exit.UNREACHABLE, message, fix=f"start it: mcp-orchestrator serve --config {configuration.path}")
    return run(lambda: work(_Running(_state(configuration))))


def running_card(configuration: Configuration) -> GatewayCard | None:
    """What the running gateway of this configuration says of itself; None when there is none."""
    if read_card(_state(configuration)) is None:
        return None
    card = asyncio.run(find_gateway(_state(configuration)))
    return card if card is not None and _serves(card, configuration) else None


def _state(configuration: Configuration) -> Path:
    return configuration.snapshot.storage.path.absolute().parent


def _serves(card: GatewayCard, configuration: Configuration) -> bool:
    """Whether it is a gateway of the same file: two configurations may share the default state directory."""
    return card.config is None or Path(card.config).resolve() == configuration.path.resolve()


class _Running:
    """The gateway that runs, through its control socket."""

    running = True

    def __init__(self, state: Path) -> None:
        self._state = state

    async def ask(self, action: str, args: dict[str, Any]) -> Any:
        try:
            return await ask_gateway(self._state, action, patience=CALL_PATIENCE, **args)
        except ActionError as error:
            raise Ended(_meaning(error.kind), error.message) from error
        except (NoGatewayError, TimeoutError) as error:
            raise Ended(Exit.UNREACHABLE, str(error)) from error


class _Own:
    """A gateway in this process, for one command."""

    running = False

    def __init__(self, actions: Mapping[str, Callable[[dict[str, Any]], Awaitable[Any]]]) -> None:
        self._actions = actions

    async def ask(self, action: str, args: dict[str, Any]) -> Any:
        try:
            return await self._actions[action](args)
        except BackendError as error:
            code = Exit.SIGN_IN if needs_sign_in({"data": error.data}) else of_failure(error.kind.value)
            raise Ended(code, error.message) from error
        except LookupError as error:
            raise Ended(Exit.USAGE, str(error.args[0])) from error
        except ValueError as error:
            raise Ended(Exit.USAGE, str(error)) from error


async def _in_process(configuration: Configuration, out: Printer, work: Work[Found], *, journal: bool) -> Found:
    silent = make_logger("critical", "text", io.StringIO())  # what went wrong is told by the actions
    application = Application(
        _patient(configuration.snapshot),
        config_path=configuration.path.absolute(),
        log=silent,
        persistent=journal,
    )
    try:
        async with application as app:
            telling = asyncio.ensure_future(_tell_who_keeps_us(app, out))
            try:
                return await work(_Own(app.actions))
            finally:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
    except StorageError as error:
        raise Ended(Exit.USAGE, str(error)) from error


def _patient(snapshot: Snapshot) -> Snapshot:
    """The same, where lists wait until servers have come up or failed: this process has no later."""
    longest = max((spec.start_timeout for spec in snapshot.backends.values()), default=0.0)
    return replace(snapshot, list_wait=max(snapshot.list_wait, longest))


async def _tell_who_keeps_us(app: Application, out: Printer) -> None:
    await asyncio.sleep(SILENCE)
    names = ", ".join(safe_line(supervisor.spec.name) for supervisor in app.gateway.generation.waiting)
    if names:
        out.note(f"Waiting for servers that were never seen before and still start: {names}")


def _meaning(kind: str) -> Exit:
    """The exit code for the word of a refused action."""
    match kind:
        case "unknown" | "invalid":
            return Exit.USAGE
        case "failed":
            return Exit.UNREACHABLE
        case control.SIGN_IN:
            return Exit.SIGN_IN
        case _:
            return of_failure(kind)
