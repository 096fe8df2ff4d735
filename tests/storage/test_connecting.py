"""Opening the state file: who may see it, and which files are refused."""

import sqlite3

import pytest

from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage.connecting import open_reader, open_writer, prepare_place
from mcp_orchestrator.storage.trouble import StorageError


def mode(path):
    return path.stat().st_mode & 0o777


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "deep" / "er" / "state.db"
    prepare_place(path)
    return path


def test_directory_and_file_are_for_their_owner_only(place):
    connection = open_writer(place, Durability.NORMAL)
    connection.execute("INSERT INTO era VALUES ('f', 'modern', 1, 0)")
    assert mode(place.parent) == 0o700
    assert {mode(path) for path in place.parent.iterdir()} == {0o600}
    assert {path.name for path in place.parent.iterdir()} == {"state.db", "state.db-wal", "state.db-shm"}
    connection.close()


def test_a_file_that_others_could_read_is_closed_to_them_and_its_directory_left_alone(tmp_path):
    path = tmp_path / "state.db"
    path.touch()
    path.chmod(0o644)
    tmp_path.chmod(0o755)
    prepare_place(path)
    assert (mode(path), mode(tmp_path)) == (0o600, 0o755)


@pytest.mark.parametrize(("durability", "level"), [(Durability.NORMAL, 1), (Durability.FULL, 2)])
def test_durability_sets_how_far_a_commit_reaches(place, durability, level):
    connection = open_writer(place, durability)
    assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_file_that_is_no_database_is_refused_with_the_way_out(place):
    place.write_bytes(b"this is a diary, not a database; " * 100)
    with pytest.raises(StorageError, match=r"mv .*state\.db .*state\.db\.damaged"):
        open_writer(place, Durability.NORMAL)
    with pytest.raises(StorageError, match="damaged"):
        open_reader(place)
    assert place.read_bytes().startswith(b"this is a diary")


def test_a_directory_in_its_place_is_refused(tmp_path):
    with pytest.raises(StorageError, match="cannot be made"):
        prepare_place(tmp_path)


def test_a_reader_needs_a_file(tmp_path):
    with pytest.raises(StorageError, match="has not run"):
        open_reader(tmp_path / "state.db")


def test_a_reader_cannot_write_and_works_with_or_without_a_writer(place):
    writer = open_writer(place, Durability.NORMAL)
    writer.execute("INSERT INTO era VALUES ('f', 'modern', 1, 0)")
    for _turn in ("while the writer is there", "after it closed"):
        reader = open_reader(place)
        assert reader.execute("SELECT works FROM era").fetchall() == [(1,)]
        with pytest.raises(sqlite3.OperationalError):
            reader.execute("DELETE FROM era")
        reader.close()
        writer.close()


def test_a_reader_sees_what_was_committed_before_a_crash(place, tmp_path):
    writer = open_writer(place, Durability.NORMAL)
    writer.execute("INSERT INTO era VALUES ('f', 'modern', 1, 0)")
    copy = tmp_path / "state.db"  # what is on the disk when the process is killed: file and log, no shared memory
    copy.write_bytes(place.read_bytes())
    copy.with_name("state.db-wal").write_bytes(place.with_name("state.db-wal").read_bytes())
    writer.close()
    reader = open_reader(copy)
    assert reader.execute("SELECT works FROM era").fetchall() == [(1,)]
    reader.close()


def test_a_reader_refuses_an_older_schema(place):
    sqlite3.connect(place).close()
    with pytest.raises(StorageError, match="older schema"):
        open_reader(place)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be made or written"):
        prepare_place(tmp_path / "file" / "state.db")
