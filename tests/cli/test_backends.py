import json

import pytest
from click.testing import CliRunner

from mcp_orchestrator.cli.main import commands


@pytest.fixture
def backends(tmp_path, tmp_state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(commands, ["backends", *words])


def test_backends_are_listed_and_shown_without_a_gateway(backends, configured):
    configured(mcpServers={"dead": {"command": "/no/such/program"}})
    lines = {line["name"]: line for line in json.loads(backends("list", "--format", "json").stdout)}
    assert lines["notes"]["tools"] == 2
    assert lines["dead"]["tools"] is None
    assert "/no/such/program" in lines["dead"]["last_error"]
    shown = backends("show", "clock")
    assert shown.exit_code == 0
    assert "modern  2" in shown.stdout
    assert backends("show", "dead").exit_code == 0
    assert backends("show", "nothing").exit_code == 2


def test_a_restart_needs_a_running_gateway(backends, configured):
    configured()
    shown = backends("restart", "clock")
    assert shown.exit_code == 4
    assert "mcp-orchestrator serve" in shown.stderr


def test_a_restart_gives_a_backend_a_new_process(backends, configured, served):
    served(configured(mcpServers={"dead": {"command": "/no/such/program"}})).wait_for("ready")

    def pid():
        return json.loads(backends("show", "clock", "--format", "json").stdout)["pids"]

    before = pid()
    assert backends("restart", "clock").stdout == "clock was restarted: ready\n"
    assert pid() != before
    assert backends("restart", "clok").exit_code == 2
    assert backends("restart", "dead").exit_code == 4
    table = backends("list").stdout.splitlines()
    assert table[0].split()[:3] == ["NAME", "STATE", "TRANSPORT"]
    assert len(table) == 4
