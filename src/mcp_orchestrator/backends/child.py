"""One child process: how it is found, what environment it gets, its pipes, and how it is ended with all its offspring."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from mcp_orchestrator.backends.lines import Lines
from mcp_orchestrator.backends.pacing import Pace
from mcp_orchestrator.backends.process import Process, start
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.backends.watchdog import CHILD_MARKER, GATEWAY_MARKER
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec, Secret

PASSED: Final = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "TMPDIR"}
    | {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
    # What programs on Windows do not start without.
    | {"APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES", "PATHEXT", "COMSPEC", "SYSTEMDRIVE", "SYSTEMROOT"}
    | {"TEMP", "TMP", "USERNAME", "USERPROFILE", "WINDIR"}
)
"""Variables that every child inherits; together with `PASSED_PREFIXES`, and nothing else that is not configured."""

PASSED_PREFIXES: Final = ("LC_", "XDG_")

MAX_BUFFERED: Final = 8 * 1024 * 1024
STDERR_LINE: Final = 8 * 1024
STDERR_BYTES_PER_SECOND: Final = 1024 * 1024
_STDERR_PAUSE: Final = 0.005  # with 64 KiB a turn, a flood is read at no more than 13 MB/s
_SLACK: Final = 64 * 1024
_LAST_WORDS: Final = 0.25
_GRACE: Final = 2.0

_INSTALL: Final[Mapping[str, str]] = {
    "npx": "install Node.js",
    "node": "install Node.js",
    "uvx": "install uv",
    "uv": "install uv",
    "docker": "install Docker",
    "python": "try python3",
}


def child_environment(spec: BackendSpec, environ: Mapping[str, str]) -> dict[str, str]:
    """What the child sees: the allow-list, `inherit_env` and `env` of its configuration, and nothing else."""
    passed = {
        name: value
        for name, value in environ.items()
        if name in PASSED or name.startswith(PASSED_PREFIXES) or name in spec.inherit_env
    }
    return passed | {name: secret.reveal() for name, secret in spec.env}


def find_program(spec: BackendSpec, path: str) -> str:
    """The absolute path of the program, looked up on the child's own `path`, then beside our own interpreter.

    The latter finds servers that were installed together with us (extra `quickstart`), where clients start us with
    the bare PATH of a desktop, or pipx shows our own script only.

    Raises:
        BackendError: no such directory or program, or it may not be executed; the message tells how to mend it.
    """
    where = f" ({spec.where})" if spec.where else ""
    directory = Path(spec.cwd) if spec.cwd is not None else Path.cwd()
    if not directory.is_dir():
        raise _unavailable(f"backend {spec.name}: there is no directory {spec.cwd!r}; create it or mend `cwd`{where}")
    command = spec.command
    if os.sep in command:
        full = directory / command
        if not full.is_file():
            raise _unavailable(f"backend {spec.name}: there is no program {str(full)!r}; mend `command`{where}")
        if not os.access(full, os.X_OK):
            raise _unavailable(f"backend {spec.name}: {str(full)!r} may not be executed; chmod +x it{where}")
        return str(full)
    found = shutil.which(command, path=path) or shutil.which(command, path=str(Path(sys.executable).parent))
    if found is None:
        advice = _INSTALL.get(command, "install it")
        raise _unavailable(
            f"backend {spec.name}: the program {command!r} is not on the PATH ({path}); {advice}, or write its full "
            f"path as `command`{where}"
        )
    return found


def _unavailable(text: str) -> BackendError:
    return BackendError(FailureKind.UNAVAILABLE, text)


class Child:
    """A running child. Made by `spawn`; `on_end` is called once, when it can no longer be spoken to."""

    def __init__(
        self,
        spec: BackendSpec,
        reaper: Reaper,
        *,
        on_line: Callable[[bytes], None],
        on_overlong: Callable[[bytes, bytes], bool],
        on_stderr: Callable[[str], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._spec = spec
        self._reaper = reaper
        self._on_stderr = on_stderr
        self._on_end = on_end
        self.marker = secrets.token_hex(16)
        self.limit = spec.max_result_bytes + _SLACK
        self._out = Lines(self.limit, on_line, on_overlong)
        self._err = Lines(STDERR_LINE, self._stderr_line, self._stderr_overlong)
        self._loop = asyncio.get_running_loop()
        self._process: Process | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._input_closed = False
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._reason: str | None = None
        self._ending: asyncio.Task[None] | None = None
        self._last_words: asyncio.TimerHandle | None = None
        self._pace = Pace()
        self._stderr_window = 0.0
        self._stderr_taken = 0
        self._stderr_lost = 0

    @property
    def pid(self) -> int | None:
        """Process id, which is also the id of its group and session."""
        return None if self._process is None else self._process.pid

    async def spawn(self, environ: Mapping[str, str]) -> None:
        """Start the program in a session of its own.

        Raises:
            BackendError: it cannot be started; the message tells how to mend it.
        """
        environment = child_environment(self._spec, environ)
        program = find_program(self._spec, environment.get("PATH", os.defpath))
        environment[GATEWAY_MARKER] = self._reaper.marker
        environment[CHILD_MARKER] = self.marker
        arguments = [part.reveal() if isinstance(part, Secret) else part for part in self._spec.args]
        await self._reaper.ensure()
        try:
            process = start([program, *arguments], environment, self._spec.cwd, self._process_exited, output=True)
        except (OSError, ValueError) as error:
            # ValueError: a NUL byte in an argument or variable. Neither text shows a secret's value.
            text = error.strerror if isinstance(error, OSError) else str(error)
            raise _unavailable(f"backend {self._spec.name}: {program!r} cannot be started: {text}") from error
        self._process = process
        self._reaper.watch(process.pid)
        await process.connect(self._data_received, self._pipe_closed)
        self._stdin = process.stdin

    def write(self, message: bytes) -> None:
        """Send one message as a line; those of one turn of the loop travel together.

        Raises:
            BackendError: overloaded, because the child does not read; nothing was sent.
        """
        stdin = self._stdin
        if stdin is None or self._reason is not None:
            return  # its end is being told to everybody who waits
        if not self._outbox:
            self._outbox_bytes = stdin.get_write_buffer_size()
            self._loop.call_soon(self._flush)
        if self._outbox_bytes > MAX_BUFFERED:
            raise BackendError(
                FailureKind.OVERLOADED,
                f"backend {self._spec.name} does not read its input: more than {MAX_BUFFERED >> 20} MiB wait for it",
            )
        self._outbox_bytes += len(message) + 1
        self._outbox.append(message)

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        if outbox and self._stdin is not None and not self._stdin.is_closing():
            outbox.append(b"")
            self._stdin.write(b"\n".join(outbox))

    def close_input(self) -> None:
        """Send what waits and close its standard input; it may go on with its work."""
        self._flush()
        self._input_closed = True
        if self._stdin is not None:
            self._stdin.close()

    async def exited(self) -> int | None:
        """Wait until the program itself has ended; its exit code, negative for a signal, None when it never began."""
        if self._process is None:
            return None
        await self._process.exited.wait()
        return self._process.returncode

    # -- what the loop tells ---------------------------------------------------------------------------------------

    def _data_received(self, fd: int, data: bytes) -> None:
        if fd != 1:
            self._stderr(data)
            return
        began = time.thread_time()
        self._out.feed(data)
        wait = self._pace.took(time.thread_time() - began, self._loop.time())
        if wait:
            self._pause(1, wait)

    def _pipe_closed(self, fd: int) -> None:
        if fd == 0 and self._input_closed:
            return
        if fd == 2:  # noqa: PLR2004 - standard error
            self._err.finish()
            return
        if fd == 1:
            self._out.finish()
            if self._process is not None and self._process.returncode is not None:
                self._over()
                return
        # It closed a pipe that we cannot do without. Give it a moment to exit, so that its exit code can be told.
        self._over_soon(_LAST_WORDS)

    def _process_exited(self) -> None:
        # Its last words may still be in the pipe; and a grandchild may hold that open for ever.
        self._over_soon(_LAST_WORDS)

    def _over_soon(self, delay: float) -> None:
        if self._reason is None and self._last_words is None:
            self._last_words = self._loop.call_later(delay, self._over)

    def _over(self) -> None:
        if self._reason is None:
            self.give_up(self._how_it_ended())

    def give_up(self, reason: str) -> None:
        """It is not to be spoken to any more; `reason` completes "backend X ..."."""
        if self._reason is None:
            self._reason = reason
            if self._last_words is not None:
                self._last_words.cancel()
            self._on_end(reason)

    def _how_it_ended(self) -> str:
        code = self._process.returncode if self._process is not None else None
        if code is None:
            return "closed its standard output or input"
        if code < 0:
            return f"was ended by signal {_signal_name(-code)}"
        return f"ended (exit code {code})"

    # -- standard error --------------------------------------------------------------------------------------------

    def _stderr(self, data: bytes) -> None:
        """Keep what a person could read; what floods is counted, thrown away and slowed down."""
        now = self._loop.time()
        if now - self._stderr_window > 1.0:
            self._stderr_window, self._stderr_taken = now, 0
            self._tell_lost()
        self._stderr_taken += len(data)
        if self._stderr_taken <= STDERR_BYTES_PER_SECOND:
            self._err.feed(data)
            return
        if not self._stderr_lost:
            self._err.finish()
        self._stderr_lost += len(data)
        self._pause(2, _STDERR_PAUSE)

    def _pause(self, fd: int, seconds: float) -> None:
        """Let the child wait: what it writes fills its pipe, and then it stands still."""
        pipe = self._process.outputs.get(fd) if self._process is not None else None
        if pipe is not None and not pipe.is_closing():
            pipe.pause_reading()
            self._loop.call_later(seconds, self._resume, pipe)

    def _resume(self, pipe: asyncio.ReadTransport) -> None:
        if not pipe.is_closing():
            pipe.resume_reading()

    def _tell_lost(self) -> None:
        if self._stderr_lost:
            self._on_stderr(f"({self._stderr_lost} bytes of standard error came too fast and were not kept)")
            self._stderr_lost = 0

    def _stderr_line(self, line: bytes) -> None:
        self._on_stderr(line.rstrip(b"\r").decode("utf-8", "replace"))

    def _stderr_overlong(self, head: bytes, tail: bytes) -> bool:
        del tail
        self._on_stderr(head.decode("utf-8", "replace") + " ... (line cut)")
        return True

    # -- the end ---------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Close its input, then SIGTERM, then SIGKILL for the group, two seconds apart; then whatever left the group.

        Idempotent; carried through even when the caller is cancelled.
        """
        if self._process is None:
            return
        if self._ending is None:
            self._ending = self._loop.create_task(self._end(self._process))
        await asyncio.shield(self._ending)

    async def _end(self, process: Process) -> None:
        group = process.pid
        self.give_up("was stopped")
        self._flush()
        if self._stdin is not None:
            self._stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if await _gone(process):
                break
            _signal_group(group, number)
        await _gone(process)
        await self._reaper.kill_tree(self.marker, group)
        self._reaper.forget(group)
        self._tell_lost()
        process.close()


async def _gone(process: Process) -> bool:
    try:
        async with asyncio.timeout(_GRACE):
            await process.exited.wait()
    except TimeoutError:
        return False
    return True


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
