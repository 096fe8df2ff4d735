"""Step 3: the tokens that callers sign in with; of each only its hash."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    # `changed` grows with every change to the table, so that gateways see in one look whether there is something new.
    # `scopes` (NULL: everything) and `member_of` are JSON arrays of texts.
    """CREATE TABLE token (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        digest BLOB NOT NULL UNIQUE,
        scopes TEXT,
        member_of TEXT NOT NULL,
        profile TEXT,
        created REAL NOT NULL,
        expires REAL,
        revoked REAL,
        changed INTEGER NOT NULL
    )""",
    "CREATE UNIQUE INDEX token_name ON token (name) WHERE revoked IS NULL",
    "CREATE INDEX token_changed ON token (changed)",
)
