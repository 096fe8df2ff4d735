"""Secrets in files that nobody but their owner may read: `${secret:file/PATH}`."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from mcp_orchestrator.model.snapshot import Secret

MAX_BYTES: Final = 64 * 1024
"""Largest secret, in bytes."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class FileSecrets:
    """Takes secrets from files; relative paths count from `directory`, `~` is `home`."""

    scheme: Final = "file"

    def __init__(self, directory: Path, home: Path) -> None:
        self._directory = directory
        self._home = home

    def resolve(self, name: str) -> Secret:
        """The contents of the file, without one line end at the end.

        The file must belong to the user of this process (or root) and be closed to group and others (mode 0600 or
        0400); what is checked is the file that was opened, not a name that may point elsewhere a moment later.

        Raises:
            LookupError: missing, unreadable, open to others, too large, empty or not UTF-8.
        """
        path = self._home / name[2:] if name.startswith("~/") else self._directory / name
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            raise LookupError("the file does not exist: make it, with mode 600") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "unusable path"
            raise LookupError(f"the file cannot be read ({reason}): check path and permissions") from None
        try:
            _check(os.fstat(descriptor))
            return _secret(os.read(descriptor, MAX_BYTES + 1))
        finally:
            os.close(descriptor)


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise LookupError("that is not a regular file: name a file")
    if hasattr(os, "getuid"):
        if status.st_mode & _OTHERS:
            mode = stat.S_IMODE(status.st_mode)
            raise LookupError(f"the file is open to others (mode {mode:04o}): run chmod 600 on it")
        if status.st_uid not in {os.getuid(), 0}:
            raise LookupError("the file belongs to another user: it must be yours or root's")


def _secret(data: bytes) -> Secret:
    if len(data) > MAX_BYTES:
        raise LookupError("the file is larger than 64 KiB: it is probably not the right one")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise LookupError("the file is not UTF-8 text: save it as UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise LookupError("the file is empty: write the secret into it")
    return Secret(text)
