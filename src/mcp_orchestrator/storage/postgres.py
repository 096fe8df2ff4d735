"""A connection to PostgreSQL that is asked in the words of SQLite, and comes back by itself when it was lost.

It has an event loop of its own, on the thread that asks: the one that writes, or a command that reads.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import time
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, TypeVar

import asyncpg  # type: ignore[import-untyped]

from mcp_orchestrator.model.snapshot import Secret
from mcp_orchestrator.storage.trouble import StorageError, TakenError, UnreachableError

T = TypeVar("T")

SCHEMA_NAME: Final = "mcp_orchestrator"
"""The schema of the database in which everything of ours lies."""

CONNECTING: Final = 5.0
"""Seconds that a connection may take to be made."""

ANSWERING: Final = 20.0
"""Seconds that a statement may take, waiting for another gateway's transaction included."""

AGAIN: Final = 0.5
"""Seconds after a connection could not be made for which none is tried: whoever asks is told at once."""

_SETTINGS: Final = {
    "application_name": "mcp-orchestrator",
    "search_path": SCHEMA_NAME,
    # A gateway whose machine has gone holds no lock for longer than this.
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "2",
}
_LOST: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)


def lock_key(name: str) -> int:
    """The number of an advisory lock: 64 bits, signed."""
    return int.from_bytes(sha256(f"mcp-orchestrator {name}".encode()).digest()[:8], "big", signed=True)


WRITING: Final = lock_key("writing")
"""Held by whoever is in a transaction that writes."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is. `url` has the password in it; `name` is for people, and has not."""

    url: Secret
    name: str


@dataclass(slots=True)
class Found:
    """What a statement found."""

    rows: list[tuple[Any, ...]]
    rowcount: int
    _next: int = field(default=0)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row; None behind the last one."""
        if self._next >= len(self.rows):
            return None
        self._next += 1
        return self.rows[self._next - 1]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        found, self._next = self.rows[self._next :], len(self.rows)
        return found

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())


class PostgresConnection:
    """A `Connection`. `settings` join those of the session; `locks` are held as long as it is connected.

    A connection that was lost is made anew by the next statement outside of a transaction. Until it can be, every
    statement raises UnreachableError.
    """

    def __init__(self, address: Address, settings: dict[str, str]) -> None:
        self._address = address
        self._settings = _SETTINGS | settings
        self._loop = asyncio.new_event_loop()
        self._connection: asyncpg.Connection[Any] | None = None
        self._prepared: dict[str, Any] = {}
        self._locks: list[int] = []
        self._refused_at = float("-inf")
        self._why = ""
        self.in_transaction = False

    def hold(self, key: int) -> None:
        """Hold an advisory lock from now on, and again after a connection was lost. Nobody else may want it."""
        if key not in self._locks:
            self._locks.append(key)
            if self._connection is not None:
                self.execute("SELECT pg_advisory_lock(?)", (key,))

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Found:
        """Carry out one statement.

        Raises:
            TakenError: a key is there already.
            UnreachableError: the connection is lost; whether the statement was carried out is not known.
            StorageError: it was refused.
        """
        if self._loop.is_closed():
            raise StorageError(errno.EBADF, f"{self._address.name} is closed", self._address.name)
        return self._waited_for(self._carried_out(sql, parameters))

    def close(self) -> None:
        """Leave, and give back all locks. Idempotent."""
        if self._loop.is_closed():
            return
        connection, self._connection = self._connection, None
        self._waited_for(_closed(connection))
        self._loop.close()

    def _waited_for(self, work: Coroutine[Any, Any, T]) -> T:
        """What comes of it; on a thread whose own loop is running (a reader in a coroutine), by way of another thread."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._loop.run_until_complete(work)
        with ThreadPoolExecutor(1) as other:
            return other.submit(self._loop.run_until_complete, work).result()

    async def _carried_out(self, sql: str, parameters: Sequence[Any]) -> Found:
        connection = self._connection
        if connection is None or connection.is_closed():
            if self.in_transaction:
                self._drop()
                raise self._gone("the connection was lost in the middle of a transaction")
            connection = await self._connected()
        try:
            async with asyncio.timeout(ANSWERING):
                return await self._told(connection, sql, parameters)
        except _LOST as error:
            self._drop()
            raise self._gone(_said(error)) from error
        except asyncpg.UniqueViolationError as error:
            raise TakenError(errno.EEXIST, f"{self._address.name}: {error}", self._address.name) from error
        except asyncpg.PostgresError as error:
            self._prepared.clear()  # the schema may have changed under what was prepared
            raise explained(error, self._address.name) from error
        except ValueError as error:
            raise StorageError(
                errno.EINVAL, f"{self._address.name} cannot keep this: {error}", self._address.name
            ) from error

    async def _told(self, connection: asyncpg.Connection[Any], sql: str, parameters: Sequence[Any]) -> Found:
        match sql.partition(" ")[0]:
            case "BEGIN":
                await connection.execute(_beginning(sql))
                self.in_transaction = True
            case "COMMIT":
                status = await connection.execute(sql)
                self.in_transaction = False
                if status != sql:
                    text = f"{self._address.name} has undone a transaction that had failed before"
                    raise StorageError(errno.EIO, text, self._address.name)
            case "ROLLBACK" | "SAVEPOINT" | "RELEASE":
                await connection.execute(sql)
                self.in_transaction = sql != "ROLLBACK"
            case _:
                return await self._asked(connection, sql, parameters)
        return Found([], 0)

    async def _asked(self, connection: asyncpg.Connection[Any], sql: str, parameters: Sequence[Any]) -> Found:
        if not parameters and sql.lstrip()[:6].upper() not in {"SELECT", "INSERT", "UPDATE", "DELETE"}:
            await connection.execute(sql)  # of the schema
            return Found([], 0)
        statement = self._prepared.get(sql)
        if statement is None:
            statement = self._prepared[sql] = await connection.prepare(numbered(sql))
        rows = await statement.fetch(*parameters)
        count = statement.get_statusmsg().rpartition(" ")[2]
        return Found([tuple(row) for row in rows], int(count) if count.isdigit() else -1)

    async def _connected(self) -> asyncpg.Connection[Any]:
        """A new connection with our locks. Raises UnreachableError, or StorageError where it is refused."""
        if time.monotonic() - self._refused_at < AGAIN:
            raise self._gone(self._why)
        self._prepared.clear()
        try:
            async with asyncio.timeout(CONNECTING):
                made = await asyncpg.connect(
                    self._address.url.reveal(), server_settings=self._settings, statement_cache_size=0
                )
        except _LOST as error:
            self._refused_at, self._why = time.monotonic(), _said(error)
            raise self._gone(self._why) from error
        except asyncpg.PostgresError as error:
            self._refused_at, self._why = time.monotonic(), _said(error)
            if isinstance(error, asyncpg.CannotConnectNowError | asyncpg.TooManyConnectionsError):
                raise self._gone(self._why) from error
            raise explained(error, self._address.name) from error
        except ValueError as error:
            raise StorageError(errno.EINVAL, f"{self._address.name}: {error}", self._address.name) from error
        try:
            async with asyncio.timeout(ANSWERING):
                for key in self._locks:
                    await _locked(made, key)
        except (*_LOST, asyncpg.PostgresError) as error:
            made.terminate()
            raise self._gone(_said(error)) from error
        self._connection = made
        return made

    def _drop(self) -> None:
        """Forget a connection that is lost; the server undoes what it had begun."""
        connection, self._connection = self._connection, None
        self.in_transaction = False
        self._prepared.clear()
        if connection is not None:
            connection.terminate()

    def _gone(self, why: str) -> UnreachableError:
        text = f"{self._address.name} cannot be reached ({why}): start the database, or mend storage.url"
        return UnreachableError(errno.EHOSTUNREACH, text, self._address.name)


