import json

import pytest
from click.testing import CliRunner

from mcp_orchestrator.cli.checkup import Finding
from mcp_orchestrator.cli.doctor import _worst
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.main import commands


@pytest.fixture
def doctor(tmp_path, tmp_state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(commands, ["doctor", *words])


def test_a_healthy_machine_is_exit_code_0_with_what_was_seen(doctor, configured):
    configured()
    told = json.loads(doctor("--format", "json").stdout)
    assert (told["ok"], told["exit"]) == (True, 0)
    seen = {finding["area"]: finding for finding in told["findings"]}
    assert {"python", "configuration", "gateway", "state", "address", "backend notes", "backend clock"} <= set(seen)
    assert seen["backend clock"]["facts"]["era"] == "modern"
    assert seen["backend clock"]["facts"]["tools"] == 2
    shown = doctor()
    assert shown.exit_code == 0
    assert shown.stdout.endswith("\nAll is well.\n")


def test_a_backend_that_cannot_be_reached_is_exit_code_4(doctor, configured):
    configured(mcpServers={"dead": {"command": "/no/such/program"}})
    shown = doctor()
    assert shown.exit_code == 4
    assert "problem  backend dead: there is no program '/no/such/program'" in shown.stdout
    assert "ok       backend notes" in shown.stdout
    assert doctor("--no-start").exit_code == 0


def test_a_wrong_configuration_is_exit_code_2(doctor, tmp_path):
    assert doctor().exit_code == 2
    (tmp_path / "orchestrator.yaml").write_text("mcpServers: {a: {comand: x}}\n")
    shown = doctor()
    assert shown.exit_code == 2
    assert "Fix: " in shown.stdout


def test_a_running_gateway_is_recognised_and_its_port_is_no_problem(doctor, configured, served, free_port):
    gateway = served(configured(listeners={"http": {"port": free_port}}))
    shown = doctor("--no-start")
    assert shown.exit_code == 0
    assert f"running as process {gateway.process.pid}" in shown.stdout
    assert "address" not in shown.stdout


def test_what_stands_in_the_way_of_everything_decides_the_exit_code():
    def problems(*codes):
        return [Finding("problem", "a", "b", code=code) for code in codes]

    assert _worst(problems(Exit.UNREACHABLE, Exit.USAGE, Exit.SIGN_IN)) is Exit.USAGE
    assert _worst(problems(Exit.UNREACHABLE, Exit.SIGN_IN)) is Exit.SIGN_IN
    assert _worst([Finding("warning", "a", "b")]) is Exit.DONE
