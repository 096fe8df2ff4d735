import json

import pytest
from click.testing import CliRunner

from mcp_orchestrator.cli.main import commands
from mcp_orchestrator.cli.runs import moment
from mcp_orchestrator.testing.http_client import HttpClient, RpcError


@pytest.fixture
def runs(tmp_path, tmp_state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(commands, ["runs", *words])


def test_without_a_journal_there_is_exit_code_4_and_a_fix(runs, configured):
    configured()
    shown = runs("list")
    assert shown.exit_code == 4
    assert "mcp-orchestrator serve" in shown.stderr


def test_a_damaged_journal_is_no_gateway_that_has_not_run(runs, configured, tmp_path):
    configured()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.db").write_bytes(b"no database" * 1000)
    shown = runs("list")
    assert (shown.exit_code, "is damaged" in shown.stderr, "serve" in shown.stderr) == (2, True, False)


def test_runs_are_listed_and_shown_beside_a_gateway_and_without_one(runs, configured, served):
    gateway = served(configured())
    gateway.wait_for("ready")
    client = HttpClient(gateway.url, name="curious")
    client.call("notes__add", text="x")
    client.call("clock__now", zone="Nowhere/Never")
    with pytest.raises(RpcError):
        client.call("nothing")
    listed = json.loads(runs("list", "--format", "json").stdout)["runs"]
    assert [(run["call"]["name"], run["status"]) for run in listed] == [
        ("nothing", "refused"),
        ("clock__now", "completed"),
        ("notes__add", "completed"),
    ]
    assert listed[-1]["call"]["client"] == "curious"
    assert gateway.end() == 0
    table = runs("list", "--tool", "notes__*").stdout.splitlines()
    assert len(table) == 2
    assert "notes__add" in table[1]
    shown = runs("show", listed[-1]["run"])
    assert shown.exit_code == 0
    assert "    catalog   notes.add" in shown.stdout
    events = json.loads(runs("show", listed[-1]["run"], "--format", "json").stdout)["events"]
    assert [event["kind"] for event in events] == ["run.started", "run.ended"]
    page = json.loads(runs("list", "--limit", "1", "--before", str(listed[0]["seq"]), "--format", "json").stdout)
    assert [run["run"] for run in page["runs"]] == [listed[1]["run"]]
    assert "no such run" in runs("list", "--status", "cancelled").stderr
    assert runs("show", "nothing").exit_code == 2


def test_times_are_iso_8601_in_utc():
    assert moment(0.5) == "1970-01-01T00:00:00.500Z"
