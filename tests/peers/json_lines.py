"""A program spoken to in lines of JSON: what a host of a coding agent does, with the patience of a test."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PATIENCE = 60  # seconds of silence until a test gives up

Message = dict[str, Any]


class JsonLines:
    """A child process; `said` keeps every message it wrote. Use it as a context manager: it ends with its group."""

    def __init__(self, argv: Sequence[str], env: dict[str, str], directory: Path) -> None:
        self._log = directory / "agent.log"
        self.said: list[Message] = []
        self._lines: queue.Queue[Message | None] = queue.Queue()
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env, cwd=directory,
                text=True, start_new_session=True,
            )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._child.stdout:
            with contextlib.suppress(ValueError):
                self._lines.put(json.loads(line))
        self._lines.put(None)

    def send(self, message: Message) -> None:
        """Write one message."""
        self._child.stdin.write(json.dumps(message) + "\n")
        self._child.stdin.flush()

    def until(
        self, wanted: Callable[[Message], bool], meanwhile: Callable[[Message], None] = lambda _: None
    ) -> Message:
        """The next message that is wanted; all others go to `meanwhile`. Raises AssertionError when none comes."""
        while True:
            try:
                message = self._lines.get(timeout=PATIENCE)
            except queue.Empty:
                message = None
            if message is None:
                last = "\n".join(json.dumps(one)[:600] for one in self.said[-12:])
                raise AssertionError(f"the agent said no more:\n{last}\n{self._log.read_text()[-3000:]}")
            self.said.append(message)
            if wanted(message):
                return message
            meanwhile(message)

    def close(self) -> int:
        """End its input, then its process group; returns the exit code."""
        self._child.stdin.close()
        try:
            return self._child.wait(10)
        except subprocess.TimeoutExpired:
            return -1
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
            self._reader.join()
            self._child.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()
