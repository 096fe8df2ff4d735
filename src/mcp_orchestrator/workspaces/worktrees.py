"""Workspaces as git worktrees: made from HEAD and what is not committed, looked at, applied, thrown away."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.delegation import Applied, ChangedFile, Changes, Workspace
from mcp_orchestrator.workspaces.applying import applied
from mcp_orchestrator.workspaces.git import GitError, git, lines

MOST_DIFF: Final = 1024 * 1024
"""Bytes of a diff that are shown."""

MOST_COPIED: Final = 200 * 1024 * 1024
MOST_FILES: Final = 20_000
"""Bytes and files of a directory without git that are copied for a run that only reads."""

EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_REFS: Final = "refs/mcp-orchestrator"
_NOTE: Final = "workspace.json"
_WORDS: Final = {"A": "add", "M": "update", "D": "delete", "R": "move", "C": "add", "T": "update"}


class Worktrees:
    """Keeps workspaces in directories of their own under `root`, one for each run."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._one_at_a_time: dict[str, asyncio.Lock] = {}

    async def prepare(self, run: str, given: Path | None, mode: AgentMode) -> Workspace:
        """A place for the agent of a run. Raises ValueError."""
        place = self._root / run
        tree, scratch = place / "tree", place / "tmp"
        await asyncio.to_thread(_make, place, scratch)
        try:
            workspace = await self._filled(Workspace(run, str(tree), str(scratch), mode), given, tree)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, place, True)
            raise
        await asyncio.to_thread((place / _NOTE).write_text, json.dumps(asdict(workspace)), "utf-8", "surrogateescape")
        return workspace

    async def _filled(self, workspace: Workspace, given: Path | None, tree: Path) -> Workspace:
        if given is None:
            await asyncio.to_thread(tree.mkdir)
            return workspace
        top = await _top(given)
        if top is None:
            if workspace.mode is AgentMode.WRITE:
                text = f"{str(given)!r} is in no git repository, so changes could not be kept apart; run git init there"
                raise ValueError(text)
            await asyncio.to_thread(_copy, given, tree)
            return Workspace(workspace.run, str(tree), workspace.scratch, workspace.mode, str(given))
        base = await _base(top, workspace.run, Path(workspace.scratch))
        await git(top, "worktree", "add", "--quiet", "--detach", str(tree), base)
        inside = tree / (await asyncio.to_thread(given.resolve)).relative_to(top)
        await asyncio.to_thread(lambda: inside.mkdir(parents=True, exist_ok=True))
        return Workspace(workspace.run, str(inside), workspace.scratch, workspace.mode, str(given), str(top), base)

    async def changes(self, workspace: Workspace) -> Changes:
        """What differs from the base now. Raises ValueError."""
        if workspace.base is None:
            return Changes()
        tree = self._tree(workspace)
        now = await self._now(workspace, tree)
        names = await git(tree, "diff-tree", "-r", "-z", "-M", "--name-status", workspace.base, now)
        numbers = await git(tree, "diff-tree", "-r", "-z", "-M", "--numstat", workspace.base, now)
        diff = await git(
            tree, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "-M", "--binary", workspace.base, now
        )
        shown = diff[:MOST_DIFF].decode("utf-8", "replace")
        files = _files(lines(names), _numbers(numbers))
        return Changes(files, shown, truncated=len(diff) > MOST_DIFF)

    async def apply(self, workspace: Workspace) -> Applied:
        """Bring the changes into the tree they were made from. Raises ValueError."""
        if workspace.base is None or workspace.repository is None:
            raise ValueError("the workspace was not made from a git repository: there is nothing to apply to")
        tree = self._tree(workspace)
        top = Path(workspace.repository)
        async with self._one_at_a_time.setdefault(workspace.repository, asyncio.Lock()):
            now = await self._now(workspace, tree)
            raw = await git(tree, "diff-tree", "-r", "-z", "--no-renames", "--raw", workspace.base, now)
            return await applied(top, tree, raw, workspace.run)

    async def discard(self, workspace: Workspace) -> None:
        """Remove everything of a workspace. Idempotent."""
        place = self._root / workspace.run
        if workspace.repository is not None and workspace.base is not None:
            top = Path(workspace.repository)
            with suppress(GitError):
                await git(top, "worktree", "remove", "--force", "--force", str(place / "tree"))
            with suppress(GitError):
                await git(top, "update-ref", "-d", f"{_REFS}/{workspace.run}")
        await asyncio.to_thread(_remove, place)
        if workspace.repository is not None:
            with suppress(GitError):
                await git(Path(workspace.repository), "worktree", "prune")

    async def sweep(self, older_than: float, may_go: Callable[[str], Awaitable[bool]]) -> int:
        """Discard workspaces that were made before a time (seconds since the epoch); returns how many.

        `may_go` tells of a run whether nobody needs its workspace any more.
        """
        gone = 0
        for workspace in await asyncio.to_thread(_notes, self._root, older_than):
            if await may_go(workspace.run):
                await self.discard(workspace)
                gone += 1
        return gone

    def _tree(self, workspace: Workspace) -> Path:
        tree = self._root / workspace.run / "tree"
        if not tree.is_dir():
            raise ValueError(f"the workspace of run '{workspace.run}' is no longer there (delegation.retain)")
        return tree

    async def _now(self, workspace: Workspace, tree: Path) -> str:
        """The tree object of what is in the worktree now, made beside its own index."""
        return await _tree_of(tree, self._root / workspace.run / "index")


