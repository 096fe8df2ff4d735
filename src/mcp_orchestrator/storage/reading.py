"""Reads the journal, beside a running gateway or without one; cannot write."""

from __future__ import annotations

import fnmatch
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.model.delegation import Delegated
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.storage.chain import Fault, Link, Verdict, check_rows
from mcp_orchestrator.storage.database import Database, database_at
from mcp_orchestrator.storage.delegations import decode_delegated, find_delegated

RUNNING: Final = "running"
WAITING: Final = "waiting"
LOST: Final = "lost"
REFUSED: Final = "refused"

RUN_PREFIX: Final = 10
"""Characters of a run id that name the gateway it belongs to (`runs` of `gateway.started`)."""

PAGE: Final = 200
"""Runs that are looked at together."""

STRIDE: Final = 2000
"""Rows that are read together on a walk along the journal."""

_ALL: Final = 2**62
"""More rows than there are."""

_EVENT_COLUMNS: Final = "seq, at, kind, run, data"


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One row of the journal. `at` is seconds since the epoch; `kind` a word of `EventKind`, or of a newer version."""

    seq: int
    at: float
    kind: str
    run: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in a list. `seq` is the number of its first event, which pages are counted by.

    `status` is `running`, `waiting` (for an answer), `completed`, `failed`, `cancelled`, `refused`, or `lost` (the
    gateway ended before the run did, and no other has gone on with it). A delegation may outlive the call that began
    it: its status is that of the agent's work, so also `limit` or `unknown`. `started` is the data of `run.started` (or `call.refused`), `ended` that of `run.ended`, or None. Times are
    seconds since the epoch.
    """

    seq: int
    id: str
    status: str
    started_at: float
    ended_at: float | None
    started: Mapping[str, Any]
    ended: Mapping[str, Any] | None


