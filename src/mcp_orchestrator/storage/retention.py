"""How the state file stays small: old rows go from the journal's beginning, and an anchor keeps what is left verifiable."""

from __future__ import annotations

from typing import Final

from mcp_orchestrator.model.delegation import DelegationState
from mcp_orchestrator.storage.database import Connection

STEP: Final = 2000
"""Rows removed in one transaction: about 10 ms, so that commits of calls get in between."""


def prune_step(connection: Connection, *, older_than: float | None, max_rows: int | None, now: float) -> int:
    """Remove up to `STEP` rows from the beginning; returns how many went, 0 when nothing (more) is too old.

    `older_than` and `now` are seconds since the epoch; `max_rows` is how many of the newest rows may stay. Rows are
    judged in their order, not by time alone: the first row that is young enough ends it, as a chain has no holes.
    """
    first, last = connection.execute("SELECT min(seq), max(seq) FROM event").fetchone()
    if first is None:
        return 0
    until = first - 1
    if max_rows is not None:
        until = max(until, last - max(max_rows, 0))
    if older_than is not None:
        query = "SELECT seq FROM event WHERE seq BETWEEN ? AND ? AND at >= ? ORDER BY seq LIMIT 1"
        young = connection.execute(query, (first, first + STEP, older_than)).fetchone()
        until = max(until, young[0] - 1 if young else first + STEP - 1)
    until = min(until, first + STEP - 1, last)
    if until < first:
        return 0
    (end,) = connection.execute("SELECT hash FROM event WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (until,)).fetchone()
    gone = connection.execute("DELETE FROM event WHERE seq <= ?", (until,)).rowcount
    connection.execute("DELETE FROM anchor")
    connection.execute("INSERT INTO anchor (seq, hash, pruned, at) VALUES (?, ?, ?, ?)", (until, end, gone, now))
    return int(gone)


def prune_delegations(connection: Connection, *, older_than: float) -> int:
    """Remove up to `STEP` delegations that ended before a time (seconds since the epoch); returns how many went."""
    query = "SELECT id FROM delegation WHERE state = ? AND updated < ? LIMIT ?"
    ended = (DelegationState.ENDED.value, older_than, STEP)
    return connection.execute(f"DELETE FROM delegation WHERE id IN ({query})", ended).rowcount  # noqa: S608
