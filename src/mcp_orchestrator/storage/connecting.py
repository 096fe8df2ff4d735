"""Opens the state file: for the one writer, or read-only for everybody else."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage.migrations.steps import SCHEMA, migrate, schema_of
from mcp_orchestrator.storage.trouble import StorageError, explain

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait for another connection's lock (a checkpoint by a reader that closes, a backup program)."""

CHECKPOINT_PAGES: Final = 4000
"""The write-ahead log is folded back each 16 MB: a quarter of the stalls of SQLite's default of 4 MB."""


def prepare_place(path: Path) -> None:
    """Make directory (0700) and file (0600) if missing; an existing file is closed to others.

    An existing directory keeps its mode: it may be one that belongs to more than us.

    Raises:
        StorageError: a directory or the file cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except OSError as error:
        text = f"{path} cannot be made or written ({error.strerror}): make it yours, or set storage.url to another"
        raise StorageError(error.errno or errno.EACCES, text, path) from error


def open_writer(path: Path, durability: Durability) -> sqlite3.Connection:
    """The writing connection in autocommit mode, schema brought up to date. Use it on the opening thread only.

    Raises:
        StorageError: the file is damaged, foreign, newer than we are, or cannot be written.
    """
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
        try:
            level = "FULL" if durability is Durability.FULL else "NORMAL"
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {level}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            migrate(connection, path)
        except (sqlite3.Error, StorageError):
            connection.close()
            raise
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; works beside a running gateway and without one.

    Raises:
        StorageError: there is no state file yet, or it cannot be read by this program.
    """
    if not path.exists():
        text = f"no state file at {path}: the gateway has not run with this configuration yet"
        raise StorageError(errno.ENOENT, text, path)
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
        try:
            version = schema_of(connection, path)
        except (sqlite3.Error, StorageError):
            connection.close()
            raise
    except sqlite3.Error as error:
        raise explain(error, path) from error
    if version < SCHEMA:
        connection.close()
        text = f"{path} has an older schema ({version}, not {SCHEMA}): start the gateway once to bring it up to date"
        raise StorageError(errno.EINVAL, text, path)
    return connection
