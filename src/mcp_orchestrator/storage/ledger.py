"""The ledger of budgets on the state file: what many calls want of it at the same time is one transaction.

Its transactions are in `accounts`. Each begins by taking the file's write lock, so that gateways that share a file
never hold more than there is. A hold is committed before it is acknowledged. Whoever holds renews it every `TEND`
seconds; when a gateway ends without settling, its estimates are charged after `GRACE`.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.budget_api import Held, Lacking
from mcp_orchestrator.model.budget import Balance
from mcp_orchestrator.model.rules import Hold
from mcp_orchestrator.storage import accounts as rows
from mcp_orchestrator.storage.database import Connection
from mcp_orchestrator.storage.migrations import v004_budgets
from mcp_orchestrator.storage.trouble import StorageError, again, explain
from mcp_orchestrator.storage.writer import JournalFile, Writer

GRACE: Final = 90.0
"""Seconds after which a hold that nobody renews counts as used: several times `runtime.budgets.TEND`."""

FORGET_EVERY: Final = 15
"""Rounds of `tend` between two in which reservations are removed that are over for long: that looks at all of them."""

Work = Callable[[Connection], Any]
_Wanted = tuple[Work, "asyncio.Future[Any]", bool]


class SqliteLedger:
    """A `Ledger` on the file that `writer` writes. `keeper` names this gateway; `clock` is seconds since the epoch."""

    def __init__(self, path: Path | str, writer: Callable[[], Writer], keeper: str, clock: Callable[[], float]) -> None:
        self._path = path
        self._writer = writer
        self._keeper = keeper
        self._clock = clock
        self._queue: list[_Wanted] = []
        self._writing: list[_Wanted] = []
        self._owed: list[Work] = []
        self._flush_due = False
        self._rounds = 0

    def reserve(self, run: str, holds: Sequence[Hold], above: Sequence[str] = ()) -> Awaitable[Held | Lacking]:
        """Hold all holds of a run, or none; committed when it returns."""
        now = self._clock()
        return self._do(
            functools.partial(
                rows.reserve, run=run, holds=holds, above=above, keeper=self._keeper, now=now, expires=now + GRACE
            )
        )

    def settle(self, run: str, used: Mapping[str, int]) -> Awaitable[Sequence[Balance]]:
        """Charge what was used. It is done, or owed and tried again, even if nobody awaits it."""
        return self._do(functools.partial(rows.close, run=run, used=used, now=self._clock()), owed=True)

    def release(self, run: str) -> Awaitable[Sequence[Balance]]:
        """Give back what a run holds; likewise."""
        return self._do(functools.partial(rows.close, run=run, used=None, now=self._clock()), owed=True)

    def note(self, run: str, used: Mapping[str, int]) -> Awaitable[Sequence[Balance]]:
        """What a run has used so far."""
        return self._do(functools.partial(rows.note, run=run, used=used, now=self._clock()))

    def adopt(self, run: str) -> Awaitable[None]:
        """Keep the hold of a run that an earlier gateway has reserved."""
        expires = self._clock() + GRACE
        return self._do(functools.partial(rows.adopt, run=run, keeper=self._keeper, expires=expires))

    def tend(self) -> Awaitable[int]:
        """Renew what is ours, charge what nobody renewed, and try again what is owed."""
        owed, self._owed = self._owed, []
        for work in owed:
            self._do(work, owed=True)
        now = self._clock()
        self._rounds += 1
        if self._rounds % FORGET_EVERY == 0:
            self._do(functools.partial(rows.forget, now=now))
        return self._do(functools.partial(rows.tend, keeper=self._keeper, now=now, expires=now + GRACE))

    def raised(self, hold: Hold, amount: int, until: float) -> Awaitable[Balance]:
        """Raise what an hold may take until a time."""
        now = self._clock()
        return self._do(functools.partial(rows.raised, hold=hold, amount=amount, until=until, now=now))

    def balances(self) -> Awaitable[Sequence[Balance]]:
        """Every row whose window is not over."""
        return self._do(functools.partial(rows.balances, now=self._clock()))

    def peek(self, holds: Sequence[Hold]) -> Awaitable[Sequence[Balance]]:
        """How these holds stand."""
        return self._do(lambda connection: [rows.seen(connection, hold) for hold in holds])

    async def aclose(self) -> None:
        """Wait until everything that was asked for is done, or has failed."""
        while self._queue or self._writing:
            waited = [one[1] for one in (*self._writing, *self._queue)]
            self._flush()
            await asyncio.wait(waited)

    def _do(self, work: Work, *, owed: bool = False) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        future.add_done_callback(_looked_at)
        self._queue.append((work, future, owed))
        if not self._flush_due and not self._writing:
            self._flush_due = True
            loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        """Hand what is wanted to the writing thread; one batch is under way at a time."""
        self._flush_due = False
        if self._writing or not self._queue:
            return
        try:
            writer = self._writer()
        except StorageError as error:
            self._writing, self._queue = self._queue, []
            self._done(None, error)
            return
        self._writing, self._queue = self._queue, []
        work = [one[0] for one in self._writing]
        writer.submit(functools.partial(_carry_out, self._path, work, functools.partial(writer.tell, self._done)))

    def _done(self, values: Sequence[Any] | None, error: StorageError | None) -> None:
        batch, self._writing = self._writing, []
        for number, (work, future, owed) in enumerate(batch):
            if error is not None and owed:
                self._owed.append(work)
            if future.done():
                continue
            if error is not None:
                future.set_exception(again(error))
            else:
                future.set_result(values[number] if values is not None else None)
        if self._queue:
            self._flush()


def _looked_at(future: asyncio.Future[Any]) -> None:
    """Nobody need await a settlement; one that failed is owed, and its error is no surprise."""
    if not future.cancelled():
        future.exception()


def _carry_out(
    path: Path | str,
    work: Sequence[Work],
    tell: Callable[[Sequence[Any] | None, StorageError | None], None],
    file: JournalFile,
) -> None:
    """On the writing thread: all of the work in one transaction."""
    try:
        file.still_there()
        values = in_one(file.connection, work)
    except sqlite3.Error as error:
        tell(None, explain(error, path))
    except StorageError as error:
        tell(None, error)
    else:
        tell(values, None)


def in_one(connection: Connection, work: Sequence[Work]) -> list[Any]:
    """Do all of the work in one transaction, or none of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        values = [one(connection) for one in work]
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return values


