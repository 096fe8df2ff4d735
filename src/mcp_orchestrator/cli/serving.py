"""One gateway in the foreground: what it says while it comes up, and how signals end or reload it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from typing import Any, Final

from mcp_orchestrator.cli import guidance
from mcp_orchestrator.cli.loading import Configuration
from mcp_orchestrator.cli.printing import Printer, Style, safe, safe_line, table
from mcp_orchestrator.cli.tuning import tune
from mcp_orchestrator.model.snapshot import HttpSpec
from mcp_orchestrator.observe.logging import make_logger, route_standard_logging
from mcp_orchestrator.wiring import Application

SETTLE: Final = 5.0
"""Seconds after which the backends are shown as they are, though some still start."""

_LOOK_EVERY: Final = 0.1


class Service:
    """Serves one configuration until a signal ends it. Everything is told on standard error.

    `http` is the address to serve at in place of the configuration's own.
    """

    def __init__(
        self, configuration: Configuration, out: Printer, profile: str | None, http: HttpSpec | None = None
    ) -> None:
        self._configuration = configuration
        self._http = http or configuration.snapshot.http
        self._out = out
        self._profile = profile
        self._ending = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def http(self) -> None:
        """Serve HTTP. Raises OSError when the address or the state file cannot be had."""
        async with self._application() as app:
            self._listen_to_signals(app)
            self._set_going(app.watch_config())
            try:
                await app.serve_http(lambda url: self._set_going(self._introduce(app, url)))
            finally:
                await self._cancel_tasks()
        self._tell("stopped", "Stopped.")

    async def stdio(self) -> None:
        """Serve one client on stdin and stdout until it leaves.

        Programs start one of these each, so it leaves the control socket to the gateway that serves HTTP.
        """
        async with self._application() as app:
            self._listen_to_signals(app)
            self._set_going(app.watch_config())
            tune()
            try:
                await app.serve_stdio(self._profile)
            finally:
                await self._cancel_tasks()

    def _application(self) -> Application:
        snapshot = self._configuration.snapshot
        log = make_logger(snapshot.observe.log_level, self._log_format(), sys.stderr)
        route_standard_logging(log)
        path = self._configuration.path.absolute()
        placed = replace(snapshot, http=self._http)
        return Application(placed, config_path=path, log=log, written=snapshot)

    def _log_format(self) -> str:
        return "json" if self._out.json else self._configuration.snapshot.observe.log_format

    # -- what is told ---------------------------------------------------------------------------------------------

    async def _introduce(self, app: Application, url: str) -> None:
        """Tell the address, then the backends once all of them are up or have failed, then what to do next."""
        tune()
        await self._open_control(app)
        where = f"{url}/{self._profile}" if self._profile else url
        self._tell("listening", f"Serving MCP at {where}", Style.GOOD, url=where, pid=os.getpid())
        if app.a2a_url is not None:
            self._tell("listening_a2a", f"Serving A2A at {app.a2a_url}", Style.GOOD, url=app.a2a_url)
        profiles = list(self._configuration.snapshot.profiles)
        if profiles and not self._profile:
            shown = safe_line(", ".join(f"{url}/{name}" for name in profiles))
            self._tell("profiles", f"Profiles: {shown}", profiles=profiles)
        lines = await _settled(app)
        steps = guidance.next_steps(where, self._configuration.path, sign_in=app.callers.required)
        if self._out.json:
            self._tell("ready", "", backends=lines, next=steps)
            return
        rows = [[line["name"], line["state"], _tools(line), str(line.get("last_error") or "")] for line in lines]
        agents = safe_line(", ".join(self._configuration.snapshot.agents))
        parts = [table(["BACKEND", "STATE", "TOOLS", "LAST ERROR"], rows, None)] if rows else []
        parts += [f"Agents: {agents} (backends list looks at them)"] if agents else []
        self._out.note("\n" + ("\n\n".join(parts) or "There are no backends.") + "\n")
        self._out.note("\n".join(guidance.as_lines(steps)))

    async def _open_control(self, app: Application) -> None:
        """Let commands reach this gateway. One that was first on this state keeps them; clients are served anyway."""
        try:
            await app.serve_control()
        except OSError as error:
            text = f"Commands such as `tools list` do not reach this gateway: {error.strerror or error}"
            self._tell("no_control", safe(text), Style.WARN, reason=str(error.strerror or error))

    def _tell(self, event: str, text: str, style: Style | None = None, **facts: Any) -> None:
        """One line on standard error: text, or a JSON object under `--format json`."""
        if self._out.json:
            self._out.json_line({"event": event, **facts})
        elif text:
            self._out.note(text, style)

    # -- signals --------------------------------------------------------------------------------------------------

    def _listen_to_signals(self, app: Application) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, app, number)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._set_going(app.reload()))

    def _end(self, app: Application, number: int) -> None:
        """The first signal drains, the second ends at once; the watchdog then ends what the backends left."""
        if self._ending:
            os._exit(128 + number)
        self._ending = True
        self._tell("stopping", "Stopping: open calls may finish. A second signal ends at once.")
        app.stop()

    def _set_going(self, work: Any) -> None:
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel_tasks(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _settled(app: Application) -> list[dict[str, Any]]:
    """The backends once none of them is coming up any more, or as they are when they take too long."""
    for _ in range(int(SETTLE / _LOOK_EVERY)):
        lines: list[dict[str, Any]] = await app.actions["backends.list"]({})
        if not any(_coming_up(line) for line in lines):
            break
        await asyncio.sleep(_LOOK_EVERY)
    return lines


def _tools(line: dict[str, Any]) -> str:
    return "-" if line.get("tools") is None else str(line["tools"])


def _coming_up(line: dict[str, Any]) -> bool:
    return line["state"] == "starting" or (line.get("tools") is None and not line.get("last_error"))
