"""What is remembered of backends across restarts: their last offers and which eras they speak, as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.storage.database import Connection

KEPT_FOR: Final = 90 * 86400.0
"""Seconds after which what was last saved of a backend is forgotten: its specification has changed since."""

OffersRow = tuple[str, str, float, str]
EraRow = tuple[str, str, int, float]

_decoder: Final = msgspec.json.Decoder(Offers)
_encoder: Final = msgspec.json.Encoder()


def encode_offers(fingerprint: str, offers: Offers, now: float) -> OffersRow:
    """The row that keeps `offers`: fingerprint, era, when it was saved (seconds since the epoch), JSON."""
    return (fingerprint, str(offers.era), now, _encoder.encode(offers).decode())


def decode_offers(rows: Iterable[tuple[object, object, object]]) -> dict[tuple[str, str], Offers]:
    """Offers by (fingerprint, era) from rows (fingerprint, era, JSON); what is malformed is left out."""
    known: dict[tuple[str, str], Offers] = {}
    for fingerprint, era, body in rows:
        if not isinstance(fingerprint, str) or not isinstance(body, (str, bytes)):
            continue
        with suppress(ValueError, RecursionError):
            offers = _decoder.decode(body)
            if offers.era.value == era:
                known[fingerprint, offers.era.value] = offers
    return known


def decode_eras(rows: Iterable[tuple[object, object, object]]) -> dict[str, Mapping[Era, bool]]:
    """By fingerprint, the verdict on each era, from rows (fingerprint, era, works); what is malformed is left out."""
    verdicts: dict[str, dict[Era, bool]] = {}
    for fingerprint, era, works in rows:
        if isinstance(fingerprint, str) and isinstance(era, str) and era in set(Era) and works in (0, 1):
            verdicts.setdefault(fingerprint, {})[Era(era)] = bool(works)
    return dict(verdicts)


def offer_rows(connection: Connection) -> Sequence[tuple[object, object, object]]:
    """Rows for `decode_offers`."""
    return connection.execute("SELECT fingerprint, era, body FROM offers").fetchall()


def era_rows(connection: Connection) -> Sequence[tuple[object, object, object]]:
    """Rows for `decode_eras`."""
    return connection.execute("SELECT fingerprint, era, works FROM era").fetchall()


def put_offers(connection: Connection, row: OffersRow) -> None:
    """Keep one row, in place of an older one of the same key."""
    put = "INSERT INTO offers (fingerprint, era, saved_at, body) VALUES (?, ?, ?, ?)"
    change = "ON CONFLICT (fingerprint, era) DO UPDATE SET saved_at = excluded.saved_at, body = excluded.body"
    connection.execute(f"{put} {change}", row)


def put_era(connection: Connection, row: EraRow) -> None:
    """Keep one verdict, in place of an older one of the same key."""
    put = "INSERT INTO era (fingerprint, era, works, saved_at) VALUES (?, ?, ?, ?)"
    change = "ON CONFLICT (fingerprint, era) DO UPDATE SET works = excluded.works, saved_at = excluded.saved_at"
    connection.execute(f"{put} {change}", row)


def forget_old(connection: Connection, now: float) -> None:
    """Drop what was not saved again for a long time. `now` is seconds since the epoch."""
    for table in ("offers", "era"):
        connection.execute(f"DELETE FROM {table} WHERE saved_at < ?", (now - KEPT_FOR,))  # noqa: S608 - our own two
