"""Brings an agent's changes into the caller's tree: everything is decided first, then all of it is written, or none.

A file that still is what the agent began with takes the agent's version; one that is the same already is left alone;
where both changed a text, the two changes are merged if they do not touch. Anything else is a conflict. New contents
are made ready beside their places and then renamed; what goes wrong in between is put back.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from mcp_orchestrator.model.delegation import Applied
from mcp_orchestrator.workspaces.git import Git, GitError
from mcp_orchestrator.workspaces.settling import Note, beside, locked, seen_as, settle_place

LINK: Final = "120000"
SUBMODULE: Final = "160000"
EXECUTABLE: Final = "100755"
NOTHING: Final = "000000"
_SNIFFED: Final = 8000
"""Bytes in which a NUL makes a file binary, as git has it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One file of the difference: git modes and blob ids before and after (`000000`: not there)."""

    path: str
    before_mode: str
    after_mode: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Step:
    """What is done to one file: `content` None removes it. `seen` is how the file was found when that was decided."""

    path: Path
    content: bytes | None
    mode: str
    seen: tuple[int, int, int] | None


class Moved(Exception):  # noqa: N818 - it is no error of the program
    """A file changed while the changes were being applied."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Where changes go, and where they come from.

    `top` is the top of the caller's tree, `named` the directory in it that was given to the agent: nothing outside of
    that is written. `tree` is the agent's tree; `git` runs there.
    """

    top: Path
    named: Path
    tree: Path
    git: Git


async def applied(sides: Sides, raw: bytes, run: str) -> Applied:
    """Apply a difference (`git diff-tree --raw -z`) between the base and the agent's tree to the caller's."""
    top, tree = sides.top, sides.tree
    steps: list[Step] = []
    conflicts: dict[str, str] = {}
    for change in changes_in(raw):
        decided = await _decided(sides, change)
        if isinstance(decided, str):
            conflicts[told(change.path)] = decided
        elif decided is not None:
            steps.append(decided)
    if conflicts:
        return Applied((), conflicts)
    try:
        await asyncio.to_thread(_carry_out_alone, steps, run, tree.parent)
    except Moved as moved:
        return Applied((), {_name(top, str(moved)): "it changed while the changes were being applied; try again"})
    except OSError as error:
        return Applied(
            (), {_name(top, str(error.filename)): f"it cannot be written: {error.strerror}; nothing was changed"}
        )
    return Applied(tuple(_name(top, str(step.path)) for step in steps))


def _name(top: Path, path: str) -> str:
    return told(path.removeprefix(f"{top}{os.sep}"))


def told(name: str) -> str:
    """A file name as it can be shown and sent: bytes that are no UTF-8 are written as backslash, x and two digits."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def changes_in(raw: bytes) -> list[Change]:
    """The changes of `git diff-tree -r -z --no-renames --raw`."""
    parts = [part for part in raw.split(b"\0") if part]
    found: list[Change] = []
    for head, name in zip(parts[::2], parts[1::2], strict=True):
        before_mode, after_mode, before, after, _ = head.decode().removeprefix(":").split(" ")
        found.append(Change(os.fsdecode(name), before_mode, after_mode, before, after))
    return found


