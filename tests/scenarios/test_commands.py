"""The two commands of the README and the program behind them, on real servers."""

import json

import pytest

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def gateway(serve, pypi_server, pypi_legacy_server):
    (new,) = pypi_server("mcp-server-time")
    (old,) = pypi_legacy_server("mcp-server-time")
    return serve({"new": {"command": new}, "old": {"command": old}})


def test_a_raw_modern_request_is_answered_with_the_backends_own_words(gateway):
    result = gateway.call("new__get_current_time", timezone="UTC")
    assert json.loads(result["content"][0]["text"])["timezone"] == "UTC"
    assert result["resultType"] == "complete"


def test_tools_are_listed_and_called_from_the_command_line(gateway, run_program):
    listed = run_program("tools", "list", "--format", "json", config=gateway.config)
    assert listed.returncode == 0, listed.stderr
    assert "old__get_current_time" in listed.stdout
    called = run_program("tools", "call", "old__get_current_time", "timezone=UTC", config=gateway.config)
    assert called.returncode == 0, called.stderr
    assert "UTC" in called.stdout


def test_a_tool_that_fails_and_a_name_nobody_offers_have_exit_codes_of_their_own(gateway, run_program):
    failed = run_program("tools", "call", "new__get_current_time", "timezone=Nowhere/Town", config=gateway.config)
    assert failed.returncode == 5, failed.stderr
    unknown = run_program("tools", "call", "new__get_curent_time", "timezone=UTC", config=gateway.config)
    assert unknown.returncode == 2, unknown.stderr
    assert "new__get_current_time" in unknown.stderr


def test_a_plan_names_the_backend_and_its_reasons_and_calls_nothing(gateway, run_program):
    planned = run_program(
        "plan", "--call", "new__get_current_time", "timezone=UTC", "--format", "json", config=gateway.config
    )
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)
    assert "new" in planned.stdout


def test_runs_are_in_the_journal(gateway, run_program):
    gateway.call("new__get_current_time", timezone="UTC")
    listed = run_program("runs", "list", "--format", "json", config=gateway.config)
    assert listed.returncode == 0, listed.stderr
    assert "new" in listed.stdout


def test_backends_are_listed_with_their_state(gateway, run_program):
    listed = run_program("backends", "list", "--format", "json", config=gateway.config)
    assert listed.returncode == 0, listed.stderr
    assert {"new", "old"} <= {word.strip('"') for word in listed.stdout.replace(",", " ").split()}


def test_the_demo_ends_well(run_program, tmp_state):
    done = run_program("demo", timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
