"""Reads the journal, beside a running gateway or without one; cannot write."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from mcp_orchestrator.model.delegation import Delegated
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.storage.chain import Link, Verdict, check_rows
from mcp_orchestrator.storage.connecting import open_reader
from mcp_orchestrator.storage.delegations import find_delegated
from mcp_orchestrator.storage.keeper import Keeper
from mcp_orchestrator.storage.trouble import explain

RUNNING: Final = "running"
WAITING: Final = "waiting"
LOST: Final = "lost"
REFUSED: Final = "refused"

RUN_PREFIX: Final = 10
"""Characters of a run id that name the gateway it belongs to (`runs` of `gateway.started`)."""

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
    """The journal of one state file, opened read-only. Close it, or use it in a `with` statement."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_reader(path)
        self._keepers = Keeper(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Idempotent."""
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
            StorageError: the file cannot be read.
        """
        found: list[RunRow] = []
        with self._told():
            alive = self._living_gateways()
            for row in self._connection.execute(*_runs_query(before, backend, tool)):
                run = _run_row(row, alive)
                run = replace(run, status=self._status(run))
                if status is None or run.status == status:
                    found.append(run)
                if len(found) >= limit:
                    break
        return found

    def run(self, run: str, after: int = 0, limit: int | None = None) -> list[StoredEvent]:
        """Events of one run in order; empty when there is no such run.

        `after` is the `seq` of the last event that is known already: only later ones, at most `limit`. The number of
        the last event returned is where to go on.

        Raises:
            StorageError: the file cannot be read.
        """
        query = f"SELECT {_EVENT_COLUMNS} FROM event WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
        with self._told():
            rows = self._connection.execute(query, (run, after, -1 if limit is None else limit))
            return [_stored(row) for row in rows]

    def delegation(self, run: str) -> Delegated | None:
        """A delegation as it stands last, by its run id.

        Raises:
            StorageError: the file cannot be read.
        """
        with self._told():
            return find_delegated(self._connection, run)

    def events(
        self, kinds: Sequence[str] = (), limit: int = 100, before: int | None = None, after: int | None = None
    ) -> list[StoredEvent]:
        """Events of any kind, or of the given ones: the newest `limit`, newest first.

        `before` and `after` are event numbers, both exclusive.

        Raises:
            StorageError: the file cannot be read.
        """
        where, values = ["1"], []
        if kinds:
            where.append(f"kind IN ({','.join('?' * len(kinds))})")
            values += [str(kind) for kind in kinds]
        for bound, sign in ((before, "<"), (after, ">")):
            if bound is not None:
                where.append(f"seq {sign} ?")
                values.append(bound)  # type: ignore[arg-type]
        query = f"SELECT {_EVENT_COLUMNS} FROM event WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"  # noqa: S608
        with self._told():
            return [_stored(row) for row in self._connection.execute(query, (*values, limit))]

    def verify(self) -> Verdict:
        """Walk the chain from the anchor, or the beginning, to the end of what is committed now.

        Raises:
            StorageError: the file cannot be read to its end: what lies there is no database any more.
        """
        with self._told():
            self._connection.execute("BEGIN")  # one view of the file for both questions
            self._connection.text_factory = bytes
            try:
                anchor = self._connection.execute("SELECT seq, hash FROM anchor ORDER BY seq DESC LIMIT 1").fetchone()
                rows = self._connection.execute("SELECT seq, at, kind, run, data, hash FROM event ORDER BY seq")
                return check_rows(rows, Link(*anchor) if anchor else Link())
            finally:
                self._connection.text_factory = str
                self._connection.execute("ROLLBACK")

    def _status(self, run: RunRow) -> str:
        """How a run stands, where its first and last event do not tell it all."""
        status, delegated = run.status, find_delegated(self._connection, run.id)
        if delegated is not None:
            if delegated.ended is not None:
                return delegated.ended.status.value
            (keeper,) = self._connection.execute("SELECT keeper FROM delegation WHERE id = ?", (run.id,)).fetchone()
            status = RUNNING if self._keepers.is_alive(keeper) else LOST
        return WAITING if status == RUNNING and self._asks(run.id) else status

    def _asks(self, run: str) -> bool:
        """Whether a run has asked something that is not answered yet: the last word about each question counts."""
        query = """
            SELECT kind, max(seq) FROM event WHERE run = ? AND kind IN (?, ?)
            GROUP BY CASE WHEN json_valid(data) THEN json_extract(data, '$.question') END
        """
        kinds = (EventKind.QUESTION_ASKED.value, EventKind.QUESTION_ANSWERED.value)
        last = self._connection.execute(query, (run, *kinds)).fetchall()
        return any(kind == EventKind.QUESTION_ASKED for kind, _ in last)

    def _living_gateways(self) -> frozenset[str]:
        """The run prefixes of gateways whose process is there."""
        query = "SELECT data FROM event WHERE kind = ? AND run IS NULL"
        found = self._connection.execute(query, (EventKind.GATEWAY_STARTED.value,)).fetchall()
        starts = [_plain(data) for (data,) in found]
        return frozenset(str(start.get("runs", "")) for start in starts if _is_alive(start.get("pid")))

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise explain(error, self._path) from error


def _runs_query(before: int | None, backend: str | None, tool: str | None) -> tuple[str, list[Any]]:
    where = ["s.kind IN (?, ?)", "s.run IS NOT NULL"]
    values: list[Any] = [EventKind.RUN_ENDED.value, EventKind.RUN_STARTED.value, EventKind.CALL_REFUSED.value]
    if before is not None:
        where.append("s.seq < ?")
        values.append(before)
    if backend is not None:
        where.append("json_valid(s.data) AND json_extract(s.data, '$.backend') = ?")
        values.append(backend)
    if tool is not None:
        where.append("json_valid(s.data)")
        where.append("(json_extract(s.data, '$.name') GLOB ? OR json_extract(s.data, '$.target') GLOB ?)")
        values += [tool.replace("[", "[[]")] * 2
    query = f"""
        SELECT s.seq, s.run, s.kind, s.at, s.data, e.at, e.data
        FROM event AS s NOT INDEXED LEFT JOIN event AS e ON e.run = s.run AND e.kind = ? AND e.seq > s.seq
        WHERE {" AND ".join(where)} ORDER BY s.seq DESC
    """  # noqa: S608 - our own words; every value is bound
    return query, values


def _run_row(row: tuple[int, str, str, float, str, float | None, str | None], alive: frozenset[str]) -> RunRow:
    seq, run, kind, at, data, ended_at, ended_data = row
    ended = _plain(ended_data) if ended_data is not None else None
    if kind == EventKind.CALL_REFUSED:
        status = REFUSED
    elif ended is not None:
        status = str(ended.get("status", ""))
    else:
        status = RUNNING if run[:RUN_PREFIX] in alive else LOST
    return RunRow(seq, run, status, at, ended_at, _plain(data), ended)


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


def _stored(row: tuple[int, float, str, str | None, str]) -> StoredEvent:
    seq, at, kind, run, data = row
    return StoredEvent(seq, at, kind, run, _plain(data))


def _plain(data: str) -> Mapping[str, Any]:
    """The data of an event; what was tampered with is shown as it is."""
    try:
        value = msgspec.json.decode(data)
    except ValueError:
        return {"unreadable": data}
    return value if isinstance(value, dict) else {"unreadable": data}
