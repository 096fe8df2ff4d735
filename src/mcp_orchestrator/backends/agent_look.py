"""Looking at an agent without giving it work: running one of its own commands and reading what it says."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mcp_orchestrator.backends.agent_process import AgentProcess
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import AgentMode, AgentOpening, AgentSpec
from mcp_orchestrator.model.snapshot import Secret

_VERSION: Final = re.compile(r"\d+\.\d+\.\d+[0-9A-Za-z.+-]*")


async def output_of(
    spec: AgentSpec,
    reaper: Reaper,
    command: Sequence[str | Secret],
    *,
    passed: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> str:
    """What a command writes, standard output and then standard error, in an empty directory; "" within 10 seconds.

    Raises:
        BackendError: it cannot be started.
    """
    lines: list[bytes] = []
    process = AgentProcess(spec, reaper, lines.append)
    with tempfile.TemporaryDirectory(prefix="agent-") as empty:
        opening = AgentOpening(cwd=Path(empty), scratch=Path(empty), mode=AgentMode.READ)
        try:
            await process.start(command, opening, passed=passed, env=env)
            process.close_input()
            await asyncio.wait_for(process.ended.wait(), 10)
        except TimeoutError:
            return ""
        finally:
            await process.stop()
    return "\n".join([*(line.decode("utf-8", "replace") for line in lines), *process.stderr])


def version_in(text: str) -> str | None:
    """The first thing in a text that looks like a version."""
    found = _VERSION.search(text)
    return found[0] if found else None
