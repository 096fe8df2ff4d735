import io
import json

import pytest

from mcp_orchestrator.cli.exits import Ended, Exit
from mcp_orchestrator.cli.loading import look, require
from mcp_orchestrator.cli.printing import Format, Printer


@pytest.fixture
def printer():
    return Printer(out=io.StringIO(), err=io.StringIO())


def test_the_working_directory_comes_before_the_users_own(configured, printer, tmp_state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_state / ".config" / "mcp-orchestrator" / "orchestrator.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("mcpServers: {mine: {command: x}}\n")
    assert list(require(None, printer).snapshot.backends) == ["mine"]
    configured()
    assert list(require(None, printer).snapshot.backends) == ["notes", "clock"]


def test_nothing_found_and_a_refused_file_end_with_exit_code_2_and_all_problems(
    printer, tmp_path, tmp_state, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert look(None).path is None
    with pytest.raises(Ended, match="there is no configuration"):
        require(None, printer)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("mcpServers: {a: {comand: x}}\nlisteners: {http: {port: high}}\n")
    with pytest.raises(Ended) as caught:
        require(wrong, printer)
    assert caught.value.code is Exit.USAGE
    assert len(caught.value.details["problems"]) >= 2
    assert printer._err.getvalue().count("error C") >= 2
    assert json.dumps(caught.value.details)


def test_warnings_are_shown_only_where_they_are_wanted(configured, printer):
    path = configured(
        mcpServers={"web": {"url": "http://127.0.0.1:9/mcp", "headers": {"Authorization": "Bearer sesame-1234567"}}}
    )
    require(path, printer)
    assert printer._err.getvalue() == ""
    require(path, printer, warn=True)
    assert "warning C" in printer._err.getvalue()
    assert "sesame" not in printer._err.getvalue()


def test_under_json_problems_stand_in_the_error_alone(printer, tmp_path):
    printer.format = Format.JSON
    with pytest.raises(Ended):
        require(tmp_path / "nowhere.yaml", printer)
    assert printer._err.getvalue() == ""
