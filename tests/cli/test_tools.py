import json

import pytest
from click.testing import CliRunner

from mcp_orchestrator.cli.main import commands
from mcp_orchestrator.cli.tools import schema_of


@pytest.fixture
def tools(tmp_path, tmp_state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(commands, ["tools", *words])


def test_tools_are_listed_without_a_gateway(tools, configured):
    configured()
    shown = tools("list")
    assert shown.exit_code == 0
    assert [line.split()[0] for line in shown.stdout.splitlines()] == [
        "NAME",
        "clock__now",
        "clock__wait",
        "notes__add",
        "notes__list",
    ]
    listed = json.loads(tools("list", "--profile", "times", "--format", "json").stdout)
    assert [tool["public"] for tool in listed["tools"]] == ["clock__now", "clock__wait"]


def test_a_backend_that_cannot_be_started_is_told_beside_the_others(tools, configured):
    configured(mcpServers={"dead": {"command": "/no/such/program"}})
    shown = tools("list")
    assert shown.exit_code == 0
    assert "notes__add" in shown.stdout
    assert "No tools of dead: " in shown.stderr


def test_no_tools_at_all_because_nothing_can_be_reached_is_exit_code_4(tools, tmp_path):
    (tmp_path / "orchestrator.yaml").write_text(
        f"mcpServers: {{dead: {{command: /no/such/program}}}}\nstorage: {{url: 'sqlite:///{tmp_path}/s/s.db'}}\n"
    )
    assert tools("list").exit_code == 4
    call = tools("call", "dead__tool")
    assert call.exit_code in (2, 4)


def test_a_tool_is_shown_with_its_arguments(tools, configured):
    configured()
    shown = tools("show", "clock.wait")
    assert shown.exit_code == 0
    assert "seconds   number  yes     How long to wait." in shown.stdout
    assert json.loads(tools("show", "clock__wait", "--format", "json").stdout)["definition"]["name"] == "wait"


def test_an_unknown_tool_is_exit_code_2_with_the_closest_name(tools, configured):
    configured()
    shown = tools("show", "clock__wiat")
    assert shown.exit_code == 2
    assert "did you mean 'clock__wait'?" in shown.stderr
    assert tools("call", "clock__wiat").exit_code == 2
    assert tools("call", "clock__wiat", "seconds=1").exit_code == 2
    assert tools("list", "--profile", "nobody").exit_code == 2


def test_a_call_prints_text_or_the_whole_result(tools, configured):
    configured()
    shown = tools("call", "clock__wait", "seconds=0")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["waited"] == 0
    runs = json.loads(CliRunner().invoke(commands, ["runs", "list", "--format", "json"]).stdout)["runs"]
    assert [(run["call"]["name"], run["status"]) for run in runs] == [("clock__wait", "completed")]
    assert runs[0]["run"] in shown.stderr
    whole = json.loads(tools("call", "clock__wait", "--json", '{"seconds": 0}', "--format", "json").stdout)
    assert whole["structuredContent"] == {"waited": 0.0}


def test_an_error_of_the_tool_is_exit_code_5_with_its_text_as_the_result(tools, configured):
    configured()
    shown = tools("call", "clock__now", "zone=Nowhere/Never")
    assert shown.exit_code == 5
    assert shown.stdout == "no such time zone: Nowhere/Never\n"


def test_arguments_that_do_not_fit_are_exit_code_2_for_plan_and_call_alike(tools, configured):
    configured()
    shown = tools("call", "clock__wait")
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "Invalid arguments for tool 'clock__wait'" in shown.stderr


def test_a_value_of_the_wrong_type_is_a_usage_error_before_anything_is_sent(tools, configured):
    configured()
    shown = tools("call", "clock__wait", "seconds=soon")
    assert shown.exit_code == 2
    assert "seconds must be number" in shown.stderr


def test_a_definition_without_a_schema_has_an_empty_one():
    assert schema_of({}) == {}
    assert schema_of({"definition": {"inputSchema": True}}) == {}
