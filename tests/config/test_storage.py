"""`storage.url`: files and databases, with passwords that are never written down or shown."""

import importlib.util

import pytest

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.load import load
from mcp_orchestrator.secrets.sources import resolvers


@pytest.fixture
def read(tmp_path):
    def made(url, **environ):
        environ = {"HOME": str(tmp_path), **environ}
        path = tmp_path / "orchestrator.yaml"
        path.write_text(f"mcpServers: {{s: {{command: x}}}}\nstorage: {{url: '{url}'}}\n", encoding="utf-8")
        return load(path, environ=environ, secrets=resolvers(environ, tmp_path))

    return made


def test_a_password_by_reference_is_put_in_and_never_shown(read):
    loaded = read("postgresql://gate:${secret:env/PW}@db.example:5433/state?sslmode=require", PW="p@ss/wörd")
    storage = loaded.snapshot.storage
    assert storage.url.reveal() == "postgresql://gate:p%40ss%2Fw%C3%B6rd@db.example:5433/state?sslmode=require"
    assert storage.name == "postgresql://db.example:5433/state"
    assert "p%40" not in repr(loaded)
    assert storage.path.name == "state.db"


def test_each_database_has_a_place_of_its_own_on_this_machine(read):
    one, other = read("postgresql://h/a").snapshot.storage, read("postgresql://h/b").snapshot.storage
    assert one.path.parent != other.path.parent
    assert read("postgresql://h/a").snapshot.storage == one


def test_the_whole_address_may_be_a_reference(read):
    storage = read("${secret:env/DB}", DB="postgres://u:pw@h:1/d").snapshot.storage
    assert (storage.url.reveal(), storage.name) == ("postgres://u:pw@h:1/d", "postgresql://h:1/d")


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@h/d", "postgresql://u@h/d?password=hunter2"])
def test_a_password_in_clear_text_is_refused_without_being_shown(read, url):
    loaded = read(url)
    (problem,) = loaded.problems
    assert problem.code is Code.LITERAL_SECRET
    assert "hunter2" not in problem.render()


@pytest.mark.parametrize("url", ["postgresql://", "postgresql+asyncpg://h/d", "mysql://h/d", "postgresql://u@"])
def test_what_is_no_address_is_refused(read, url):
    assert [problem.code for problem in read(url).problems] == [Code.BAD_STORAGE]


def test_a_secret_that_is_not_there_is_told_once(read):
    assert [problem.code for problem in read("postgresql://u:${secret:env/NOPE}@h/d").problems] == [
        Code.SECRET_UNRESOLVED
    ]


def test_without_its_package_postgresql_is_refused_with_the_extra_to_install(read, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    (problem,) = read("postgresql://h/db").problems
    assert (problem.code, "mcp-orchestrator[postgres]" in problem.fix) == (Code.STORAGE_LACKS_PACKAGE, True)
