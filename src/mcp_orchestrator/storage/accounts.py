"""The ledger's transactions: what is done to its rows, on whichever connection, between BEGIN and COMMIT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from mcp_orchestrator.budget_api import Held, Lacking
from mcp_orchestrator.model.budget import Balance, Unit
from mcp_orchestrator.model.rules import Hold
from mcp_orchestrator.storage.database import Connection

KEPT: Final = 900.0
"""Seconds for which a reservation is kept that is settled or released: so long the same run reserves nothing anew."""

LATEST: Final = 30 * 86400.0
"""Seconds for which one is kept whose estimate was charged: so long it may still be settled."""

LOOKED_AT: Final = 400 * 86400.0
"""Seconds for which an account is kept after the end of its window."""

ROUND: Final = 500
"""Reservations that are swept in one transaction at most."""

_PLACE: Final = "budget = ? AND subject = ? AND span = ? AND unit = ?"
_OF_RUN: Final = f"run = ? AND {_PLACE}"
_BALANCE: Final = "budget, subject, span, unit, spent, reserved, most, raised, raised_until, ends"
_ROOM: Final = "spent + reserved + ? <= ? + CASE WHEN raised_until > ? THEN raised ELSE 0 END"

_TAKE: Final = f"""
    UPDATE budget SET reserved = reserved + ?, most = ?, ends = ?, changed = ?
    WHERE {_PLACE} AND {_ROOM} RETURNING {_BALANCE}
"""  # noqa: S608 - our own words, here and below
_OPEN: Final = """
    INSERT INTO budget (budget, subject, span, unit, most, ends, changed) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (budget, subject, span, unit) DO NOTHING
"""
_NOTE_HOLD: Final = """
    INSERT INTO reservation (run, budget, subject, span, unit, state, amount, above, drawn, keeper, expires, changed)
    VALUES (?, ?, ?, ?, ?, 'held', ?, ?, ?, ?, ?, ?) ON CONFLICT (run, budget, subject, span, unit) DO NOTHING
"""
_SEE: Final = f"SELECT {_BALANCE} FROM budget WHERE {_PLACE}"  # noqa: S608
_FREE_OF: Final = f"SELECT amount - used FROM reservation WHERE {_OF_RUN} AND state = 'held'"  # noqa: S608
_MOVE: Final = f"UPDATE reservation SET amount = amount + ?, changed = ? WHERE {_OF_RUN} AND state = 'held'"  # noqa: S608
_OPEN_OF: Final = """
    SELECT budget, subject, span, unit, state, amount, used, charged, above, drawn FROM reservation
    WHERE run = ? AND state IN ('held', 'expired') ORDER BY budget, subject, span, unit
"""
_CHARGE: Final = f"""
    UPDATE budget SET spent = spent + ?, reserved = reserved + ?, changed = ? WHERE {_PLACE} RETURNING {_BALANCE}
"""  # noqa: S608
_OVER: Final = f"UPDATE reservation SET state = ?, charged = ?, changed = ? WHERE {_OF_RUN}"  # noqa: S608
_USED: Final = f"UPDATE reservation SET used = ?, amount = ?, changed = ? WHERE {_OF_RUN}"  # noqa: S608
_LATE: Final = """
    SELECT run, budget, subject, span, unit, amount, used FROM reservation
    WHERE state = 'held' AND expires < ? ORDER BY expires LIMIT ?
"""
_RENEW: Final = "UPDATE reservation SET expires = ? WHERE state = 'held' AND keeper = ? AND expires >= ?"
_ADOPT: Final = "UPDATE reservation SET expires = ?, keeper = ? WHERE state = 'held' AND run = ?"
_FORGET: Final = """
    DELETE FROM reservation WHERE (state IN ('settled', 'released') AND changed < ?) OR (state = 'expired' AND changed < ?)
"""
_CLEAR: Final = "DELETE FROM budget WHERE ends < ? AND reserved = 0"
_RAISE: Final = f"""
    UPDATE budget SET raised = ? + CASE WHEN raised_until > ? THEN raised ELSE 0 END, raised_until = ?, changed = ?
    WHERE {_PLACE} RETURNING {_BALANCE}