async def _decided(sides: Sides, change: Change) -> Step | str | None:
    """What to do about one file; a text says why that cannot be done, None that nothing needs to be."""
    path = _inside(sides.top, change.path)
    why = _never(sides, change, path)
    if why is not None or path is None:
        return why
    seen = await asyncio.to_thread(seen_as, path)
    if seen is None and change.after_mode == NOTHING:
        return None
    if seen is None:
        if change.before_mode != NOTHING:
            return "it was removed in the workspace, and changed by the agent"
        return Step(path, await _content(sides, change), change.after_mode, None)
    mode, blob = await _there(sides.git.on(sides.top), path, change.path)
    if mode == "directory":
        return "there is a directory of this name in the workspace, or something else that is no file"
    return await _over(sides, path, change, Found(mode, blob, seen))


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the caller: its git mode, blob id, and how it looked."""

    mode: str
    blob: str
    seen: tuple[int, int, int]


def _never(sides: Sides, change: Change, path: Path | None) -> str | None:
    """Why a change cannot be applied whatever the file is like; None when it may be."""
    if SUBMODULE in (change.before_mode, change.after_mode):
        return "it is a submodule; bring its changes over by hand"
    if path is None:
        return "it would lie outside of the workspace, behind a symbolic link, or in .git"
    if not path.is_relative_to(sides.named.resolve()):
        return f"it lies outside of {str(sides.named)!r}, which was named as the workspace"
    if any(parent.exists() and not parent.is_dir() for parent in path.parents):
        return "a file of the workspace stands where a directory is needed; make the directory first"
    return None


async def _over(sides: Sides, path: Path, change: Change, found: Found) -> Step | str | None:
    """What to do about a file that is there."""
    gone = change.after_mode == NOTHING
    same_kind = _kind(found.mode) == _kind(change.after_mode)
    if not gone and same_kind and found.blob == change.after:
        mode = _mode(change, found.mode)
        return Step(path, await _content(sides, change), mode, found.seen) if found.mode != mode else None
    if change.before_mode == NOTHING:
        return "it was added in the workspace too, with other contents"
    if found.blob == change.before and _kind(found.mode) == _kind(change.before_mode):
        content = None if gone else await _content(sides, change)
        return Step(path, content, _mode(change, found.mode), found.seen)
    if gone:
        return "it was changed in the workspace, and removed by the agent"
    return await _merged(sides, path, change, found)


def _mode(change: Change, found: str) -> str:
    """The mode that a file gets: the caller's own, unless the agent changed it."""
    kept = change.before_mode == change.after_mode and LINK not in (change.after_mode, found)
    return found if kept else change.after_mode


def _kind(mode: str) -> str:
    return LINK if mode == LINK else "file"


def _inside(top: Path, name: str) -> Path | None:
    parts = PurePosixPath(name).parts
    if not parts or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or name.startswith("/"):
        return None
    path = top
    for part in parts[:-1]:
        path = path / part
        if path.is_symlink():
            return None
    return top.joinpath(*parts)


async def _there(git: Git, path: Path, name: str) -> tuple[str, str]:
    """The git mode and blob id of a file as it lies in the working tree."""
    found = await asyncio.to_thread(os.lstat, path)
    if stat.S_ISDIR(found.st_mode):
        return "directory", ""
    if stat.S_ISLNK(found.st_mode):
        target = os.fsencode(await asyncio.to_thread(os.readlink, path))
        return LINK, (await git("hash-object", "--stdin", given=target)).decode().strip()
    if not stat.S_ISREG(found.st_mode):
        return "directory", ""
    content = await asyncio.to_thread(path.read_bytes)
    blob = await git("hash-object", "--stdin", "--path", os.fsencode(name), given=content)
    return EXECUTABLE if found.st_mode & stat.S_IXUSR else "100644", blob.decode().strip()


async def _content(sides: Sides, change: Change) -> bytes:
    """The agent's version, as a working tree has it (with the line ends of the repository)."""
    return await _blob(sides.git, change.after, change.after_mode, change.path)


async def _blob(git: Git, blob: str, mode: str, name: str) -> bytes:
    if mode == LINK:
        return await git("cat-file", "blob", blob)
    return await git("cat-file", "--filters", "--path", os.fsencode(name), blob)


async def _merged(sides: Sides, path: Path, change: Change, found: Found) -> Step | str:
    """Both changed it: merged, where both are texts and their changes do not touch."""
    refusal = "it was changed in the workspace too, in the same place"
    if LINK in (change.before_mode, change.after_mode, found.mode):
        return "it was changed in the workspace too, and a symbolic link cannot be merged"
    ours = await asyncio.to_thread(path.read_bytes)
    base = await _blob(sides.git, change.before, change.before_mode, change.path)
    theirs = await _content(sides, change)
    if any(b"\0" in content[:_SNIFFED] for content in (ours, base, theirs)):
        return "it was changed in the workspace too, and it is binary"
    scratch = sides.tree.parent / "merging"
    names = [str(scratch / name) for name in ("ours", "base", "theirs")]
    await asyncio.to_thread(_write_all, scratch, dict(zip(names, (ours, base, theirs), strict=True)))
    try:
        merged = await sides.git("merge-file", "-p", "--quiet", *names)
    except GitError:
        return refusal
    return Step(path, merged, _mode(change, found.mode), found.seen)