class JournalReader:
    """The journal of a state file or database, opened read-only. Close it, or use it in a `with` statement."""

    def __init__(self, place: Path | Database) -> None:
        self._database = database_at(place)
        self._connection = self._database.open_reader()
        self._keepers = self._database.keeper(lambda: self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it. Idempotent."""
        self._connection.close()

    def runs(
        self,
        limit: int = 50,
        before: int | None = None,
        *,
        backend: str | None = None,
        tool: str | None = None,
        status: str | None = None,
    ) -> list[RunRow]:
        """The newest runs first, refused calls included.

        `before` is the `seq` of the last row of the page before. `tool` is a public name or a backend's own one, with
        `*` and `?` as in file names; `backend` and `status` are exact.

        Raises:
            StorageError: it cannot be read.
        """
        found: list[RunRow] = []
        with self._told():
            alive = self._living_gateways()
            for start in self._starts(before, backend, tool):
                found += [run for run in self._completed(start, alive) if status is None or run.status == status]
                if len(found) >= limit:
                    break
        return found[:limit]

    def run(self, run: str, after: int = 0, limit: int | None = None) -> list[StoredEvent]:
        """Events of one run in order; empty when there is no such run.

        `after` is the `seq` of the last event that is known already: only later ones, at most `limit`. The number of
        the last event returned is where to go on.

        Raises:
            StorageError: it cannot be read.
        """
        query = f"SELECT {_EVENT_COLUMNS} FROM event WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
        with self._told():
            rows = self._connection.execute(query, (run, after, _ALL if limit is None else limit))
            return [_stored(row) for row in rows]

    def delegation(self, run: str) -> Delegated | None:
        """A delegation as it stands last, by its run id.

        Raises:
            StorageError: it cannot be read.
        """
        with self._told():
            return find_delegated(self._connection, run)

    def events(
        self, kinds: Sequence[str] = (), limit: int = 100, before: int | None = None, after: int | None = None
    ) -> list[StoredEvent]:
        """Events of any kind, or of the given ones: the newest `limit`, newest first.

        `before` and `after` are event numbers, both exclusive.

        Raises:
            StorageError: it cannot be read.
        """
        where, values = ["1 = 1"], list[Any]()
        if kinds:
            where.append(f"kind IN ({','.join('?' * len(kinds))})")
            values += [str(kind) for kind in kinds]
        for bound, sign in ((before, "<"), (after, ">")):
            if bound is not None:
                where.append(f"seq {sign} ?")
                values.append(bound)
        query = f"SELECT {_EVENT_COLUMNS} FROM event WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"  # noqa: S608
        with self._told():
            return [_stored(row) for row in self._connection.execute(query, (*values, limit))]

    def walk(
        self,
        *,
        run: str | None = None,
        kinds: Sequence[str] = (),
        since: float | None = None,
        until: float | None = None,
    ) -> Iterator[tuple[StoredEvent, bytes]]:
        """Every event in order with its hash, as far as it is committed when it is come to.

        Only those of a run, of some kinds, from a time on (inclusive) or up to one (exclusive), seconds since the epoch.

        Raises:
            StorageError: it cannot be read.
        """
        conditions: list[tuple[str, Any]] = [("seq > ?", 0)]
        for condition, value in (("run = ?", run), ("at >= ?", since), ("at < ?", until)):
            if value is not None:
                conditions.append((condition, value))
        where = [condition for condition, _ in conditions]
        if kinds:
            where.append(f"kind IN ({','.join('?' * len(kinds))})")
        values = [*(value for _, value in conditions), *kinds]
        query = f"SELECT {_EVENT_COLUMNS}, hash FROM event WHERE {' AND '.join(where)} ORDER BY seq LIMIT {STRIDE}"  # noqa: S608
        while True:
            with self._told():
                rows = self._connection.execute(query, values).fetchall()
            for row in rows:
                yield _stored(row[:5]), bytes(row[5])
            if len(rows) < STRIDE:
                return
            values[0] = rows[-1][0]

    def anchor(self) -> Link:
        """What the first row that is there follows: the last one that was removed as too old, else the beginning.

        Raises:
            StorageError: it cannot be read.
        """
        with self._told():
            found = self._connection.execute("SELECT seq, hash FROM anchor ORDER BY seq DESC LIMIT 1").fetchone()
        return Link(*found) if found else Link()

    def hash_of(self, seq: int) -> bytes | None:
        """The hash of a row that is there, or of the last one that was removed.

        Raises:
            StorageError: it cannot be read.
        """
        query = "SELECT hash FROM event WHERE seq = ? UNION ALL SELECT hash FROM anchor WHERE seq = ?"
        with self._told():
            found = self._connection.execute(query, (seq, seq)).fetchone()
        return None if found is None else bytes(found[0])

    def verify(self) -> Verdict:
        """Walk the chain from the anchor, or the beginning, to the end of what is committed now.

        A row that cannot even be read is a fault like any other.

        Raises:
            StorageError: it cannot be read at all.
        """
        with self._told():
            self._connection.execute("BEGIN")  # one view for all questions
            if isinstance(self._connection, sqlite3.Connection):
                self._connection.text_factory = bytes  # what is no text any more is to be seen as it is
            try:
                anchor = self._connection.execute("SELECT seq, hash FROM anchor ORDER BY seq DESC LIMIT 1").fetchone()
                return self._checked(Link(*anchor) if anchor else Link())
            finally:
                if isinstance(self._connection, sqlite3.Connection):
                    self._connection.text_factory = str
                self._connection.execute("ROLLBACK")

    def _checked(self, link: Link) -> Verdict:
        query = "SELECT seq, at, kind, run, data, hash FROM event WHERE seq > ? ORDER BY seq LIMIT ?"
        count, after, stride = 0, -_ALL, STRIDE
        while True:
            try:
                rows = self._connection.execute(query, (after, stride)).fetchall()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise  # it is locked, or gone: nothing is said about its rows
                if stride > 1:
                    stride = 1  # to come to the very row
                    continue
                text = f"row {link.seq + 1} cannot be read ({error})"
                return Verdict(count, link, Fault(link.seq + 1, text))
            found = check_rows((tuple(map(_as_bytes, row)) for row in rows), link)
            count, link = count + found.rows, found.end
            if found.fault is not None or len(rows) < stride:
                return Verdict(count, link, found.fault)
            after = rows[-1][0]

    def _starts(self, before: int | None, backend: str | None, tool: str | None) -> Iterator[list[_Start]]:
        """The beginnings of runs, the newest first, a page at a time; never an empty page."""
        # Not `run IS NOT NULL`: SQLite would then go through an index of runs that is in another order.
        query = (
            "SELECT seq, run, kind, at, data FROM event WHERE seq < ? AND (kind IN (?, ?) OR kind = ? AND NOT EXISTS "
            "(SELECT 1 FROM event AS call WHERE call.run = event.run AND call.kind = ?)) ORDER BY seq DESC LIMIT ?"
        )
        started, accepted = EventKind.RUN_STARTED.value, EventKind.DELEGATION_ACCEPTED.value
        kinds = (started, EventKind.CALL_REFUSED.value, accepted, started)
        upper = _ALL if before is None else before
        while True:
            rows = self._connection.execute(query, (upper, *kinds, PAGE)).fetchall()
            starts = [
                _Start(seq, run, kind, at, _begun(kind, _plain(data)))
                for seq, run, kind, at, data in rows
                if run is not None
            ]
            wanted = [start for start in starts if _is_wanted(start.data, backend, tool)]
            if wanted:
                yield wanted
            if len(rows) < PAGE:
                return
            upper = rows[-1][0]

    def _completed(self, starts: Sequence[_Start], alive: frozenset[str]) -> list[RunRow]:
        """The runs that began so, with how they stand."""
        runs = [start.run for start in starts] + [""] * (PAGE - len(starts))  # always as many: one statement to prepare
        marks = ",".join("?" * PAGE)
        query = f"SELECT run, seq, at, data FROM event WHERE kind = ? AND run IN ({marks})"  # noqa: S608
        ends = self._connection.execute(query, (EventKind.RUN_ENDED.value, *runs)).fetchall()
        ended = {run: (seq, at, data) for run, seq, at, data in sorted(ends, key=lambda row: -row[1])}
        query = f"SELECT id, keeper, body FROM delegation WHERE id IN ({marks})"  # noqa: S608
        delegated = {run: (keeper, body) for run, keeper, body in self._connection.execute(query, runs).fetchall()}
        return [self._row(start, ended.get(start.run), delegated.get(start.run), alive) for start in starts]

    def _row(
        self,
        start: _Start,
        ended: tuple[int, float, str] | None,
        delegated: tuple[str, str] | None,
        alive: frozenset[str],
    ) -> RunRow:
        """One run, where need be with the state of its delegation, which may outlive the call that began it."""
        end = None if ended is None or ended[0] <= start.seq else _plain(ended[2])
        if start.kind == EventKind.CALL_REFUSED:
            status = REFUSED
        elif end is not None:
            status = str(end.get("status", ""))
        else:
            status = RUNNING if start.run[:RUN_PREFIX] in alive else LOST
        work = decode_delegated(delegated[1]) if delegated is not None else None
        if work is not None and work.ended is not None:
            status = work.ended.status.value
        else:
            if delegated is not None and work is not None:
                status = RUNNING if self._keepers.is_alive(delegated[0]) else LOST
            status = WAITING if status == RUNNING and self._asks(start.run) else status
        ended_at = ended[1] if ended is not None and end is not None else None
        return RunRow(start.seq, start.run, status, start.at, ended_at, start.data, end)

    def _asks(self, run: str) -> bool:
        """Whether a run has asked something that is not answered yet: the last word about each question counts."""
        query = "SELECT kind, data FROM event WHERE run = ? AND kind IN (?, ?) ORDER BY seq"
        kinds = (EventKind.QUESTION_ASKED.value, EventKind.QUESTION_ANSWERED.value)
        rows = self._connection.execute(query, (run, *kinds)).fetchall()
        last = {str(_plain(data).get("question")): kind for kind, data in rows}
        return EventKind.QUESTION_ASKED.value in last.values()

    def _living_gateways(self) -> frozenset[str]:
        """The run prefixes of gateways that live."""
        query = "SELECT data FROM event WHERE kind = ? AND run IS NULL"
        found = self._connection.execute(query, (EventKind.GATEWAY_STARTED.value,)).fetchall()
        return self._database.living(self._connection, [_plain(data) for (data,) in found])

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._database.explained(error) from error


@dataclass(frozen=True, slots=True)
class _Start:
    """The first event of a run."""

    seq: int
    run: str
    kind: str
    at: float
    data: Mapping[str, Any]


def _begun(kind: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """How a run began: a delegation that no MCP call began (A2A, one of several compared) as the call it amounts to."""
    if kind != EventKind.DELEGATION_ACCEPTED:
        return data
    return {**data, "name": "delegate", "backend": OWN, "target": "delegate", "principal": data.get("owner", "")}


def _is_wanted(data: Mapping[str, Any], backend: str | None, tool: str | None) -> bool:
    if backend is not None and data.get("backend") != backend:
        return False
    if tool is None:
        return True
    pattern = tool.replace("[", "[[]")
    return any(fnmatch.fnmatchcase(str(data.get(key) or ""), pattern) for key in ("name", "target"))


def _as_bytes(cell: Any) -> Any:
    return cell.encode("utf-8", "surrogatepass") if isinstance(cell, str) else cell


def _stored(row: Sequence[Any]) -> StoredEvent:
    seq, at, kind, run, data = row
    return StoredEvent(seq, at, kind, run, _plain(data))


def _plain(data: str) -> Mapping[str, Any]:
    """The data of an event; what was tampered with is shown as it is."""
    try:
        value = msgspec.json.decode(data)
    except ValueError:
        return {"unreadable": data}
    return value if isinstance(value, dict) else {"unreadable": data}
