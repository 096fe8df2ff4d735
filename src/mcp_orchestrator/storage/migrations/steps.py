"""Brings a state file to the schema that this program knows, or says why it cannot."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mcp_orchestrator.storage.migrations import v001_journal_and_offers, v002_delegations, v003_tokens, v004_budgets
from mcp_orchestrator.storage.trouble import StorageError, damaged

APPLICATION_ID: Final = 0x4D43504F  # "MCPO", so that `file` and we can tell our databases from others
STEPS: Final[tuple[Sequence[str], ...]] = (
    v001_journal_and_offers.STATEMENTS,
    v002_delegations.STATEMENTS,
    v003_tokens.STATEMENTS,
    v004_budgets.STATEMENTS,
)
SCHEMA: Final = len(STEPS)
"""The schema version this program reads and writes (`PRAGMA user_version`)."""


def schema_of(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of a file that we may use; 0 for an empty one.

    Raises:
        StorageError: written by a newer program, or by another one altogether.
        sqlite3.Error: not readable as a database.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != APPLICATION_ID and (owner or version or tables):
        raise damaged(path, "it is the database of another program")
    if version > SCHEMA:
        text = (
            f"{path} was written by a newer mcp-orchestrator (schema {version}; this one knows up to {SCHEMA}): "
            "run that version, or set storage.url to another file"
        )
        raise StorageError(errno.EINVAL, text, path)
    return int(version)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply what is missing, each step in a transaction of its own. `connection` must be in autocommit mode.

    Raises:
        StorageError: see `schema_of`.
        sqlite3.Error: a step failed; the file keeps the last schema that was complete.
    """
    for number in range(schema_of(connection, path), SCHEMA):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in STEPS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
