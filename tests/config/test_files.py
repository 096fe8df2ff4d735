"""Which file is read."""

from pathlib import Path

import pytest

from mcp_orchestrator.config.diagnose import Problem
from mcp_orchestrator.config.files import config_directory, data_directory, expand, find, read


@pytest.fixture
def places(tmp_path):
    """A working directory and a home with nothing in them."""
    work, home = tmp_path / "work", tmp_path / "home"
    for directory in (work, home / ".config" / "mcp-orchestrator"):
        directory.mkdir(parents=True)
    return work, home


def look(places, explicit=None):
    work, home = places
    return find(explicit, environ={"HOME": str(home)}, directory=work)


def test_the_working_directory_comes_before_the_users_own(places):
    work, home = places
    own = home / ".config" / "mcp-orchestrator" / "orchestrator.yaml"
    own.touch()
    assert look(places) == own
    for name in ("orchestrator.json", "orchestrator.yml", "orchestrator.yaml"):
        (work / name).touch()
        assert look(places) == work / name


def test_a_named_file_is_taken_or_missed(places):
    work, _ = places
    (work / "orchestrator.yaml").touch()
    (work / "mine.yaml").touch()
    assert look(places, work / "mine.yaml") == work / "mine.yaml"
    missing = look(places, work / "other.yaml")
    assert isinstance(missing, Problem)
    assert missing.code == "C001"


def test_without_any_file_the_problem_says_where_was_looked(places):
    work, home = places
    problem = look(places)
    assert isinstance(problem, Problem)
    assert problem.code == "C001"
    assert str(work / "orchestrator.yaml") in problem.message
    assert str(home / ".config" / "mcp-orchestrator" / "orchestrator.yaml") in problem.message


def test_the_xdg_directories_are_honoured_when_absolute():
    environ = {"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d"}
    assert config_directory(environ) == Path("/c/mcp-orchestrator")
    assert data_directory(environ) == Path("/d/mcp-orchestrator")
    assert config_directory({"HOME": "/h", "XDG_CONFIG_HOME": "rel"}) == Path("/h/.config/mcp-orchestrator")
    assert data_directory({"HOME": "/h"}) == Path("/h/.local/share/mcp-orchestrator")


def test_paths_count_from_home_or_from_the_file():
    environ = {"HOME": "/h"}
    assert expand("~/a", environ, Path("/f")) == Path("/h/a")
    assert expand("~", environ, Path("/f")) == Path("/h")
    assert expand("a/b", environ, Path("/f")) == Path("/f/a/b")
    assert expand("/a", environ, Path("/f")) == Path("/a")


def test_an_empty_file_is_an_empty_table(tmp_path):
    path = tmp_path / "o.yaml"
    path.write_text("# nothing yet\n")
    source, notes = read(path)
    assert source.root is not None
    assert source.root.entries == {}
    assert not notes.refused
