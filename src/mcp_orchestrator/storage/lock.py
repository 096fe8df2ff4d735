"""One gateway per state file: an advisory lock beside it that the kernel drops with its process."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from mcp_orchestrator.storage.trouble import StorageError


class StateLock:
    """The lock `PATH.lock`, held from `acquire` to `release`, or until the process ends in whatever way.

    It is `flock`, so it also keeps two gateways of one process apart. The file stays when the lock goes: removing it
    would let two programs hold locks on two files of the same name.
    """

    def __init__(self, path: Path) -> None:
        self._state = path
        self._path = path.with_name(path.name + ".lock")
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock and write our process id into it.

        Raises:
            StorageError: another process holds it (named by its id), or the lock file cannot be opened.
        """
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            text = f"{self._path} cannot be opened ({error.strerror}): the directory must be yours to write"
            raise StorageError(error.errno or errno.EACCES, text, self._state) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = os.pread(file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(file)
            text = (
                f"{self._state} is in use by another gateway (process {other}): stop that one, "
                "or give this one its own storage.url"
            )
            raise StorageError(errno.EBUSY, text, self._state) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None