def _write_all(directory: Path, contents: dict[str, bytes]) -> None:
    directory.mkdir(exist_ok=True)
    for name, content in contents.items():
        Path(name).write_bytes(content)


# -- writing, in a thread ---------------------------------------------------------------------------------------------


def _carry_out_alone(steps: list[Step], run: str, place: Path) -> None:
    with locked(place) as ours:
        if not ours:
            raise BlockingIOError(errno.EAGAIN, "another gateway applies these changes just now", str(place))
        settle_place(place)
        carry_out(steps, run, Note(place, run, [step.path for step in steps]))


def carry_out(steps: list[Step], run: str, note: Note) -> None:
    """Do all steps, or put back what was done; `note` is for whoever comes after a process that was killed meanwhile.

    Raises:
        Moved: a file changed meanwhile.
        OSError: something cannot be written.
    """
    made = note.made
    kept: list[tuple[Path, Path | None]] = []
    staged: list[tuple[Step, Path | None]] = []
    try:
        note.write("staging")
        staged += [(step, _stage(step, run, note)) for step in steps]
        looks = {os.fspath(step.path): seen_as(ready) for step, ready in staged if ready is not None}
        note.write("replacing", {path: look for path, look in looks.items() if look is not None})
        for step, ready in staged:
            _check_unmoved(step)
            aside = beside(step.path, run, "old") if step.seen is not None else None
            if aside is not None:
                _keep(step.path, aside)
            kept.append((step.path, aside))
            if ready is not None:
                os.replace(ready, step.path)  # noqa: PTH105 - within one directory: never half a file
            else:
                step.path.unlink()
    except BaseException:
        _put_back(kept)
        _forget([ready for _, ready in staged if ready is not None])
        _forget_directories(made)
        note.forget()
        raise
    note.write("done")
    _forget([aside for _, aside in kept if aside is not None])
    for step in steps:
        if step.content is None:
            _forget_directories(list(step.path.parents)[::-1][len(step.path.parents) - 1 :])
    note.forget()


def _check_unmoved(step: Step) -> None:
    if seen_as(step.path) != step.seen:
        raise Moved(str(step.path))


def _keep(path: Path, aside: Path) -> None:
    """The file under a second name, so that it can be put back; the first name stays where it is."""
    aside.unlink(missing_ok=True)
    try:
        os.link(path, aside, follow_symlinks=False)
    except OSError:  # a file system without hard links
        shutil.copy2(path, aside, follow_symlinks=False)


def _stage(step: Step, run: str, note: Note) -> Path | None:
    if step.content is None:
        return None
    for parent in reversed(step.path.parents):
        if not parent.exists():
            note.made.append(parent)
            note.write("staging")
            parent.mkdir()
    ready = beside(step.path, run, "new")
    ready.unlink(missing_ok=True)
    if step.mode == LINK:
        ready.symlink_to(os.fsdecode(step.content))
        return ready
    with ready.open("xb") as file:
        file.write(step.content)
        file.flush()
        os.fsync(file.fileno())
    keep = step.path.lstat().st_mode & 0o777 if step.seen is not None and not step.path.is_symlink() else 0o644
    ready.chmod(keep | 0o111 if step.mode == EXECUTABLE else keep & ~0o111)
    return ready


def _put_back(kept: list[tuple[Path, Path | None]]) -> None:
    for path, aside in reversed(kept):
        if aside is not None:
            with suppress(OSError):
                os.replace(aside, path)  # noqa: PTH105
        else:
            with suppress(OSError):
                path.unlink()


def _forget(paths: list[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()


def _forget_directories(paths: list[Path]) -> None:
    for path in reversed(paths):
        with suppress(OSError):  # only empty ones go
            path.rmdir()
