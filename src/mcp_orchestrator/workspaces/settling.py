"""What a gateway leaves half done that is killed while it applies changes: put back, so that it is all or nothing.

Before anything is touched, a note in the workspace's own place says what is about to be done: `staging` (new contents
are made ready beside their places), `replacing` (they are renamed into their places), `done` (all of them are; what was
there before lies beside them still). The note is held under a lock that ends with its process.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

NOTE: Final = "applying.json"
_LOCK: Final = "applying.lock"


def beside(path: Path, run: str, word: str) -> Path:
    """The file beside another one that holds its `new` contents, or its `old` ones."""
    # Not the name itself: with more behind it, it could be too long, and cut short it could be another one's.
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    return path.with_name(f".{name}.{run}.{word}")


def seen_as(path: Path) -> tuple[int, int, int] | None:
    """What tells whether a file was touched since: (inode, size, time of the last change); None when not there."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class Note:
    """The note of one apply. `files` are the files that are touched, `made` the directories that were made for them."""

    def __init__(self, place: Path, run: str, files: Sequence[Path]) -> None:
        self._path = place / NOTE
        self._run = run
        self._files = [os.fspath(path) for path in files]
        self.made: list[Path] = []

    def write(self, phase: str, ready: Mapping[str, tuple[int, int, int]] | None = None) -> None:
        """Say durably how far it is; `ready` is how each new file looks, by its final path."""
        said = {
            "run": self._run,
            "phase": phase,
            "files": self._files,
            "ready": ready or {},
            "made": [os.fspath(path) for path in self.made],
        }
        new = self._path.with_suffix(".new")
        with new.open("w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(said, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)

    def forget(self) -> None:
        """Everything is as it should be."""
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(place: Path) -> Iterator[bool]:
    """Hold the lock of a place; False when another process applies its changes just now."""
    lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def settle(root: Path) -> list[str]:
    """Settle what was left half done under `root`; returns the runs whose changes were put back."""
    back: list[str] = []
    for note in sorted(root.glob(f"*/{NOTE}")):
        with locked(note.parent) as ours:
            if ours and note.exists() and settle_place(note.parent):
                back.append(note.parent.name)
    return back


def settle_place(place: Path) -> bool:
    """Settle one place whose lock is held; True when changes were put back."""
    note = place / NOTE
    try:
        said: dict[str, Any] = json.loads(note.read_text("utf-8", "surrogateescape"))
    except FileNotFoundError:
        return False
    files = [Path(name) for name in said["files"]]
    run, replacing = str(said["run"]), bool(said["phase"] == "replacing")
    if replacing:
        for path in reversed(files):
            _put_back(path, beside(path, run, "old"), said["ready"].get(os.fspath(path)))
    for path in files:
        for word in ("new", "old"):
            with suppress(OSError):
                beside(path, run, word).unlink()
    if said["phase"] != "done":
        for made in reversed(said["made"]):
            with suppress(OSError):  # only empty ones go
                Path(made).rmdir()
    note.unlink(missing_ok=True)
    return replacing


def _put_back(path: Path, old: Path, ready: list[int] | None) -> None:
    """One file as it was before; what somebody has touched since is left alone."""
    now = seen_as(path)
    ours = now is None if ready is None else now == tuple(ready)
    with suppress(OSError):
        if ours and os.path.lexists(old):
            old.replace(path)
        elif ours and ready is not None:
            path.unlink()
