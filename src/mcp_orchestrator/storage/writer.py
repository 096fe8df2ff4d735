"""The one thread that writes the state file or database: batches of events, and whatever else must change."""

from __future__ import annotations

import asyncio
import errno
import functools
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeVar

from mcp_orchestrator.model.event import Event
from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage.chain import COLUMNS, Link, chain_rows
from mcp_orchestrator.storage.database import Connection, Database, database_at
from mcp_orchestrator.storage.trouble import StorageError, TakenError, UnreachableError, damaged

T = TypeVar("T")

ONE_STATEMENT: Final = 64
"""Rows that one INSERT takes: it needs no BEGIN and COMMIT, and lets go of the interpreter's lock once, not per row."""

LOOK_EVERY: Final = 0.25
"""Seconds between two looks whether the file is still the one in the directory."""

TRIES: Final = 100
"""How often rows are appended anew because others did so in the same moment."""

_INSERT: Final = "INSERT INTO event (seq, at, kind, run, data, hash) VALUES (?,?,?,?,?,?)"


class JournalFile:
    """The open state file or database with the end of its chain as we last saw it. Lives on the writer's thread."""

    def __init__(self, place: Path | Database, durability: Durability) -> None:
        self._database = database_at(place)
        self.connection = self._database.open_writer(durability)
        self._unsure: tuple[int, Link] | None = None
        try:
            self._seen = time.monotonic()
            self._end = chain_end(self.connection, self._database.name)
        except sqlite3.Error as error:
            self.connection.close()
            raise self._database.explained(error) from error
        except StorageError:
            self.connection.close()
            raise

    def append(self, events: Sequence[Event]) -> None:
        """Write and commit events in one transaction.

        Raises:
            StorageError: nothing of the batch was kept, as far as is known; what was kept all the same (the connection
                was lost before we heard of it) is left out when the batch comes again.
        """
        self.still_there()
        try:
            if self._unsure is not None:
                events = self._without_known(events, *self._unsure)
                if not events:
                    return
            self._database.took_up(events)
            if len(events) > ONE_STATEMENT or not self._appended_at_once(events):
                self._append_after_others(events)
        except sqlite3.Error as error:
            raise self._database.explained(error) from error

    def _without_known(self, events: Sequence[Event], count: int, end: Link) -> Sequence[Event]:
        """The events without those of a batch whose fate was not known: its last row is there, or none of it is."""
        found = self.connection.execute("SELECT hash FROM event WHERE seq = ?", (end.seq,)).fetchone()
        self._unsure = None
        return events[count:] if found is not None and bytes(found[0]) == end.hash else events

    def _appended_at_once(self, events: Sequence[Event]) -> bool:
        """One INSERT after the end we know; False when another gateway has written to the same place since."""
        cells, end = chain_rows(events, self._end)
        try:
            self.connection.execute(_insert(len(events)), cells)
        except (sqlite3.IntegrityError, TakenError):  # the row number is taken: it is the primary key
            return False
        except UnreachableError:
            self._unsure = (len(events), end)
            raise
        self._end = end
        return True

    def _append_after_others(self, events: Sequence[Event]) -> None:
        """Append in a transaction of our own, after whatever is the end of the chain now."""
        for _ in range(TRIES):
            try:
                return self._appended_alone(events)
            except TakenError:  # by one that appended at once, in the moment after we looked
                continue
        text = f"{self._database.name} is written by too many others: the record could not be kept"
        raise StorageError(errno.EBUSY, text, self._database.name)

    def _appended_alone(self, events: Sequence[Event]) -> None:
        width = ONE_STATEMENT * COLUMNS
        end = None
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            cells, end = chain_rows(events, chain_end(self.connection, self._database.name))
            for start in range(0, len(cells), width):
                part = cells[start : start + width]
                self.connection.execute(_insert(len(part) // COLUMNS), part)
            self.connection.execute("COMMIT")
        except UnreachableError:
            self._unsure = (len(events), end) if end is not None else None
            raise
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        self._end = end

    def still_there(self) -> None:
        """Look now and then whether what is open is still what others would open.

        Raises:
            StorageError: the file is gone, or is another one.
        """
        now = time.monotonic()
        if now - self._seen >= LOOK_EVERY:
            self._database.still_there()
            self._seen = now


@functools.cache
def _insert(rows: int) -> str:
    return _INSERT + ",(?,?,?,?,?,?)" * (rows - 1)


def chain_end(connection: Connection, path: Path | str) -> Link:
    """Where the chain stands: the last row, else what the last pruning left, else the beginning.

    Raises:
        StorageError: the last row's hash is no hash.
        sqlite3.Error: the file cannot be read.
    """
    row = connection.execute("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1").fetchone()
    row = row or connection.execute("SELECT seq, hash FROM anchor ORDER BY seq DESC LIMIT 1").fetchone()
    if row is None:
        return Link()
    if not isinstance(row[1], bytes):
        raise damaged(path, f"row {row[0]} of the journal has no hash")
    return Link(*row)


class Writer:
    """A thread that owns the connection and works through jobs in order; speaks to the event loop of `start`.

    `lost` is called on the loop if the thread ends by itself, which only a bug can cause.
    """

    def __init__(self, place: Path | Database, durability: Durability, lost: Callable[[], None]) -> None:
        self._database = database_at(place)
        self._durability = durability
        self._lost = lost
        self._jobs: SimpleQueue[Callable[[JournalFile], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="mcp-orchestrator journal", daemon=True)
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()

    async def start(self) -> None:
        """Start the thread and wait until the file is open.

        Raises:
            StorageError: it cannot be opened; the thread has ended.
        """
        self._thread.start()
        await self._opened

    def submit(self, job: Callable[[JournalFile], None]) -> None:
        """Have the thread do `job`, which must not raise. Never blocks."""
        self._jobs.put(job)

    async def ask(self, question: Callable[[Connection], T]) -> T:
        """Have the thread do something with the connection in a transaction, and wait for what it returns.

        Raises:
            StorageError: it failed and was rolled back.
        """
        answer: asyncio.Future[T] = self._loop.create_future()
        self.submit(functools.partial(self._answer, question, answer))
        await asyncio.wait((answer, self._ended), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise StorageError(errno.EBADF, f"{self._database.name} is closed", self._database.name)
        return answer.result()

    async def stop(self) -> None:
        """Finish all jobs, close the file, wait for the thread's end. Idempotent."""
        self._jobs.put(None)
        if self._thread.ident is not None:
            await asyncio.shield(self._ended)

    def tell(self, hear: Callable[..., None], *what: object) -> None:
        """Call `hear` on the event loop; a loop that is gone hears nothing."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(hear, *what)

    def _work(self) -> None:
        try:
            file = JournalFile(self._database, self._durability)
        except StorageError as error:
            self.tell(_fail, self._opened, error)
            self.tell(_settle, self._ended, None)
            return
        self.tell(_settle, self._opened, None)
        orderly = False
        try:
            while (job := self._jobs.get()) is not None:
                job(file)
            orderly = True
        finally:
            with suppress(sqlite3.Error):  # the last fold of the log may fail on a full disk: nothing is lost by it
                file.connection.close()
            if not orderly:
                self.tell(self._lost)
            self.tell(_settle, self._ended, None)

    def _answer(self, question: Callable[[Connection], T], answer: asyncio.Future[T], file: JournalFile) -> None:
        connection = file.connection
        try:
            file.still_there()
            connection.execute("BEGIN IMMEDIATE")
            try:
                value = question(connection)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self.tell(_fail, answer, self._database.explained(error))
        except StorageError as error:
            self.tell(_fail, answer, error)
        else:
            self.tell(_settle, answer, value)


def _settle(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[T], error: StorageError) -> None:
    if not future.done():
        future.set_exception(error)
