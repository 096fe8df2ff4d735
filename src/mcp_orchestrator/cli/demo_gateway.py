"""The gateway of the demo: a child process with its own directory, two servers, and a memory of every process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.listeners.control import ActionError, ask_gateway, process_exists
from mcp_orchestrator.storage.reading import JournalReader, RunRow

PATIENCE: Final = 20.0
"""Seconds until something that should happen counts as a failure."""

_LOOK_EVERY: Final = 0.02
_SERVERS: Final = ("notes", "clock")


class Surprise(Exception):  # noqa: N818 - the demo's word for it
    """A step of the demo showed something else than it should; the text says what."""


class DemoGateway:
    """`mcp-orchestrator serve` in a child process. `seen` holds the ids of all processes there ever were."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._state = directory / "state"
        self._log = directory / "gateway.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.seen: set[int] = set()

    def start(self) -> str:
        """Start it and wait until clients can connect and both servers are up; returns the address.

        Raises:
            Surprise: it ended, or did not come up in time.
        """
        config = self._directory / "orchestrator.json"
        config.write_text(json.dumps(self._configuration(), indent=2), encoding="utf-8")
        command = [sys.executable, "-m", "mcp_orchestrator", "serve", "--config", str(config), "--format", "json"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._directory, start_new_session=True
            )
        self.seen.add(self._process.pid)
        self.url = str(wait_for(self._address, "the gateway to listen"))
        wait_for(lambda: all(self._pids(name) for name in _SERVERS), "both servers to start")
        return self.url

    @property
    def pid(self) -> int:
        """The gateway's process."""
        return self._process.pid if self._process is not None else 0

    def ask(self, action: str, **args: Any) -> Any:
        """An action through the control socket. Raises Surprise when it is refused."""
        try:
            return asyncio.run(ask_gateway(self._state, action, patience=PATIENCE, **args))
        except ActionError as error:
            raise Surprise(f"{action} was refused: {error}") from error

    def pid_of(self, name: str) -> int:
        """The one process of a server. Raises Surprise when there is none or more than one."""
        pids = self._pids(name)
        if len(pids) != 1:
            raise Surprise(f"{name} has the processes {pids}, not one")
        return pids[0]

    def runs(self, status: str | None = None) -> list[RunRow]:
        """What the journal holds, the newest first."""
        with JournalReader(self._state / "state.db") as journal:
            return journal.runs(status=status)

    def stop(self) -> int:
        """End it with SIGTERM and wait; returns the exit code. Raises Surprise when it has to be killed."""
        if self._process is None:
            raise Surprise("it was never started")
        self.seen.update(_descendants(self._process.pid))
        self._process.terminate()
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise Surprise(f"it did not end within {PATIENCE:g} seconds: {self.last_words()}") from error
        wait_for(lambda: not still_there(self.seen), "the servers to end", or_else=False)
        return code

    def kill(self) -> None:
        """End it in any case."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """The end of what it printed."""
        text = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        return text[-2000:]

    def _configuration(self) -> dict[str, Any]:
        module = "mcp_orchestrator.testing"
        servers = {
            name: {"command": sys.executable, "args": ["-m", f"{module}.{name}"], "cwd": str(self._directory)}
            for name in _SERVERS
        }
        return {
            "mcpServers": servers,
            "backends": {name: {"start": "eager"} for name in _SERVERS},
            "listeners": {"http": {"host": "127.0.0.1", "port": 0}},
            "storage": {"url": f"sqlite:///{self._state / 'state.db'}"},
        }

    def _address(self) -> str | None:
        if self._process is not None and self._process.poll() is not None:
            raise Surprise(f"the gateway ended with exit code {self._process.returncode}: {self.last_words()}")
        for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines():
            told = _object(line)
            if told.get("event") == "listening":
                return str(told["url"])
        return None

    def _pids(self, name: str) -> list[int]:
        lines = self.ask("backends.list")
        self.seen.update(pid for line in lines for pid in line["pids"])
        return [pid for line in lines if line["name"] == name for pid in line["pids"]]


def wait_for(look: Callable[[], Any], what: str, *, or_else: bool = True) -> Any:
    """Look again and again until something is there; returns it.

    Raises:
        Surprise: it did not come within the patience of the demo (unless `or_else` is False).
    """
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > deadline:
            if not or_else:
                return found
            raise Surprise(f"waited {PATIENCE:g} seconds for {what} in vain")
        time.sleep(_LOOK_EVERY)
    return found


def still_there(pids: Iterable[int]) -> list[int]:
    """Those of the processes that still exist."""
    return sorted(pid for pid in pids if process_exists(pid))


def _descendants(pid: int) -> set[int]:
    """Children, their children and so on, where the system has /proc; the gateway's watchdog is one of them."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):  # it ended while we looked
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while grown := {child for child, parent in parents.items() if parent in found} - found:
        found |= grown
    return found


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
