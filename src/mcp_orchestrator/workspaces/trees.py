"""The files of a directory as they are now, as a git tree: made in an index of our own, so that nobody's is touched."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mcp_orchestrator.workspaces.git import Git, GitError

MOST_NEW_BYTES: Final = 1024 * 1024 * 1024
"""Bytes of files that are neither committed nor ignored; more of them is a directory that ought to be ignored."""

_SUBMODULE: Final = "160000"
_NO_BLOB: Final = "0" * 40


async def tree_of(git: Git, top: Path, index: Path, *, nested: bool, also: Iterable[bytes] = ()) -> str:
    """The id of the tree of what is in `top` now, ignored files left out.

    `index` is a copy of an index of this tree; it is changed. Repositories inside `top` that are no submodules are
    left out, or with `nested` taken along like any directory. `also` are paths that are taken although they are
    ignored. Submodules that are there stay as the index has them; sockets, pipes and devices are passed over.

    Raises:
        GitError: a file cannot be read, or there is more than `MOST_NEW_BYTES` of new ones.
    """
    git = git.on(top, GIT_INDEX_FILE=str(index))
    raw = await git("diff-files", "-z", "--raw", "--no-renames", "--ignore-submodules=dirty")
    changed, removed = _sorted(raw)
    listed = await git("ls-files", "-z", "--others", "--exclude-standard")
    others = [name for name in listed.split(b"\0") if name]
    new = await asyncio.to_thread(_new, top, others, [*also], nested=nested)
    if removed:
        gone = b"".join(b"0 %b\t%b\0" % (_NO_BLOB.encode(), name) for name in removed)
        await git("update-index", "-z", "--index-info", given=gone)
    if changed or new:
        names = b"".join(name + b"\0" for name in (*changed, *new))
        await git("update-index", "--add", "--replace", "--remove", "-z", "--stdin", given=names)
    return await git.text("write-tree")


def copy_index(source: Path, target: Path) -> None:
    """Copy an index with its time: by that, git knows which files it has to look into."""
    target.unlink(missing_ok=True)
    if source.exists():  # nothing was ever added otherwise
        shutil.copy2(source, target)


def _sorted(raw: bytes) -> tuple[list[bytes], list[bytes]]:
    """What `diff-files --raw -z` tells: the paths to look at, and those that are gone."""
    parts = [part for part in raw.split(b"\0") if part]
    changed: dict[bytes, None] = {}
    removed: dict[bytes, None] = {}
    for head, name in zip(parts[::2], parts[1::2], strict=True):
        mode, _, _, _, status = head.decode().removeprefix(":").split(" ")
        if status == "D":
            removed[name] = None
        elif mode != _SUBMODULE:
            changed[name] = None
    return list(changed), [name for name in removed if name not in changed]


def _new(top: Path, others: Iterable[bytes], also: Iterable[bytes], *, nested: bool) -> list[bytes]:
    """The files among what git lists as untracked; a repository is listed as a directory, with a slash."""
    root = os.fsencode(top)
    found: list[bytes] = []
    total = 0
    for name in dict.fromkeys((*others, *also)):
        for one in _within(root, name) if nested and name.endswith(b"/") else (name,):
            try:
                looked = os.lstat(os.path.join(root, one))  # noqa: PTH118 - bytes: any name that a file system allows
            except OSError:
                continue
            if stat.S_ISREG(looked.st_mode) or stat.S_ISLNK(looked.st_mode):
                found.append(one)
                total += looked.st_size
        if total > MOST_NEW_BYTES:
            text = f"{str(top)!r} holds more than {MOST_NEW_BYTES >> 20} MiB that is neither committed nor ignored"
            raise GitError(f"{text}; name it in .gitignore")
    return found


def _within(root: bytes, directory: bytes) -> Iterable[bytes]:
    """The paths below a repository inside the tree, without what belongs to git."""
    for where, directories, files in os.walk(os.path.join(root, directory)):  # noqa: PTH118 - bytes, as above
        directories[:] = [name for name in directories if name.lower() != b".git"]
        links = [name for name in directories if os.path.islink(os.path.join(where, name))]  # noqa: PTH114, PTH118
        for name in (*files, *links):
            if name.lower() != b".git":
                yield os.path.relpath(os.path.join(where, name), root)  # noqa: PTH118
