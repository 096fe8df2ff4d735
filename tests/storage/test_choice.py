"""A configuration means a file, or a database when it has its address."""

from mcp_orchestrator.model.snapshot import Secret, StorageSpec
from mcp_orchestrator.storage.choice import database_of
from mcp_orchestrator.storage.database import SqliteFile
from mcp_orchestrator.storage.postgres_database import PostgresDatabase


def test_a_path_is_a_file(tmp_path):
    database = database_of(StorageSpec(tmp_path / "state.db"))
    assert isinstance(database, SqliteFile)
    assert database.name == str(tmp_path / "state.db")


def test_an_address_is_a_database_whose_name_has_no_password(tmp_path):
    spec = StorageSpec(tmp_path / "state.db", url=Secret("postgresql://u:hunter2@h/d"), name="postgresql://h/d")
    database = database_of(spec)
    assert isinstance(database, PostgresDatabase)
    assert database.name == "postgresql://h/d"
    assert "hunter2" not in repr(database.address)
