"""Runs git: bounded in time and output, without prompts, without the programs that a repository's configuration names.

Hooks, file-system monitors, content filters (that of LFS too) and external diffs are off: a directory that somebody
names must not start programs. Nothing of the GIT_* variables that we happen to be started with is passed on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

TIMEOUT: Final = 300.0
"""Seconds that one git command may take; adding a large tree for the first time is the longest."""

_CONFIG: Final[Mapping[str, str]] = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "core.safecrlf": "false",
    "core.quotePath": "false",
    "advice.detachedHead": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "commit.gpgSign": "false",
    "submodule.recurse": "false",
}
_IDENTITY: Final[Mapping[str, str]] = {
    "GIT_AUTHOR_NAME": "mcp-orchestrator",
    "GIT_AUTHOR_EMAIL": "mcp-orchestrator@localhost",
    "GIT_COMMITTER_NAME": "mcp-orchestrator",
    "GIT_COMMITTER_EMAIL": "mcp-orchestrator@localhost",
}
_QUIET: Final[Mapping[str, str]] = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}


class GitError(ValueError):
    """A git command failed; the text is what git said, shortened."""


def environment(environ: Mapping[str, str], more: Mapping[str, str], filters: Iterable[str] = ()) -> dict[str, str]:
    """What git sees: nothing of a repository that we happen to be started in, no prompt, plain English.

    `filters` are the names of content filters (as `filter.NAME` of the configuration) that are to do nothing.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    config = dict(_CONFIG)
    for name in filters:
        config |= {f"{name}.clean": "", f"{name}.smudge": "", f"{name}.process": "", f"{name}.required": "false"}
    told = {"GIT_CONFIG_COUNT": str(len(config))}
    for position, (key, value) in enumerate(config.items()):
        told |= {f"GIT_CONFIG_KEY_{position}": key, f"GIT_CONFIG_VALUE_{position}": value}
    return {**kept, **_QUIET, **_IDENTITY, **told, **more}


class Git:
    """Runs git in a directory. `env` are GIT_* variables such as GIT_DIR; `filters` as in `environment`.

    `hold` is a descriptor that git inherits, so that what it locks is locked until git has ended.
    """

    def __init__(
        self,
        where: Path,
        env: Mapping[str, str] | None = None,
        filters: Sequence[str] = (),
        hold: int | None = None,
    ) -> None:
        self.where = where
        self._env = dict(env or {})
        self._filters = tuple(filters)
        self._hold = hold

    def on(self, where: Path | None = None, **env: str) -> Git:
        """The same in another directory, or with more variables."""
        return Git(where or self.where, self._env | env, self._filters, self._hold)

    async def plain(self) -> Git:
        """The same with every content filter of the configuration switched off."""
        listed = await self("config", "-z", "--name-only", "--get-regexp", r"^filter\.", good=(0, 1))
        return Git(self.where, self._env, sorted({name.rsplit(".", 1)[0] for name in lines(listed)}), self._hold)

    async def __call__(
        self, *arguments: str | bytes, given: bytes | None = None, good: Sequence[int] = (0,), most: int | None = None
    ) -> bytes:
        """Standard output of one git command; one that writes more than `most` bytes is ended there.

        Raises:
            GitError: git is not there, failed (exit code not in `good`) or took too long.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *arguments,
                cwd=self.where,
                env=environment(os.environ, self._env, self._filters),
                stdin=asyncio.subprocess.PIPE if given is not None else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=() if self._hold is None else (self._hold,),
            )
        except FileNotFoundError as error:
            there = await asyncio.to_thread(self.where.is_dir)
            raise GitError("install git" if there else f"there is no directory {str(self.where)!r}") from error
        try:
            async with asyncio.timeout(TIMEOUT):
                if most is None:
                    out, err = await process.communicate(given)
                else:
                    out, err = await _at_most(process, most)
        except TimeoutError as error:
            raise GitError(f"git {_shown(arguments)} took longer than {TIMEOUT:g} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode not in good and (most is None or len(out) <= most):
            said = err.decode("utf-8", "replace").strip().replace("\n", "; ")[:500]
            raise GitError(f"git {_shown(arguments)} failed: {said or f'exit code {process.returncode}'}")
        return out

    async def text(self, *arguments: str | bytes, good: Sequence[int] = (0,)) -> str:
        """Standard output of one git command as a text, without the end of its line."""
        return os.fsdecode((await self(*arguments, good=good)).removesuffix(b"\n"))


async def _at_most(process: asyncio.subprocess.Process, most: int) -> tuple[bytes, bytes]:
    """What a command writes, or the first `most` bytes of it and at least one more."""
    if process.stdout is None or process.stderr is None:
        return b"", b""
    errors = asyncio.ensure_future(process.stderr.read())
    try:
        out = bytearray()
        while len(out) <= most and (piece := await process.stdout.read(1 << 16)):
            out += piece
        if len(out) > most:
            return bytes(out), b""
        err = await errors
        await process.wait()
        return bytes(out), err
    finally:
        errors.cancel()


def _shown(arguments: Sequence[str | bytes]) -> str:
    first = arguments[0]
    return first if isinstance(first, str) else os.fsdecode(first)


def lines(out: bytes) -> list[str]:
    """The fields of output that ends each with a NUL byte, as file names are."""
    return [os.fsdecode(part) for part in out.split(b"\0") if part]
