"""The demo as users run it, and that it can fail."""

import json

from click.testing import CliRunner

from mcp_orchestrator.cli import demonstration
from mcp_orchestrator.cli.main import commands


def test_every_step_works_and_nothing_is_left_behind(program, tmp_path):
    done = program("demo", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] is True
    assert [step["ok"] for step in told["steps"]] == [True] * 8
    facts = {step["step"]: step["facts"] for step in told["steps"]}
    killed = facts["Kill a server in the middle of a call"]
    assert killed["kind"] == "died"
    assert killed["killed"] != facts["Call it again"]["pid"]
    ended = facts["End everything"]
    assert ended["exit"] == 0
    assert ended["left"] == []
    assert {killed["killed"], facts["Call it again"]["pid"]} <= set(ended["processes"])
    assert not list(tmp_path.glob("mcp-orchestrator-demo-*"))


def test_text_tells_the_same_story(program):
    done = program("demo")
    assert done.returncode == 0
    for part in ("1. Start a gateway", "clock__wait seconds=600 was under way", "8. End everything", "none is left"):
        assert part in done.stdout
    assert done.stderr == ""


def test_a_surprise_is_exit_code_1_and_everything_is_ended_all_the_same(tmp_state, monkeypatch):
    monkeypatch.setattr(demonstration, "EXPECTED_TOOLS", ("something__else",))
    done = CliRunner().invoke(commands, ["demo", "--format", "json"])
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["ok"] is False
    assert [step["ok"] for step in told["steps"]] == [True, False, True]
    assert told["steps"][1]["problem"].startswith("other tools than expected")
    assert told["steps"][-1]["facts"]["left"] == []
    assert "should not have happened" in done.stderr
