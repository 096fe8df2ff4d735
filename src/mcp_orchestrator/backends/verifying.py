"""Runs the commands by which the work of agents is verified: in their workspace, bounded in time, output and offspring."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Sequence
from typing import Final

from mcp_orchestrator.backends.child import Child
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent_routes import Verdict
from mcp_orchestrator.model.delegation import Workspace
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.snapshot import BackendSpec, Secret, TransportKind

MOST_LINES: Final = 200
"""Lines of what a command says that are kept: the last ones."""

LONGEST_LINE: Final = 2_000
"""Characters."""

_LAST_WORDS: Final = 2.0


class CommandVerifier:
    """A `Verifier` on processes of this machine."""

    def __init__(self, reaper: Reaper) -> None:
        self._reaper = reaper

    async def verify(self, command: Sequence[str], workspace: Workspace, seconds: float) -> Verdict:
        """Run a command line; it gets the basic variables and the TMPDIR of the run, and nothing else of ours."""
        said: deque[str] = deque(maxlen=MOST_LINES)
        over = asyncio.Event()
        shown = " ".join(command)[:200]

        def hear(line: str) -> None:
            said.append(line[:LONGEST_LINE])

        def hear_bytes(line: bytes) -> None:
            hear(line.decode("utf-8", "replace"))

        def too_long(head: bytes, tail: bytes) -> bool:
            del tail
            hear_bytes(head)
            return True

        first, *rest = command
        spec = BackendSpec(
            name="verify",
            transport=TransportKind.STDIO,
            command=first,
            args=tuple(rest),
            env=(("TMPDIR", Secret(workspace.scratch)),),
            cwd=workspace.path,
            max_result_bytes=LONGEST_LINE * 4,
        )
        child = Child(
            spec, self._reaper, on_line=hear_bytes, on_overlong=too_long, on_stderr=hear, on_end=lambda _why: over.set()
        )
        try:
            await child.spawn(os.environ)
        except BackendError as error:
            return Verdict(passed=False, said=f"{shown} could not be run: {error.message}")
        try:
            child.close_input()
            async with asyncio.timeout(seconds):
                code = await child.exited()
            with contextlib.suppress(TimeoutError):  # somebody may hold its output open for ever
                async with asyncio.timeout(_LAST_WORDS):
                    await over.wait()
        except TimeoutError:
            return Verdict(passed=False, said=_told(f"{shown} took longer than {seconds:g} s", said))
        finally:
            await child.stop()
        if code == 0:
            return Verdict(passed=True, said=_told(f"{shown} passed", said))
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"failed (exit code {code})"
        return Verdict(passed=False, said=_told(f"{shown} {how}", said))


def _told(head: str, said: Sequence[str] | deque[str]) -> str:
    text = "\n".join(said).strip()
    return f"{head}:\n{text}" if text else head
