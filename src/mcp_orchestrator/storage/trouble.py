"""What can go wrong with the state file or database, as one `OSError` that says where and what to do about it."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

_PRIMARY: Final = 0xFF  # an extended result code keeps its primary code in the low byte


class StorageError(OSError):
    """The state file cannot be used, or a record could not be kept; prints as its text alone.

    `errno` is set as for any `OSError`, `filename` is the state file, or the address of the database.
    """

    def __init__(self, code: int, text: str, path: Path | str) -> None:
        super().__init__(code, text, str(path))

    def __str__(self) -> str:
        return str(self.strerror)


class TakenError(StorageError):
    """A key is there already: somebody else was faster."""


class UnreachableError(StorageError):
    """The database cannot be reached. What was being done may have been done, or not."""


def again(error: StorageError) -> StorageError:
    """A fresh instance of the same trouble: several waiters must not share one traceback."""
    return StorageError(error.errno or errno.EIO, str(error), str(error.filename))


def explain(error: sqlite3.Error, path: Path | str) -> StorageError:
    """Turn SQLite's error into one that says which file, what is wrong and how to mend it."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    match code:
        case sqlite3.SQLITE_FULL:
            return StorageError(errno.ENOSPC, f"no space left for {path}: free some disk space; nothing is lost", path)
        case sqlite3.SQLITE_READONLY:
            text = f"{path} cannot be written: make the file and its directory writable, or set storage.url to another"
            return StorageError(errno.EACCES, text, path)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return damaged(path, str(error))
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            text = f"{path} cannot be opened: check that it is a file and that its directory is yours to write"
            return StorageError(errno.EACCES, text, path)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            text = f"{path} is locked by another program ({error}): close what has it open and try again"
            return StorageError(errno.EBUSY, text, path)
        case _:
            return StorageError(errno.EIO, f"{path} cannot be used ({error}): check the disk that holds it", path)


def damaged(path: Path | str, detail: str) -> StorageError:
    """The file is no usable database; it is left as it is, for whoever wants to rescue it."""
    text = (
        f"{path} is damaged or no state file of ours ({detail}): restore a copy of it, or move it away "
        f"(mv {path} {path}.damaged) to begin with an empty journal"
    )
    return StorageError(errno.EIO, text, path)


def vanished(path: Path) -> StorageError:
    """The file was removed or replaced while we had it open."""
    text = f"{path} was removed or replaced while in use: records cannot be kept; restart the gateway"
    return StorageError(errno.ENOENT, text, path)
