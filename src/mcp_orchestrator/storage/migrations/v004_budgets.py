"""Step 4: the ledger of budgets. Whole numbers alone: micro-dollars, tokens, calls, thousandths of a second."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    # One row for each budget, key and window; a new window is a new row, so nothing is ever reset. `most` is the limit
    # at the time of the last hold, `ends` the window's end (NULL: never).
    """CREATE TABLE budget (
        budget TEXT NOT NULL,
        subject TEXT NOT NULL,
        span TEXT NOT NULL,
        unit TEXT NOT NULL,
        spent BIGINT NOT NULL DEFAULT 0,
        reserved BIGINT NOT NULL DEFAULT 0,
        most BIGINT NOT NULL,
        raised BIGINT NOT NULL DEFAULT 0,
        raised_until DOUBLE PRECISION NOT NULL DEFAULT 0,
        ends DOUBLE PRECISION,
        changed DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (budget, subject, span, unit)
    ) WITHOUT ROWID""",
    # What a run has reserved. `state` goes one way: held -> settled | released | expired; an expired one, whose estimate
    # was charged, may still be settled. `used` is what is known to be used already, `charged` what was charged.
    # `above` is the run whose reservation it was drawn from, `drawn` how much.
    """CREATE TABLE reservation (
        run TEXT NOT NULL,
        budget TEXT NOT NULL,
        subject TEXT NOT NULL,
        span TEXT NOT NULL,
        unit TEXT NOT NULL,
        state TEXT NOT NULL,
        amount BIGINT NOT NULL,
        used BIGINT NOT NULL DEFAULT 0,
        charged BIGINT NOT NULL DEFAULT 0,
        above TEXT,
        drawn BIGINT NOT NULL DEFAULT 0,
        keeper TEXT NOT NULL,
        expires DOUBLE PRECISION NOT NULL,
        changed DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (run, budget, subject, span, unit)
    ) WITHOUT ROWID""",
    "CREATE INDEX reservation_held ON reservation (expires) WHERE state = 'held'",
)
