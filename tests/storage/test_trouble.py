"""Errors of the state file: each says the path and what to do."""

import errno
import sqlite3
from pathlib import Path

import pytest

from mcp_orchestrator.storage.trouble import StorageError, again, damaged, explain, vanished

PATH = Path("/some/state.db")


def sqlite_error(code):
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "number", "words"),
    [
        (sqlite3.SQLITE_FULL, errno.ENOSPC, "free some disk space"),
        (sqlite3.SQLITE_READONLY, errno.EACCES, "writable"),
        (sqlite3.SQLITE_READONLY | (8 << 8), errno.EACCES, "writable"),
        (sqlite3.SQLITE_CORRUPT, errno.EIO, "mv /some/state.db /some/state.db.damaged"),
        (sqlite3.SQLITE_NOTADB, errno.EIO, "restore a copy"),
        (sqlite3.SQLITE_CANTOPEN, errno.EACCES, "directory"),
        (sqlite3.SQLITE_BUSY, errno.EBUSY, "another program"),
        (sqlite3.SQLITE_IOERR, errno.EIO, "check the disk"),
    ],
)
def test_each_error_of_sqlite_becomes_an_os_error_that_says_what_to_do(code, number, words):
    error = explain(sqlite_error(code), PATH)
    assert isinstance(error, OSError)
    assert error.errno == number
    assert words in str(error)
    assert str(PATH) in str(error)
    assert "Errno" not in str(error)


def test_an_error_without_a_code_is_told_as_it_is():
    assert "what SQLite says" in str(explain(sqlite3.DatabaseError("what SQLite says"), PATH))


def test_a_copy_says_the_same_and_is_another_instance():
    error = damaged(PATH, "torn")
    copy = again(error)
    assert copy is not error
    assert isinstance(copy, StorageError)
    assert (str(copy), copy.errno, copy.filename) == (str(error), error.errno, str(PATH))


def test_a_vanished_file_asks_for_a_restart():
    assert "restart the gateway" in str(vanished(PATH))
