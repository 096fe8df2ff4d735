"""An agent's process: the child of the MCP transports, with an agent's environment, its own TMPDIR and lines of text."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from mcp_orchestrator.backends.child import Child
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import AgentOpening, AgentSpec
from mcp_orchestrator.model.snapshot import BackendSpec, Secret, TransportKind

LONGEST_LINE: Final = 32 * 1024 * 1024
"""Bytes of one frame of an agent; what is longer is thrown away and told of."""

TAIL: Final = 20
"""Lines of standard error that are kept to explain an end."""


class AgentProcess:
    """A running agent whose standard output is lines.

    `on_line` gets every line that is not empty; `ended` is set, with `why`, when it can no longer be spoken to.
    `stderr` is the last lines of its standard error, without what is confidential.
    """

    def __init__(self, spec: AgentSpec, reaper: Reaper, on_line: Callable[[bytes], None]) -> None:
        self._spec = spec
        self._reaper = reaper
        self._on_line = on_line
        self._child: Child | None = None
        self.ended = asyncio.Event()
        self.why = ""
        self.stderr: list[str] = []
        self.on_stderr: Callable[[str], None] = lambda _line: None

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._child.pid if self._child is not None else None

    async def start(
        self,
        command: Sequence[str | Secret],
        opening: AgentOpening,
        *,
        passed: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start it in `opening.cwd` with TMPDIR in `opening.scratch`.

        `passed` are names of the profile's variables that are inherited besides the basic ones, `env` variables of
        the profile itself; what the configuration says comes on top of both.

        Raises:
            BackendError: it cannot be started; the message tells how to mend it.
        """
        spec = self._spec
        own = {"TMPDIR": str(opening.scratch), **(env or {})}
        first, *rest = command
        described = BackendSpec(
            name=spec.name,
            transport=TransportKind.STDIO,
            command=first.reveal() if isinstance(first, Secret) else first,
            args=tuple(rest),
            env=(*((name, Secret(value)) for name, value in own.items()), *spec.env),
            cwd=str(opening.cwd),
            inherit_env=(*passed, *spec.inherit_env),
            max_result_bytes=LONGEST_LINE,
            where=spec.where,
        )
        child = Child(
            described,
            self._reaper,
            on_line=self._on_line,
            on_overlong=self._overlong,
            on_stderr=self._heard,
            on_end=self._over,
        )
        await child.spawn(os.environ)
        self._child = child

    def write(self, message: bytes) -> None:
        """Send one line.

        Raises:
            BackendError: the agent does not read its input.
        """
        if self._child is not None:
            self._child.write(message)

    def close_input(self) -> None:
        """Say that nothing more will come (end of file on its standard input)."""
        if self._child is not None:
            self._child.close_input()

    async def stop(self) -> None:
        """Close its input, then TERM, then KILL, with everything it started. Idempotent."""
        if self._child is not None:
            await self._child.stop()

    def _overlong(self, head: bytes, tail: bytes) -> bool:
        del head, tail
        self._heard(f"(a line of more than {LONGEST_LINE >> 20} MiB was thrown away)")
        return True

    def _heard(self, line: str) -> None:
        for secret in self._spec.confidential:
            line = line.replace(secret.reveal(), "<secret>")
        self.stderr.append(line)
        del self.stderr[:-TAIL]
        self.on_stderr(line)

    def _over(self, why: str) -> None:
        self.why = why
        self.ended.set()
