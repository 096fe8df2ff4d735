"""Workspaces as git worktrees: made from HEAD and what is not committed, looked at, applied, thrown away."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.delegation import Applied, ChangedFile, Changes, Workspace
from mcp_orchestrator.workspaces.applying import Sides, applied, told
from mcp_orchestrator.workspaces.git import Git, GitError, lines
from mcp_orchestrator.workspaces.holding import held
from mcp_orchestrator.workspaces.settling import settle
from mcp_orchestrator.workspaces.trees import copy_index, tree_of

MOST_DIFF: Final = 1024 * 1024
"""Bytes of a diff that are shown."""

MOST_COPIED: Final = 200 * 1024 * 1024
MOST_FILES: Final = 20_000
"""Bytes and files of a directory without git that are copied for a run that only reads."""

_REFS: Final = "refs/mcp-orchestrator"
_NOTE: Final = "workspace.json"
_INDEX: Final = "index"
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
        await asyncio.to_thread(lambda: self._root.mkdir(parents=True, exist_ok=True))
        async with held(self._lock_of(run)) as lock:
            await asyncio.to_thread(_make, place, scratch)
            try:
                workspace = await self._filled(Workspace(run, str(tree), str(scratch), mode), given, tree, lock)
            except BaseException:
                await asyncio.to_thread(shutil.rmtree, place, True)
                raise
            finally:
                self._lock_of(run).unlink(missing_ok=True)
        await asyncio.to_thread((place / _NOTE).write_text, json.dumps(asdict(workspace)), "utf-8", "surrogateescape")
        return workspace

    def _lock_of(self, run: str) -> Path:
        return self._root / f".{run}.lock"

    async def _filled(self, workspace: Workspace, given: Path | None, tree: Path, lock: int) -> Workspace:
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
        git = await Git(top, hold=lock).plain()
        base = await _base(git, top, workspace.run, tree.parent / _INDEX)
        # Forced: a gateway that was killed in the middle of this leaves the place registered, and locked, without a tree.
        await git("worktree", "add", "--force", "--force", "--quiet", "--detach", str(tree), base)
        own = Path(await git.on(tree).text("rev-parse", "--absolute-git-dir")) / "index"
        await asyncio.to_thread(copy_index, own, tree.parent / _INDEX)
        inside = tree / (await asyncio.to_thread(given.resolve)).relative_to(top)
        await asyncio.to_thread(lambda: inside.mkdir(parents=True, exist_ok=True))
        return Workspace(workspace.run, str(inside), workspace.scratch, workspace.mode, str(given), str(top), base)

    async def changes(self, workspace: Workspace) -> Changes:
        """What differs from the base now. Raises ValueError."""
        if workspace.base is None or workspace.repository is None:
            return Changes()
        git, now = await self._now(workspace, workspace.repository)
        names = await git("diff-tree", "-r", "-z", "-M", "--name-status", workspace.base, now)
        numbers = await git("diff-tree", "-r", "-z", "-M", "--numstat", workspace.base, now)
        form = ("-r", "-p", "-M", "--no-color", "--no-ext-diff", "--no-textconv", "--binary")
        diff = await git("diff-tree", *form, workspace.base, now, most=MOST_DIFF)
        shown = diff[:MOST_DIFF].decode("utf-8", "replace")
        files = _files(lines(names), _numbers(numbers))
        return Changes(files, shown, truncated=len(diff) > MOST_DIFF)

    async def apply(self, workspace: Workspace) -> Applied:
        """Bring the changes into the tree they were made from. Raises ValueError."""
        if workspace.base is None or workspace.repository is None:
            raise ValueError("the workspace was not made from a git repository: there is nothing to apply to")
        async with self._one_at_a_time.setdefault(workspace.repository, asyncio.Lock()):
            git, now = await self._now(workspace, workspace.repository)
            raw = await git("diff-tree", "-r", "-z", "--no-renames", "--raw", workspace.base, now)
            sides = Sides(Path(workspace.repository), Path(workspace.origin or workspace.repository), git.where, git)
            return await applied(sides, raw, workspace.run)

    async def discard(self, workspace: Workspace) -> None:
        """Remove everything of a workspace. Idempotent."""
        place = self._root / workspace.run
        if workspace.repository is not None and workspace.base is not None:
            git = Git(Path(workspace.repository))
            with suppress(GitError):
                await git("update-ref", "-d", f"{_REFS}/{workspace.run}")
            with suppress(GitError):
                # Not `worktree prune`: that would also forget worktrees of the caller whose disk is away just now.
                common = await git.text("rev-parse", "--path-format=absolute", "--git-common-dir")
                await asyncio.to_thread(_forget, Path(common), place / "tree")
        await asyncio.to_thread(_remove, place)

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

    async def settle(self) -> list[str]:
        """Put back what a gateway that was killed had applied by halves; returns the runs whose changes it were."""
        return await asyncio.to_thread(settle, self._root)

    def _tree(self, workspace: Workspace) -> Path:
        tree = self._root / workspace.run / "tree"
        if not tree.is_dir():
            raise ValueError(f"the workspace of run '{workspace.run}' is no longer there (delegation.retain)")
        return tree

    async def _now(self, workspace: Workspace, repository: str) -> tuple[Git, str]:
        """Git for the agent's tree, and the tree object of what is in it now.

        The repository is the caller's whatever became of the worktree's own link to it. The index is the one that the
        worktree began with: what the agent committed or staged differs from it like everything else.
        """
        tree = self._tree(workspace)
        common = await Git(Path(repository)).text("rev-parse", "--absolute-git-dir")
        git = await Git(tree, {"GIT_DIR": common, "GIT_WORK_TREE": str(tree)}).plain()
        with tempfile.TemporaryDirectory(prefix="index-", dir=tree.parent) as own:
            index = Path(own) / "index"
            await asyncio.to_thread(copy_index, tree.parent / _INDEX, index)
            also = await _tracked(tree)
            return git, await tree_of(git, tree, index, nested=True, also=also)


async def _tracked(tree: Path) -> list[bytes]:
    """What the agent has added to its own index, ignored files too; [] when that cannot be read."""
    try:
        listed = await Git(tree, {"GIT_CEILING_DIRECTORIES": str(tree.parent)})("ls-files", "-z", "--cached")
    except GitError:
        return []
    return [name for name in listed.split(b"\0") if name]


async def _top(given: Path) -> Path | None:
    """The top of the working tree that a directory lies in; None outside of any."""
    try:
        out = await Git(given)("rev-parse", "--show-toplevel")
    except GitError as error:
        if "not a git repository" in str(error):
            return None
        if "must be run in a work tree" in str(error):
            raise ValueError(f"{str(given)!r} is a bare repository: there are no files to work on") from error
        raise
    return Path(os.fsdecode(out.rstrip(b"\n")))


async def _base(git: Git, top: Path, run: str, index: Path) -> str:
    """A commit that holds the tree as it is, HEAD plus everything uncommitted; a hidden ref keeps it."""
    head = await git.text("rev-parse", "--verify", "--quiet", "HEAD^{commit}", good=(0, 1))  # "": no commit yet
    own = top / await git.text("rev-parse", "--git-path", "index")
    await asyncio.to_thread(copy_index, own, index)
    tree = await tree_of(git, top, index, nested=False)
    parents = ("-p", head) if head else ()
    commit = await git.text("commit-tree", tree, *parents, "-m", f"The working tree before run {run}")
    await git("update-ref", f"{_REFS}/{run}", commit)
    return commit


def _files(names: list[str], numbers: dict[str, tuple[int, int, bool]]) -> tuple[ChangedFile, ...]:
    files: list[ChangedFile] = []
    rest = iter(names)
    for status in rest:
        first = next(rest)
        before, path = (first, next(rest)) if status[0] in "RC" else (None, first)
        added, removed, binary = numbers.get(path, (0, 0, False))
        change = _WORDS.get(status[0], "update")
        files.append(ChangedFile(path, change, added, removed, binary, before if change == "move" else None))
    shown = (replace(one, path=told(one.path), before=one.before and told(one.before)) for one in files)
    return tuple(sorted(shown, key=lambda one: one.path))


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


def _forget(common: Path, tree: Path) -> None:
    """Take a worktree off the list of its repository."""
    for entry in (common / "worktrees").glob("*/gitdir"):
        try:
            named = entry.read_text("utf-8", "surrogateescape").strip()
        except OSError:
            continue
        if named == str(tree / ".git"):
            shutil.rmtree(entry.parent, ignore_errors=True)


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