class MemoryLedger:
    """A `Ledger` of the process: the same transactions on a database in memory."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._connection: sqlite3.Connection | None = None

    def reserve(self, run: str, holds: Sequence[Hold], above: Sequence[str] = ()) -> Awaitable[Held | Lacking]:
        """Hold all holds of a run, or none."""
        now = self._clock()
        return self._do(
            lambda c: rows.reserve(c, run, holds, above, keeper="", now=now, expires=now + GRACE),
        )

    def settle(self, run: str, used: Mapping[str, int]) -> Awaitable[Sequence[Balance]]:
        """Charge what was used."""
        return self._do(lambda c: rows.close(c, run, used, now=self._clock()))

    def release(self, run: str) -> Awaitable[Sequence[Balance]]:
        """Give back what a run holds."""
        return self._do(lambda c: rows.close(c, run, None, now=self._clock()))

    def note(self, run: str, used: Mapping[str, int]) -> Awaitable[Sequence[Balance]]:
        """What a run has used so far."""
        return self._do(lambda c: rows.note(c, run, used, now=self._clock()))

    def adopt(self, run: str) -> Awaitable[None]:
        """Nobody else can have held it."""
        return self._do(lambda c: rows.adopt(c, run, keeper="", expires=self._clock() + GRACE))

    def tend(self) -> Awaitable[int]:
        """Renew everything: it is all ours."""
        now = self._clock()
        self._do(lambda c: rows.forget(c, now=now))
        return self._do(lambda c: rows.tend(c, keeper="", now=now, expires=now + GRACE))

    def raised(self, hold: Hold, amount: int, until: float) -> Awaitable[Balance]:
        """Raise what an hold may take until a time."""
        return self._do(lambda c: rows.raised(c, hold, amount, until, now=self._clock()))

    def balances(self) -> Awaitable[Sequence[Balance]]:
        """Every row whose window is not over."""
        return self._do(lambda c: rows.balances(c, now=self._clock()))

    def peek(self, holds: Sequence[Hold]) -> Awaitable[Sequence[Balance]]:
        """How these holds stand."""
        return self._do(lambda c: [rows.seen(c, hold) for hold in holds])

    def _do(self, work: Work) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_looked_at)
        try:
            future.set_result(in_one(self._opened(), [work])[0])
        except sqlite3.Error as error:
            future.set_exception(OSError(errno.EIO, f"the ledger cannot be used ({error})"))
        return future

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(":memory:", isolation_level=None)
            for statement in v004_budgets.STATEMENTS:
                self._connection.execute(statement)
        return self._connection

    def close(self) -> None:
        """Forget everything. Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
