"""Both kinds of databases, for every test of what is kept in them."""

import sqlite3
from contextlib import closing

import pytest

from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage.database import SqliteFile
from mcp_orchestrator.storage.reading import JournalReader
from mcp_orchestrator.storage.store import Store
from mcp_orchestrator.storage.writer import JournalFile


class Place:
    """Where the state of one test is. Each gateway, reader or command knows it as a `Database` of its own."""

    def __init__(self, database, ask, word):
        self.database = database
        self.ask = ask
        self.word = word

    def store(self, *settings, **more):
        """A store on it, not open yet."""
        return Store(self.database(), *settings, **more)

    def reader(self):
        """A reader of its journal."""
        return JournalReader(self.database())

    def file(self):
        """Its journal, opened for writing, made if it is not there."""
        database = self.database()
        database.prepare()
        return JournalFile(database, Durability.NORMAL)


@pytest.fixture
def on_sqlite(tmp_path):
    """A file that is not there yet."""
    path = tmp_path / "state" / "state.db"

    def ask(*statements):
        with closing(sqlite3.connect(path)) as connection, connection:
            return [connection.execute(statement).fetchall() for statement in statements][-1]

    return Place(lambda: SqliteFile(path), ask, str(path))


@pytest.fixture
def on_postgres(postgres):
    """An empty database."""
    name = postgres.empty()
    return Place(
        lambda: postgres.database(name), lambda *statements: postgres.ask(name, *statements), postgres.url(name)
    )


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real)])
def place(request):
    """Either of them."""
    return request.getfixturevalue(f"on_{request.param}")
