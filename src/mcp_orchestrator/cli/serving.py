"""One gateway in the foreground: what it says while it comes up, and how signals end or reload it."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any, Final

from mcp_orchestrator.cli import guidance
from mcp_orchestrator.cli.loading import Configuration
from mcp_orchestrator.cli.printing import Printer, Style, safe_line, table
from mcp_orchestrator.observe.logging import make_log
from mcp_orchestrator.wiring import Application

SETTLE: Final = 5.0
"""Seconds after which the backends are shown as they are, though some still start."""

_LOOK_EVERY: Final = 0.1
_UNSETTLED: Final = frozenset({"starting", "new"})


class Service:
    """Serves one configuration until a signal ends it. Everything is told on standard error."""

    def __init__(self, configuration: Configuration, out: Printer, profile: str | None) -> None:
        self._configuration = configuration
        self._out = out
        self._profile = profile
        self._ending = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def http(self) -> None:
        """Serve HTTP. Raises OSError when the address or the state file cannot be had."""
        async with self._application() as app:
            await app.serve_control()
            self._listen_to_signals(app)
            self._set_going(app.watch_config())
            try:
                await app.serve_http(lambda url: self._started(app, url))
            finally:
                await self._cancel_tasks()
        self._tell("stopped", "Stopped.")

    async def stdio(self) -> None:
        """Serve one client on stdin and stdout until it leaves."""
        async with self._application() as app:
            self._listen_to_signals(app)
            self._set_going(app.watch_config())
            try:
                await app.serve_stdio(self._profile)
            finally:
                await self._cancel_tasks()

    def _application(self) -> Application:
        snapshot = self._configuration.snapshot
        return Application(snapshot, config_path=self._configuration.path, log=make_log(snapshot.observe))

    # -- what is told ---------------------------------------------------------------------------------------------

    def _started(self, app: Application, url: str) -> None:
        where = f"{url}/{self._profile}" if self._profile else url
        self._tell("listening", f"Serving MCP at {where}", Style.GOOD, url=where, pid=os.getpid())
        if not self._profile and self._configuration.snapshot.profiles:
            names = ", ".join(f"{url}/{name}" for name in self._configuration.snapshot.profiles)
            self._tell("profiles", f"Profiles: {safe_line(names)}", profiles=list(self._configuration.snapshot.profiles))
        self._set_going(self._introduce(app, where))

    async def _introduce(self, app: Application, url: str) -> None:
        """Show the backends once all of them are up or have failed, then what to do next."""
        lines: list[dict[str, Any]] = []
        for _ in range(int(SETTLE / _LOOK_EVERY)):
            lines = await app.actions["backends.list"]({})
            if not any(line["state"] in _UNSETTLED for line in lines):
                break
            await asyncio.sleep(_LOOK_EVERY)
        steps = guidance.next_steps(url, self._configuration.path)
        if self._out.json:
            self._tell("ready", "", backends=lines, next=steps)
            return
        rows = [[line["name"], line["state"], _tools(line), str(line.get("last_error") or "")] for line in lines]
        shown = table(["BACKEND", "STATE", "TOOLS", "LAST ERROR"], rows, None) if rows else "There are no backends."
        self._out.note(f"\n{shown}\n")
        self._out.note("\n".join(guidance.as_lines(steps)))

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


def _tools(line: dict[str, Any]) -> str:
    return "-" if line.get("tools") is None else str(line["tools"])
