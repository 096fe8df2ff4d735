"""Step 1: the journal with its anchors, and what is remembered of backends."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    # `hash` chains each row to the one before it; see storage/chain.py.
    """CREATE TABLE event (
        seq INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        run TEXT,
        data TEXT NOT NULL,
        hash BLOB NOT NULL
    )""",
    # Every call pays for this one, so nothing else is indexed of rows that belong to a run.
    "CREATE INDEX event_run ON event (run) WHERE run IS NOT NULL",
    "CREATE INDEX event_other ON event (kind, seq) WHERE run IS NULL",
    # Where the chain begins after older rows were pruned: the number and hash of the last row that went.
    """CREATE TABLE anchor (
        seq INTEGER PRIMARY KEY,
        hash BLOB NOT NULL,
        pruned INTEGER NOT NULL,
        at REAL NOT NULL
    )""",
    """CREATE TABLE offers (
        fingerprint TEXT NOT NULL,
        era TEXT NOT NULL,
        saved_at REAL NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (fingerprint, era)
    )""",
    """CREATE TABLE era (
        fingerprint TEXT NOT NULL,
        era TEXT NOT NULL,
        works INTEGER NOT NULL,
        saved_at REAL NOT NULL,
        PRIMARY KEY (fingerprint, era)
    ) WITHOUT ROWID""",
)
