"""State in a database: the journal with group commit, delegations, tokens, budgets, and what is remembered of backends."""

from __future__ import annotations

import asyncio
import errno
import functools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Mapping
from pathlib import Path
from typing import Final, TypeVar

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage import offers as memory_of_offers
from mcp_orchestrator.storage import retention
from mcp_orchestrator.storage.chain import Verdict
from mcp_orchestrator.storage.database import Connection, Database, database_at
from mcp_orchestrator.storage.delegations import SqliteDelegations
from mcp_orchestrator.storage.ledger import SqliteLedger
from mcp_orchestrator.storage.reading import JournalReader
from mcp_orchestrator.storage.tokens import SqliteTokens
from mcp_orchestrator.storage.trouble import StorageError, again
from mcp_orchestrator.storage.writer import JournalFile, Writer

T = TypeVar("T")

CAPACITY: Final = 100_000
"""Events that may wait for the disk before commits are refused; twice as many and events are dropped (and counted)."""

BATCH: Final = 4096
"""Events of one transaction at most: a failed batch is made anew at each try, so it must not grow without end."""

LINGER: Final = 0.05
"""Seconds after which events are written that nobody committed."""


class Store:
    """A `JournalSink` and `OfferStore` on a file of SQLite or another database, with what else is kept there.

    Use all of it on one event loop; a thread of its own writes.

    Commits are grouped: whatever was recorded while one batch was being written goes into the next one, in one
    transaction, and all its waiters wake from one call into the loop. An acknowledged record survives the end of
    the process (`normal`) or of the machine (`full`).
    """

    def __init__(
        self,
        place: Path | Database,
        durability: Durability = Durability.NORMAL,
        *,
        clock: Callable[[], float] = time.time,
        capacity: int = CAPACITY,
    ) -> None:
        self._database = database_at(place)
        self._name = self._database.name
        self._durability = durability
        self._clock = clock
        self._capacity = capacity
        self._writer: Writer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: list[Event] = []
        self._writing: list[Event] = []
        self._taken = 0  # events handed to the writer so far; recorded so far = taken + queued
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._flush_due = False
        self._tick: asyncio.TimerHandle | None = None
        self._dropped = 0
        self._broken: StorageError | None = None
        self.delegations = SqliteDelegations(self._name, self._ask, self._database.keeper())
        self.tokens = SqliteTokens(self._ask)
        self.ledger = SqliteLedger(self._name, self._open_writer, self.delegations.keeper, clock)

    async def open(self) -> None:
        """Make or open it and bring its schema up to date. Several gateways may have it open at once.

        Raises:
            StorageError: an `OSError` whose text says what is wrong and what to do: the file is damaged, of a newer
                version, not ours, or cannot be written.
        """
        self._database.prepare()
        writer = Writer(self._database, self._durability, self._writer_lost)
        usable = False
        try:
            await writer.start()
            await writer.ask(functools.partial(memory_of_offers.forget_old, now=self._clock()))
            usable = True
        finally:
            if not usable:
                await writer.stop()
        self._writer, self._loop, self._broken = writer, asyncio.get_running_loop(), None
        if self._queue:
            self._flush_soon()

    async def aclose(self) -> None:
        """Write what is left, close the file. Idempotent.

        Raises:
            StorageError: what was left could not be kept.
        """
        writer, loop = self._writer, self._loop
        if writer is None or loop is None:
            return
        try:
            await self.ledger.aclose()
            await self._written_so_far(loop)
        finally:
            self._writer = None
            self._broken = StorageError(errno.EBADF, f"{self._name} is closed", self._name)
            if self._tick is not None:
                self._tick.cancel()
                self._tick = None
            await writer.stop()
            self.delegations.release()

    def record(self, event: Event) -> None:
        """Queue an event. It is written with the next commit, or within 50 ms of its own accord."""
        queue = self._queue
        if len(queue) >= 2 * self._capacity:
            self._dropped += 1
            return
        queue.append(event)
        if self._tick is None and self._loop is not None:
            self._tick = self._loop.call_later(LINGER, self._on_tick)

    def commit(self) -> Awaitable[None]:
        """Wait until everything recorded so far is committed.

        Raises:
            StorageError: (an `OSError`, from awaiting) it could not be kept. What is queued stays queued, and the
                next commit tries again.
        """
        loop = self._loop
        if loop is None:
            return Refused(StorageError(errno.EBADF, f"{self._name} is not open", self._name))
        queued = len(self._queue)
        if queued > self._capacity:
            self._flush_soon()
            return Refused(self._overfull(queued))
        return self._written_so_far(loop)

    def _written_so_far(self, loop: asyncio.AbstractEventLoop) -> Awaitable[None]:
        if self._broken is not None:
            return Refused(again(self._broken))
        if not self._flush_due and not self._writing:
            self._flush_due = True
            loop.call_soon(self._flush)
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append((self._taken + len(self._queue), waiter))
        return waiter

    async def load(self) -> Mapping[tuple[str, str], Offers]:
        """All remembered offers, by (fingerprint, era); rows that cannot be read are left out."""
        return memory_of_offers.decode_offers(await self._open_writer().ask(memory_of_offers.offer_rows))

    async def save(self, fingerprint: str, offers: Offers) -> None:
        """Remember offers for a backend spec."""
        row = memory_of_offers.encode_offers(fingerprint, offers, self._clock())
        await self._open_writer().ask(functools.partial(memory_of_offers.put_offers, row=row))

    async def load_eras(self) -> Mapping[str, Mapping[Era, bool]]:
        """By fingerprint: which eras are known to work and which not."""
        return memory_of_offers.decode_eras(await self._open_writer().ask(memory_of_offers.era_rows))

    async def save_era(self, fingerprint: str, era: Era, works: bool) -> None:
        """Remember one verdict."""
        row = (fingerprint, str(era), int(works), self._clock())
        await self._open_writer().ask(functools.partial(memory_of_offers.put_era, row=row))

    async def prune(self, *, older_than: float | None = None, max_rows: int | None = None) -> int:
        """Remove old events from the journal's beginning, keeping the chain verifiable; returns how many went.

        `older_than` is a time in seconds since the epoch, `max_rows` how many of the newest rows may stay. Delegations
        that ended before `older_than` go as well. Works in steps, so that commits go on in between.

        Raises:
            StorageError: a step failed; what was removed before stays removed.
        """
        removed = 0
        step = functools.partial(retention.prune_step, older_than=older_than, max_rows=max_rows, now=self._clock())
        while gone := await self._open_writer().ask(step):
            removed += gone
        if older_than is not None:
            ended = functools.partial(retention.prune_delegations, older_than=older_than)
            while await self._open_writer().ask(ended):
                pass
        return removed

    async def verify(self) -> Verdict:
        """Walk the whole chain in a thread of its own, as far as it was committed when the walk began."""
        return await asyncio.to_thread(self._verify)

    def _verify(self) -> Verdict:
        with JournalReader(self._database) as reader:
            return reader.verify()

    async def _ask(self, question: Callable[[Connection], T]) -> T:
        return await self._open_writer().ask(question)

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise StorageError(errno.EBADF, f"{self._name} is not open", self._name)
        return self._writer

    def _flush_soon(self) -> None:
        if self._loop is not None and not self._flush_due and not self._writing:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _on_tick(self) -> None:
        self._tick = None
        if self._queue:
            self._flush_soon()

    def _flush(self) -> None:
        """Hand the next batch to the writer; one batch is under way at a time."""
        self._flush_due = False
        writer = self._writer
        if self._writing or writer is None:
            return
        if self._dropped:
            gap = Event(EventKind.JOURNAL_GAP, self._clock(), None, {"lost": self._dropped})
            self._queue.append(gap)
            self._dropped = 0
        batch = self._queue
        if len(batch) > BATCH:
            batch, self._queue = batch[:BATCH], batch[BATCH:]
        else:
            self._queue = []
        if not batch:
            self._wake_waiters()
            return
        self._writing = batch
        self._taken += len(batch)
        writer.submit(functools.partial(_write, batch, functools.partial(writer.tell, self._written)))

    def _written(self, error: StorageError | None) -> None:
        """The batch under way is committed, or none of it is and it goes back to the head of the queue."""
        batch, self._writing = self._writing, []
        if error is not None:
            self._taken -= len(batch)
            self._queue[:0] = batch
            self._fail_waiters(error)
            return
        self._wake_waiters()
        if self._waiters or len(self._queue) >= BATCH:
            self._flush()

    def _wake_waiters(self) -> None:
        waiters, written = self._waiters, self._taken
        while waiters and waiters[0][0] <= written:
            waiter = waiters.popleft()[1]
            if not waiter.done():
                waiter.set_result(None)

    def _fail_waiters(self, error: StorageError) -> None:
        waiters, self._waiters = self._waiters, deque()
        for _target, waiter in waiters:
            if not waiter.done():
                waiter.set_exception(again(error))

    def _overfull(self, queued: int) -> StorageError:
        text = f"{queued} records wait for {self._name}: the disk does not keep up; calls are refused until it has"
        return StorageError(errno.ENOBUFS, text, self._name)

    def _writer_lost(self) -> None:
        text = f"the writer of {self._name} ended unexpectedly: restart the gateway and report what it printed"
        self._broken = StorageError(errno.EIO, text, self._name)
        self._fail_waiters(self._broken)


def _write(batch: list[Event], tell: Callable[[StorageError | None], None], file: JournalFile) -> None:
    error: StorageError | None = None
    try:
        file.append(batch)
    except StorageError as trouble:
        error = trouble
    tell(error)


class Refused:
    """The awaitable of a commit that cannot even be tried: awaiting it raises; leaving it alone costs nothing."""

    def __init__(self, error: StorageError) -> None:
        self._error = error

    def __await__(self) -> Generator[None, None, None]:
        raise self._error
