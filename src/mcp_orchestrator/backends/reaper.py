"""Sees to it that no child outlives the gateway: keeps the watchdog running and ends process trees at normal stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
from typing import Final

from mcp_orchestrator.backends import watchdog
from mcp_orchestrator.backends.process import Process, start
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

_PASSED: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_RESTART_SECONDS: Final = 0.1
_RESTART_AT_MOST: Final = 10.0
_END_SECONDS: Final = 5.0


class Reaper:
    """One per gateway. Starts the watchdog with the first child and restarts it should it die.

    `marker` is this gateway's random id, which every child carries in its environment.
    """

    def __init__(self) -> None:
        self.marker = secrets.token_hex(16)
        self._groups: dict[int, str] = {}
        self._process: Process | None = None
        self._starting: asyncio.Task[None] | None = None
        self._pause = _RESTART_SECONDS
        self._closing = False

    @property
    def watchdog_pid(self) -> int | None:
        """Process id of the watchdog while it runs."""
        return None if self._process is None else self._process.pid

    async def ensure(self) -> None:
        """Have the watchdog running, so that what is started next is already guarded.

        Raises:
            BackendError: the watchdog cannot be started.
        """
        if self._process is not None:
            return
        if self._starting is None or self._starting.done():
            self._starting = asyncio.get_running_loop().create_task(self._start())
        try:
            await asyncio.shield(self._starting)
        except OSError as error:
            raise BackendError(
                FailureKind.UNAVAILABLE, f"the watchdog of child processes cannot be started: {error}"
            ) from error

    def watch(self, group: int) -> None:
        """Register the process group of a new child."""
        self._groups[group] = watchdog.start_of(group)
        self._tell(b"+ %d %b\n" % (group, self._groups[group].encode()))

    def forget(self, group: int) -> None:
        """A process group is gone; its number may be given to strangers from now on."""
        if self._groups.pop(group, None) is not None:
            self._tell(b"- %d\n" % group)

    async def kill_tree(self, child: str, group: int) -> int:
        """End what is left of one child: its group, what carries its marker, and their descendants.

        Returns how many processes were left. At most about 1 s, in a thread.
        """
        needle = f"{watchdog.CHILD_MARKER}={child}".encode()
        groups = {group: self._groups.get(group, "")}
        return await asyncio.to_thread(watchdog.kill_tree, needle, groups)

    async def aclose(self) -> None:
        """End the watchdog, which first ends whatever was left behind. Idempotent."""
        self._closing = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        process = self._process
        if process is None:
            return
        process.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await process.exited.wait()
        except TimeoutError:
            process.kill()
            await process.exited.wait()

    async def _start(self) -> None:
        environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
        argv = [sys.executable, "-I", "-S", watchdog.__file__, self.marker]
        process = self._process = start(argv, environment, "/", self._ended, output=False)
        await process.connect(lambda _fd, _data: None, lambda _fd: None)
        if self._process is process:
            for group, began in self._groups.items():
                self._tell(b"+ %d %b\n" % (group, began.encode()))

    def _tell(self, line: bytes) -> None:
        stdin = self._process.stdin if self._process is not None else None
        if stdin is not None and not stdin.is_closing():
            stdin.write(line)

    def _ended(self) -> None:
        """The watchdog is gone: start another one, unless we are closing."""
        if self._process is not None:
            self._process.close()
        self._process = None
        if not self._closing:
            self._starting = asyncio.get_running_loop().create_task(self._restart())

    async def _restart(self) -> None:
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, _RESTART_AT_MOST)
        # When even this fails (no memory, no processes left), the next child that starts tries again and tells.
        with contextlib.suppress(OSError):
            await self._start()
