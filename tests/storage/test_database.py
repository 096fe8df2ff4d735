"""A file of SQLite as a database: who lives on it, and whether it is still there."""

import os

import pytest

from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage.database import SqliteFile, database_at
from mcp_orchestrator.storage.trouble import StorageError


@pytest.fixture
def file(tmp_path):
    made = SqliteFile(tmp_path / "state.db")
    made.prepare()
    return made


def test_a_path_becomes_a_file_and_a_database_stays_what_it_is(tmp_path, file):
    assert database_at(tmp_path / "other.db").name == str(tmp_path / "other.db")
    assert database_at(file) is file


def test_a_file_that_was_replaced_is_not_still_there(file):
    connection = file.open_writer(Durability.NORMAL)
    file.still_there()
    file.path.rename(file.path.with_name("elsewhere"))
    with pytest.raises(StorageError, match="removed or replaced"):
        file.still_there()
    file.path.touch()
    with pytest.raises(StorageError, match="removed or replaced"):
        file.still_there()
    connection.close()


@pytest.mark.parametrize(("pid", "alive"), [(os.getpid(), True), (1, True), (2**30, False), (0, False), ("1", False)])
def test_a_gateway_lives_as_long_as_its_process(file, pid, alive):
    connection = file.open_writer(Durability.NORMAL)
    assert file.living(connection, [{"pid": pid, "runs": "r"}]) == ({"r"} if alive else frozenset())
    connection.close()


def test_a_keeper_locks_a_file_beside_it(file):
    keeper = file.keeper()
    assert file.keeper().is_alive(keeper.hold())
    keeper.release()
    assert not file.keeper().is_alive(keeper.token)