async def _locked(connection: asyncpg.Connection[Any], key: int) -> None:
    """Take a lock that is ours alone; what still has it is what is left of a connection of ours that was lost."""
    if await connection.fetchval("SELECT pg_try_advisory_lock($1)", key):
        return
    high, low = key >> 32 & 0xFFFFFFFF, key & 0xFFFFFFFF
    query = """
        SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid = $1 AND objid = $2
    """
    await connection.fetch(query, high, low)
    await connection.execute("SELECT pg_advisory_lock($1)", key)


async def _closed(connection: asyncpg.Connection[Any] | None) -> None:
    """Close a connection, and let those go that were dropped before."""
    try:
        if connection is not None:
            await connection.close(timeout=2)
    except (*_LOST, asyncpg.PostgresError):
        if connection is not None:
            connection.terminate()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _beginning(sql: str) -> str:
    """How a transaction begins: alone in writing, or with one view of everything."""
    if sql == "BEGIN IMMEDIATE":
        return f"BEGIN; SELECT pg_advisory_xact_lock({WRITING})"
    return "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"


@functools.cache
def numbered(sql: str) -> str:
    """A statement with `$1`, `$2` and so on for `?`, of which there is none in its texts."""
    first, *rest = sql.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))


def _said(error: BaseException) -> str:
    return str(error).strip() or ("it does not answer" if isinstance(error, TimeoutError) else type(error).__name__)


def explained(error: asyncpg.PostgresError, name: str) -> StorageError:
    """What PostgreSQL's error means, and what to do about it."""
    match error:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            text = f"{name} does not let us in ({error}): mend user and password in storage.url"
            return StorageError(errno.EACCES, text, name)
        case asyncpg.InvalidCatalogNameError():
            text = f"{name} does not exist ({error}): make it (createdb), or mend storage.url"
            return StorageError(errno.EINVAL, text, name)
        case asyncpg.InsufficientPrivilegeError():
            text = f"{name} refuses what we need ({error}): let its user CREATE in the database"
            return StorageError(errno.EACCES, text, name)
        case asyncpg.ReadOnlySQLTransactionError():
            text = f"{name} can only be read ({error}): name the primary server in storage.url"
            return StorageError(errno.EROFS, text, name)
        case asyncpg.DiskFullError():
            text = f"no space left for {name} ({error}): free some disk space on its machine; nothing is lost"
            return StorageError(errno.ENOSPC, text, name)
        case _:
            return StorageError(errno.EIO, f"{name} cannot be used ({type(error).__name__}: {error})", name)
