"""How the accounts of budgets stand, read from the state file beside whichever gateway writes it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from mcp_orchestrator.model.budget import Balance
from mcp_orchestrator.storage.accounts import balances
from mcp_orchestrator.storage.database import Database, database_at
from mcp_orchestrator.storage.trouble import StorageError


def read_balances(place: Path | Database, now: float) -> Sequence[Balance]:
    """Every account whose window is not over; none while there is no state file. `now` is seconds since the epoch.

    Raises:
        StorageError: it cannot be read by this program.
    """
    database = database_at(place)
    try:
        with closing(database.open_reader()) as connection:
            return balances(connection, now=now)
    except StorageError as error:
        if error.errno == errno.ENOENT:
            return ()
        raise
    except sqlite3.Error as error:
        raise database.explained(error) from error
