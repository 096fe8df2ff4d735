"""Runs git: bounded in time, without prompts, without the hooks of the repository, without the caller's GIT_* variables."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

TIMEOUT: Final = 300.0
"""Seconds that one git command may take; adding a large tree for the first time is the longest."""

_OPTIONS: Final = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false",
    "-c", "advice.detachedHead=false", "-c", "gc.auto=0", "-c", "commit.gpgSign=false",
)  # fmt: skip
_IDENTITY: Final = {
    "GIT_AUTHOR_NAME": "mcp-orchestrator",
    "GIT_AUTHOR_EMAIL": "mcp-orchestrator@localhost",
    "GIT_COMMITTER_NAME": "mcp-orchestrator",
    "GIT_COMMITTER_EMAIL": "mcp-orchestrator@localhost",
}


class GitError(ValueError):
    """A git command failed; the text is what git said, shortened."""


def environment(environ: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """What git sees: nothing of a repository that we happen to be started in, no prompt, plain English."""
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", **_IDENTITY, **more}


async def git(
    where: Path,
    *arguments: str | bytes,
    env: Mapping[str, str] | None = None,
    given: bytes | None = None,
    good: Sequence[int] = (0,),
) -> bytes:
    """Standard output of one git command, run in `where`.

    Raises:
        GitError: git is not there, failed (exit code not in `good`) or took too long.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            *_OPTIONS,
            *arguments,
            cwd=where,
            env=environment(os.environ, env or {}),
            stdin=asyncio.subprocess.PIPE if given is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        text = f"there is no directory {str(where)!r}" if not await asyncio.to_thread(where.is_dir) else "install git"
        raise GitError(text) from error
    try:
        async with asyncio.timeout(TIMEOUT):
            out, err = await process.communicate(given)
    except TimeoutError as error:
        raise GitError(f"git {_shown(arguments)} took longer than {TIMEOUT:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode not in good:
        said = err.decode("utf-8", "replace").strip().replace("\n", "; ")[:500]
        raise GitError(f"git {_shown(arguments)} failed: {said or f'exit code {process.returncode}'}")
    return out


def _shown(arguments: Sequence[str | bytes]) -> str:
    first = arguments[0]
    return first if isinstance(first, str) else os.fsdecode(first)


def lines(out: bytes) -> list[str]:
    """The fields of output that ends each with a NUL byte, as file names are."""
    return [os.fsdecode(part) for part in out.split(b"\0") if part]