"""  # noqa: S608
_ALL: Final = f"SELECT {_BALANCE} FROM budget WHERE ends IS NULL OR ends > ? ORDER BY budget, subject, unit"  # noqa: S608
_DRAWN_FROM: Final = frozenset({Unit.USD.value, Unit.TOKENS.value})

Place = tuple[str, str, str, str]


class _Full(Exception):  # noqa: N818 - a turn in a transaction, no error
    def __init__(self, hold: Hold, balance: Balance) -> None:
        super().__init__()
        self.lacking = Lacking(hold, balance)


def reserve(
    connection: Connection,
    run: str,
    holds: Sequence[Hold],
    above: Sequence[str],
    *,
    keeper: str,
    now: float,
    expires: float,
) -> Held | Lacking:
    """Hold all holds of a run in their fixed order, or none of them."""
    connection.execute("SAVEPOINT hold")
    try:
        found: list[Balance] = []
        for hold in sorted(holds, key=lambda one: one.place):
            found += _hold(connection, run, hold, above, (keeper, expires, now))
    except _Full as full:
        connection.execute("ROLLBACK TO hold")
        return full.lacking
    finally:
        connection.execute("RELEASE hold")
    return Held(found)


def _hold(
    connection: Connection, run: str, hold: Hold, above: Sequence[str], kept: tuple[str, float, float]
) -> list[Balance]:
    place, amount, now = hold.place, hold.amount, kept[2]
    source, drawn = _source(connection, place, amount, above)
    note = (run, *place, amount, source, drawn, *kept)
    if connection.execute(_NOTE_HOLD, note).rowcount < 1:
        return []  # this run has reserved it before
    if source is not None:
        connection.execute(_MOVE, (-drawn, now, source, *place))
    more = amount - drawn
    take = (more, hold.limit, hold.ends, now, *place, more, hold.limit, now)
    taken = connection.execute(_TAKE, take).fetchall()
    if not taken:
        opened = connection.execute(_OPEN, (*place, hold.limit, hold.ends, now)).rowcount
        taken = connection.execute(_TAKE, take).fetchall() if opened > 0 else []
    if not taken:
        raise _Full(hold, seen(connection, hold))
    return [Balance(*taken[0])]


def _source(connection: Connection, place: Place, amount: int, above: Sequence[str]) -> tuple[str | None, int]:
    """The nearest run above that still holds something of the same hold, and how much of it is drawn."""
    for run in above if place[3] in _DRAWN_FROM else ():
        row = connection.execute(_FREE_OF, (run, *place)).fetchone()
        if row is not None and row[0] > 0:
            return run, min(row[0], amount)
    return None, 0


def seen(connection: Connection, hold: Hold) -> Balance:
    """How an hold stands, by the limit that holds now."""
    row = connection.execute(_SEE, hold.place).fetchone()
    if row is None:
        return Balance(*hold.place, 0, 0, hold.limit, ends=hold.ends)
    return replace(Balance(*row), limit=hold.limit)


def close(connection: Connection, run: str, used: Mapping[str, int] | None, *, now: float) -> list[Balance]:
    """Charge a run what it used, by unit (missing: what it held), or (None) give everything back."""
    found: list[Balance] = []
    for row in connection.execute(_OPEN_OF, (run,)).fetchall():
        place: Place = row[:4]
        state, amount, known, charged, above, drawn = row[4:]
        actual = 0 if used is None else used.get(place[3], max(amount, known))
        if state == "held":
            back = _given_back(connection, place, above, min(drawn, amount - actual), now)
            change = (actual, back - amount)
        else:
            change = (actual - charged, 0)
        word = "released" if used is None else "settled"
        connection.execute(_OVER, (word, actual, now, run, *place))
        found += [Balance(*one) for one in connection.execute(_CHARGE, (*change, now, *place)).fetchall()]
    return found


def _given_back(connection: Connection, place: Place, above: str | None, amount: int, now: float) -> int:
    """How much of what was drawn goes back to the run that it was drawn from, which may be over by now."""
    if above is None or amount <= 0:
        return 0
    return amount if connection.execute(_MOVE, (amount, now, above, *place)).rowcount > 0 else 0


def note(connection: Connection, run: str, used: Mapping[str, int], *, now: float) -> list[Balance]:
    """Note what a run has used so far; a hold that is less than that grows, whatever the limit: it is spent already."""
    found: list[Balance] = []
    for row in connection.execute(_OPEN_OF, (run,)).fetchall():
        place: Place = row[:4]
        state, amount, known = row[4:7]
        so_far = max(known, used.get(place[3], 0))
        if state != "held" or so_far == known:
            continue
        grown = max(amount, so_far)
        connection.execute(_USED, (so_far, grown, now, run, *place))
        found += [Balance(*one) for one in connection.execute(_CHARGE, (0, grown - amount, now, *place)).fetchall()]
    return found


def adopt(connection: Connection, run: str, *, keeper: str, expires: float) -> None:
    """Take over the hold of a run."""
    connection.execute(_ADOPT, (expires, keeper, run))


def tend(connection: Connection, *, keeper: str, now: float, expires: float) -> int:
    """Renew the holds of a keeper, then charge the estimate of those that nobody renewed in time."""
    connection.execute(_RENEW, (expires, keeper, now))
    late = connection.execute(_LATE, (now, ROUND)).fetchall()
    for run, *place, amount, used in late:
        charge = max(amount, used)
        connection.execute(_OVER, ("expired", charge, now, run, *place))
        connection.execute(_CHARGE, (charge, -amount, now, *place)).fetchall()
    return len(late)


def forget(connection: Connection, *, now: float) -> None:
    """Remove reservations that are over for long, and accounts whose window is."""
    connection.execute(_FORGET, (now - KEPT, now - LATEST))
    connection.execute(_CLEAR, (now - LOOKED_AT,))


def raised(connection: Connection, hold: Hold, amount: int, until: float, *, now: float) -> Balance:
    """Raise what an hold may take until a time."""
    connection.execute(_OPEN, (*hold.place, hold.limit, hold.ends, now))
    change: tuple[Any, ...] = (amount, now, until, now, *hold.place)
    return Balance(*connection.execute(_RAISE, change).fetchall()[0])


def balances(connection: Connection, *, now: float) -> list[Balance]:
    """Every row whose window is not over."""
    return [Balance(*row) for row in connection.execute(_ALL, (now,)).fetchall()]
