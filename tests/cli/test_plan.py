import json

import pytest
from click.testing import CliRunner

from mcp_orchestrator.cli.main import commands


@pytest.fixture
def plan(tmp_path, tmp_state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(commands, ["plan", *words])


def test_what_is_not_known_yet_is_started_and_said(plan, configured):
    configured()
    shown = plan("--call", "clock__wait", "seconds=1")
    assert shown.exit_code == 0
    assert "Starting what is not known yet: notes, clock" in shown.stderr
    assert shown.stdout.startswith("Goes to clock, as wait; at most ")
    assert "schema    the arguments fit the offered schema" in shown.stdout


def test_a_running_gateway_is_asked_and_memory_answers_after_it_ended(plan, configured, served):
    gateway = served(configured())
    gateway.wait_for("ready")
    asked = json.loads(plan("--call", "clock__wait", "seconds=1", "--format", "json").stdout)
    assert asked["from"] == "gateway"
    assert asked["target"]["backend"] == "clock"
    assert gateway.end() == 0
    recalled = plan("--call", "clock__wait", "seconds=1", "--format", "json")
    assert recalled.exit_code == 0
    remembered = json.loads(recalled.stdout)
    assert remembered["from"] == "memory"
    assert remembered | {"from": ""} == asked | {"from": ""}
    assert "nothing was started" in plan("--call", "clock__now").stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--call", "clock__wait", "seconds:=-1"), "Invalid arguments for tool 'clock__wait'"),
        (("--call", "clok__now"), "did you mean 'clock__now'?"),
        (("--call", "notes__add", "--profile", "times"), "Unknown tool"),
    ],
)
def test_a_refusal_is_explained_and_is_exit_code_2(plan, configured, words, reason):
    configured(profiles={"times": {"include": ["*.now", "notes.list"]}})
    shown = plan(*words)
    assert shown.exit_code == 2
    assert shown.stdout.startswith("Is refused; nothing would be sent.")
    assert reason in shown.stdout


def test_a_missing_tool_name_is_a_usage_error(plan, configured):
    configured()
    assert plan("seconds=1").exit_code == 2
