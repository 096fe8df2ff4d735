"""What the storage asks of a database: one code path, whichever database it is.

A connection is asked in the words of SQLite that PostgreSQL understands as well, with `?` for each value. Two words are
translated: `BEGIN IMMEDIATE` begins a transaction that is alone in writing (SQLite's lock of the file, an advisory lock
in PostgreSQL), `BEGIN` one that sees everything as it is at its first look.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mcp_orchestrator.model.event import Event
from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage import connecting
from mcp_orchestrator.storage.keeper import Keeper
from mcp_orchestrator.storage.trouble import StorageError, explain, vanished


class Rows(Protocol):
    """What a statement found; `rowcount` is how many rows it changed."""

    @property
    def rowcount(self) -> int:
        """Rows that were put in, changed or removed."""
        ...

    def fetchone(self) -> Any:
        """The next row as a tuple; None behind the last one."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection in autocommit mode; `sqlite3.Connection` is one.

    Raises sqlite3.Error (SQLite) or StorageError (everything else) from `execute`.
    """

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows:
        """Carry out one statement."""
        ...

    def close(self) -> None:
        """Let go. Idempotent."""
        ...


class Keeping(Protocol):
    """One gateway as the keeper of what it carries out, as long as it lives; see `keeper`."""

    @property
    def token(self) -> str:
        """Its name, for ever."""
        ...

    def hold(self) -> str:
        """Be known to be alive from now on; returns the token. Raises StorageError."""
        ...

    def release(self) -> None:
        """Be so no longer. Idempotent."""
        ...

    def is_alive(self, token: str) -> bool:
        """Whether the gateway of this token lives."""
        ...

    def forget(self, token: str) -> None:
        """Remove what is left of a gateway that has ended."""
        ...


class Database(Protocol):
    """A place where state can be kept. Used on one thread at a time."""

    @property
    def name(self) -> str:
        """For people: a path, or an address without its password."""
        ...

    def prepare(self) -> None:
        """Make what must be there before it is opened. Raises StorageError."""
        ...

    def open_writer(self, durability: Durability) -> Connection:
        """The connection of a gateway, schema brought up to date. Raises StorageError."""
        ...

    def open_reader(self) -> Connection:
        """A connection that cannot write. Raises StorageError, ENOENT where no gateway has ever been."""
        ...

    def still_there(self) -> None:
        """Look whether what is open is still what others would open. Raises StorageError."""
        ...

    def took_up(self, events: Sequence[Event]) -> None:
        """These events are about to be written: by `gateway.started` a gateway makes known which runs are its own."""
        ...

    def keeper(self, connection: Callable[[], Connection] | None = None) -> Keeping:
        """A new keeper; `connection` is the one of whoever asks, None: of the gateway."""
        ...

    def living(self, connection: Connection, starts: Iterable[Mapping[str, Any]]) -> frozenset[str]:
        """The run prefixes of the gateways that live, among those whose `gateway.started` has this data."""
        ...

    def explained(self, error: sqlite3.Error) -> StorageError:
        """What SQLite's error means."""
        ...


class SqliteFile:
    """One file of SQLite, shared by gateways on the same machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode: int | None = None

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def prepare(self) -> None:
        """Make directory and file if missing."""
        connecting.prepare_place(self.path)

    def open_writer(self, durability: Durability) -> Connection:
        """The writing connection."""
        connection = connecting.open_writer(self.path, durability)
        try:
            self._inode = self.path.stat().st_ino
        except OSError as error:
            connection.close()
            raise vanished(self.path) from error
        return connection

    def open_reader(self) -> Connection:
        """A reading connection."""
        return connecting.open_reader(self.path)

    def still_there(self) -> None:
        """SQLite goes on writing into a file that was removed, and those records would be gone."""
        try:
            inode = self.path.stat().st_ino
        except OSError as error:
            raise vanished(self.path) from error
        if inode != self._inode:
            raise vanished(self.path)

    def took_up(self, events: Sequence[Event]) -> None:
        """The process id in the event tells it."""

    def keeper(self, connection: Callable[[], Connection] | None = None) -> Keeping:  # noqa: ARG002 - of all databases
        """A lock beside the file."""
        return Keeper(self.path)

    def living(self, connection: Connection, starts: Iterable[Mapping[str, Any]]) -> frozenset[str]:  # noqa: ARG002
        """Those whose process is there."""
        return frozenset(str(start.get("runs", "")) for start in starts if _is_alive(start.get("pid")))

    def explained(self, error: sqlite3.Error) -> StorageError:
        """What SQLite's error means."""
        return explain(error, self.path)


def database_at(place: Path | Database) -> Database:
    """The file of a path, or the database that it is already."""
    return SqliteFile(place) if isinstance(place, Path) else place


def _is_alive(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
