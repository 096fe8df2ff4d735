"""Starts a program with pipes on any event loop, alike in all of them, and hears of its end.

Not `loop.subprocess_exec`: uvloop 0.22 (2026-11) lets a child inherit its own ends of the pipes and every inheritable
descriptor of the gateway, so that a closed output goes unnoticed, and runs files that are no programs with a shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final

_PIPE_BYTES: Final = 1024 * 1024


class _Pipe(asyncio.Protocol):
    """One of our ends of a pipe: 0 is written to, 1 and 2 are read from."""

    def __init__(self, fd: int, on_data: Callable[[int, bytes], None], on_closed: Callable[[int], None]) -> None:
        self._fd = fd
        self._on_data = on_data
        self._on_closed = on_closed

    def data_received(self, data: bytes) -> None:
        """The program wrote something."""
        self._on_data(self._fd, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The pipe is closed on either side."""
        del exc
        self._on_closed(self._fd)


class _End:
    """One of our ends of a pipe as a file for the event loop, closed exactly once.

    uvloop 0.22 closes the descriptor and then the file that it was given. By then the number may belong to somebody
    else, for another thread opens files too: pipes and sockets of others would be closed at random.
    """

    def __init__(self, file: IO[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._closed = type(loop).__module__.partition(".")[0] == "uvloop"
        self._fd = os.dup(file.fileno())
        file.close()

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def close(self) -> None:
        """What the loop calls when it is done."""
        if not self._closed:
            self._closed = True
            os.close(self._fd)


class Process:
    """A running program in a session of its own. `on_exit` is called once, after its exit code is known."""

    def __init__(self, popen: subprocess.Popen[bytes], on_exit: Callable[[], None]) -> None:
        self._popen = popen
        self._on_exit = on_exit
        self._pidfd = -1
        self.exited = asyncio.Event()
        self.stdin: asyncio.WriteTransport | None = None
        self.outputs: dict[int, asyncio.ReadTransport] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its group and session."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal, None while it runs."""
        return self._popen.returncode

    async def connect(self, on_data: Callable[[int, bytes], None], on_closed: Callable[[int], None]) -> None:
        """Connect the pipes to the loop and begin to watch for the end."""
        self._watch()
        popen, loop = self._popen, self._loop
        for fd, file in ((1, popen.stdout), (2, popen.stderr)):
            if file is not None:
                self._widen(file)
                reading, _ = await loop.connect_read_pipe(lambda fd=fd: _Pipe(fd, on_data, on_closed), _End(file, loop))  # type: ignore[misc]
                self.outputs[fd] = reading
        if popen.stdin is not None:
            end = _End(popen.stdin, loop)
            self.stdin, _ = await loop.connect_write_pipe(lambda: _Pipe(0, on_data, on_closed), end)

    def kill(self) -> None:
        """End the program itself, at once."""
        self._popen.kill()

    def close(self) -> None:
        """Close our ends of the pipes, connected or not."""
        ends: tuple[tuple[asyncio.BaseTransport | None, IO[bytes] | None], ...] = (
            (self.stdin, self._popen.stdin),
            (self.outputs.get(1), self._popen.stdout),
            (self.outputs.get(2), self._popen.stderr),
        )
        for transport, file in ends:
            if transport is not None:
                transport.close()
            elif file is not None:
                file.close()

    def _widen(self, file: IO[bytes]) -> None:
        """Let big answers through in fewer turns (Linux only; a limit of the system may forbid it)."""
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(file.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def _watch(self) -> None:
        if hasattr(os, "pidfd_open"):
            try:
                self._pidfd = os.pidfd_open(self.pid)
            except OSError:  # an old kernel, or no descriptors left
                self._pidfd = -1
        if self._pidfd >= 0:
            self._loop.add_reader(self._pidfd, self._ended)
        else:
            threading.Thread(target=self._wait, name=f"wait-{self.pid}", daemon=True).start()

    def _wait(self) -> None:
        self._popen.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
            self._loop.call_soon_threadsafe(self._ended)

    def _ended(self) -> None:
        if self._popen.poll() is None:
            return
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        self.exited.set()
        self._on_exit()


def start(
    argv: Sequence[str], environment: Mapping[str, str], cwd: str | None, on_exit: Callable[[], None], *, output: bool
) -> Process:
    """Start a program in a session of its own; it inherits no descriptor but its pipes (`output` False: only input).

    Takes about a millisecond, without yielding, so that a new process id can be registered before anything else
    happens.

    Raises:
        OSError: it cannot be started.
        ValueError: a NUL byte in an argument or variable.
    """
    destination = subprocess.PIPE if output else subprocess.DEVNULL
    popen = subprocess.Popen(  # noqa: S603 - starting what is configured is what this is for
        argv,
        stdin=subprocess.PIPE,
        stdout=destination,
        stderr=destination,
        env=dict(environment),
        cwd=cwd,
        bufsize=0,
        start_new_session=True,
    )
    return Process(popen, on_exit)
