"""Step 2: delegations, each as it stands last; what happened to it on the way is in the journal."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    # `keeper` names the gateway that carries it out, or did; see storage/keeper.py. `body` is the whole as JSON.
    """CREATE TABLE delegation (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        agent TEXT NOT NULL,
        state TEXT NOT NULL,
        keeper TEXT NOT NULL,
        created REAL NOT NULL,
        updated REAL NOT NULL,
        body TEXT NOT NULL
    )""",
    "CREATE INDEX delegation_created ON delegation (created, id)",
    "CREATE INDEX delegation_owner ON delegation (owner, created, id)",
    "CREATE INDEX delegation_state ON delegation (state, updated)",
)
