"""State in a database of PostgreSQL, shared by gateways wherever they are: its schema, and who of them lives."""

from __future__ import annotations

import errno
import os
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage.database import Connection, Keeping
from mcp_orchestrator.storage.migrations.steps import SCHEMA, STEPS
from mcp_orchestrator.storage.postgres import SCHEMA_NAME, Address, PostgresConnection, lock_key
from mcp_orchestrator.storage.trouble import StorageError

_WORDS: Final = {"INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION", "BLOB": "BYTEA", " WITHOUT ROWID": ""}
_WORD: Final = re.compile(r"\bINTEGER\b|\bREAL\b|\bBLOB\b| WITHOUT ROWID\b")
_HELD: Final = """
    SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = CAST(? AS oid) AND objid = CAST(? AS oid)
"""


def translated(statement: str) -> str:
    """A statement of a migration in PostgreSQL's words."""
    return _WORD.sub(lambda found: _WORDS[found[0]], statement)


def is_held(connection: Connection, key: int) -> bool:
    """Whether anybody who is connected to this database holds an advisory lock."""
    return connection.execute(_HELD, (key >> 32 & 0xFFFFFFFF, key & 0xFFFFFFFF)).fetchone() is not None


class PostgresDatabase:
    """A `Database`. `place` is a path on this machine beside which a gateway has its socket and keys."""

    def __init__(self, address: Address, place: Path) -> None:
        self.address = address
        self._place = place
        self._writer: PostgresConnection | None = None

    @property
    def name(self) -> str:
        """The address without its password."""
        return self.address.name

    def prepare(self) -> None:
        """Make the directory for what stays on this machine.

        Raises:
            StorageError: it cannot be made.
        """
        try:
            self._place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            text = f"{self._place.parent} cannot be made ({error.strerror}): make it yours"
            raise StorageError(error.errno or errno.EACCES, text, self._place) from error

    def open_writer(self, durability: Durability) -> Connection:
        """The connection of a gateway.

        Raises:
            StorageError: the database cannot be reached, is of a newer version, or refuses what we need.
        """
        flush = "on" if durability is Durability.FULL else "local"
        connection = PostgresConnection(self.address, {"synchronous_commit": flush})
        try:
            _migrate(connection, self.name)
        except StorageError:
            connection.close()
            raise
        self._writer = connection
        return connection

    def open_reader(self) -> Connection:
        """A connection that cannot write.

        Raises:
            StorageError: it cannot be reached or read by this version, or no gateway has been there yet.
        """
        connection = PostgresConnection(self.address, {"default_transaction_read_only": "on"})
        try:
            _refuse_unreadable(_version(connection), self.name)
        except StorageError:
            connection.close()
            raise
        return connection

    def still_there(self) -> None:
        """A database that has gone says so by itself."""

    def took_up(self, events: Sequence[Event]) -> None:
        """A gateway that starts holds a lock in the name of its runs."""
        for event in events:
            if event.kind is EventKind.GATEWAY_STARTED and self._writer is not None:
                self._writer.hold(lock_key(f"runs {event.data.get('runs', '')}"))

    def keeper(self, connection: Callable[[], Connection] | None = None) -> Keeping:
        """An advisory lock that is held as long as the gateway is connected."""
        return PostgresKeeper(connection or self._written_by)

    def _written_by(self) -> Connection:
        if self._writer is None:
            raise StorageError(errno.EBADF, f"{self.name} is not open", self.name)
        return self._writer

    def living(self, connection: Connection, starts: Iterable[Mapping[str, Any]]) -> frozenset[str]:
        """Those whose lock is held."""
        prefixes = {str(start.get("runs", "")) for start in starts}
        return frozenset(prefix for prefix in prefixes if is_held(connection, lock_key(f"runs {prefix}")))

    def explained(self, error: sqlite3.Error) -> StorageError:
        """There is no SQLite here."""
        return StorageError(errno.EIO, f"{self.name} cannot be used ({error})", self.name)


class PostgresKeeper:
    """A `Keeping` by an advisory lock of the session: it ends with the connection, however that ends."""

    def __init__(self, connection: Callable[[], Connection]) -> None:
        self._connection = connection
        self.token = f"{os.getpid()}-{secrets.token_hex(6)}"

    def hold(self) -> str:
        """Take the lock, the first time; it is taken again when the connection was lost."""
        connection = self._connection()
        if isinstance(connection, PostgresConnection):
            connection.hold(lock_key(f"keeper {self.token}"))
        return self.token

    def release(self) -> None:
        """The lock goes with the connection."""

    def is_alive(self, token: str) -> bool:
        """Whether the gateway of this token holds its lock."""
        return token == self.token or is_held(self._connection(), lock_key(f"keeper {token}"))

    def forget(self, token: str) -> None:
        """There is nothing left of it."""


def _version(connection: Connection) -> int | None:
    """The schema version of the database; None when there is nothing of ours."""
    query = "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = 'version'"
    if connection.execute(query, (SCHEMA_NAME,)).fetchone() is None:
        return None
    return int(connection.execute("SELECT max(number) FROM version").fetchone()[0])


def _refuse_unreadable(version: int | None, name: str) -> None:
    if version is None:
        text = f"no state in {name}: the gateway has not run with this configuration yet"
        raise StorageError(errno.ENOENT, text, name)
    _refuse_newer(version, name)
    if version < SCHEMA:
        text = f"{name} has an older schema ({version}, not {SCHEMA}): start the gateway once to bring it up to date"
        raise StorageError(errno.EINVAL, text, name)


def _refuse_newer(version: int, name: str) -> None:
    if version > SCHEMA:
        text = (
            f"{name} was written by a newer mcp-orchestrator (schema {version}; this one knows up to {SCHEMA}): "
            "run that version, or set storage.url to another database"
        )
        raise StorageError(errno.EINVAL, text, name)


def _migrate(connection: Connection, name: str) -> None:
    """Apply what is missing, each step in a transaction of its own; two gateways that start at once do it once."""
    version = _version(connection)
    while version is None or version < SCHEMA:
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = _version(connection)
            if version is None:
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA_NAME}")
                connection.execute("CREATE TABLE version (number BIGINT PRIMARY KEY)")
            done = version or 0
            if done < SCHEMA:
                for statement in STEPS[done]:
                    connection.execute(translated(statement))
                done += 1
                connection.execute("INSERT INTO version (number) VALUES (?)", (done,))
            connection.execute("COMMIT")
            version = done
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    _refuse_newer(version, name)