async def _top(given: Path) -> Path | None:
    """The top of the working tree that a directory lies in; None outside of any."""
    try:
        out = await git(given, "rev-parse", "--show-toplevel")
    except GitError as error:
        if "not a git repository" in str(error):
            return None
        if "must be run in a work tree" in str(error):
            raise ValueError(f"{str(given)!r} is a bare repository: there are no files to work on") from error
        raise
    return Path(os.fsdecode(out.rstrip(b"\n")))


async def _base(top: Path, run: str, scratch: Path) -> str:
    """A commit that holds the tree as it is, HEAD plus everything uncommitted; a hidden ref keeps it."""
    try:
        head: str | None = (await git(top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")).decode().strip()
    except GitError:
        head = None  # no commit yet
    tree = await _tree_of(top, scratch / "index")
    parents = ("-p", head) if head else ()
    made = await git(top, "commit-tree", tree, *parents, "-m", f"The working tree before run {run}")
    commit = made.decode().strip()
    await git(top, "update-ref", f"{_REFS}/{run}", commit)
    return commit


async def _tree_of(top: Path, index: Path) -> str:
    """The tree object of the files of a working tree, ignored ones left out; its own index is only read."""
    own = os.fsdecode((await git(top, "rev-parse", "--git-path", "index")).rstrip(b"\n"))
    await asyncio.to_thread(_copy_file, top / own, index)
    env = {"GIT_INDEX_FILE": str(index)}
    await git(top, "add", "--all", "--", ".", env=env)
    return (await git(top, "write-tree", env=env)).decode().strip()


def _files(names: list[str], numbers: dict[str, tuple[int, int, bool]]) -> tuple[ChangedFile, ...]:
    files: list[ChangedFile] = []
    rest = iter(names)
    for status in rest:
        first = next(rest)
        before, path = (first, next(rest)) if status[0] in "RC" else (None, first)
        added, removed, binary = numbers.get(path, (0, 0, False))
        change = _WORDS.get(status[0], "update")
        files.append(ChangedFile(path, change, added, removed, binary, before if change == "move" else None))
    return tuple(sorted(files, key=lambda one: one.path))


def _numbers(out: bytes) -> dict[str, tuple[int, int, bool]]:
    """Lines added and removed by path, and whether it is binary, from `--numstat -z`."""
    found: dict[str, tuple[int, int, bool]] = {}
    parts = iter(out.split(b"\0"))
    for part in parts:
        if not part:
            continue
        added, removed, name = part.split(b"\t", 2)
        if not name:  # a move: its former name and its name follow
            next(parts)
            name = next(parts)
        binary = added == b"-"
        found[os.fsdecode(name)] = (0 if binary else int(added), 0 if binary else int(removed), binary)
    return found


# -- files, in threads ------------------------------------------------------------------------------------------------


def _make(place: Path, scratch: Path) -> None:
    try:
        place.mkdir(parents=True)
    except FileExistsError:
        _remove(place)  # of a gateway that ended while it was made
        place.mkdir(parents=True)
    place.chmod(0o700)
    scratch.mkdir()


def _copy_file(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    with suppress(FileNotFoundError):  # nothing was ever added there
        shutil.copyfile(source, target)


def _copy(given: Path, tree: Path) -> None:
    """A copy of a directory that is in no repository. Raises ValueError when it is too large."""
    size = files = 0
    for directory, _, names in os.walk(given):
        for name in names:
            found = os.lstat(Path(directory) / name)
            size, files = size + (found.st_size if stat.S_ISREG(found.st_mode) else 0), files + 1
            if size > MOST_COPIED or files > MOST_FILES:
                text = f"{str(given)!r} is in no git repository and larger than {MOST_COPIED >> 20} MiB or {MOST_FILES}"
                raise ValueError(f"{text} files, too large to copy; run git init there")
    shutil.copytree(given, tree, symlinks=True, ignore=_special)


def _special(directory: str, names: list[str]) -> list[str]:
    """Sockets, devices and named pipes: they cannot be copied."""
    kinds = {name: os.lstat(Path(directory) / name).st_mode for name in names}
    return [
        name for name, mode in kinds.items() if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))
    ]


def _remove(place: Path) -> None:
    """Remove a tree, also where an agent took the rights away."""
    for directory, _, _ in os.walk(place):
        with suppress(OSError):
            os.chmod(directory, 0o700)  # noqa: PTH101 - a plain string of os.walk
    shutil.rmtree(place, ignore_errors=True)


def _notes(root: Path, older_than: float) -> list[Workspace]:
    found: list[Workspace] = []
    for note in sorted(root.glob(f"*/{_NOTE}")):
        if note.stat().st_mtime >= older_than:
            continue
        fields = json.loads(note.read_text("utf-8", "surrogateescape"))
        found.append(Workspace(**{**fields, "mode": AgentMode(fields["mode"])}))
    return found
