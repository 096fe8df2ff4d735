"""Which database a configuration means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_orchestrator.storage.database import Database, SqliteFile

if TYPE_CHECKING:
    from mcp_orchestrator.model.snapshot import StorageSpec


def database_of(spec: StorageSpec) -> Database:
    """The database of `storage.url`. Nothing is opened yet."""
    if spec.url is None:
        return SqliteFile(spec.path)
    # Half a second and an extra that is not spent on files.
    from mcp_orchestrator.storage.postgres import Address  # noqa: PLC0415
    from mcp_orchestrator.storage.postgres_database import PostgresDatabase  # noqa: PLC0415

    return PostgresDatabase(Address(spec.url, spec.name), spec.path)
