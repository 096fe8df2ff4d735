"""The tools of our own as clients see them: made from the agents there are, honest in their hints, strict in their input."""

import pytest
from jsonschema_rs import Draft202012Validator

from mcp_orchestrator.core.own_tools import definitions, instructions
from mcp_orchestrator.model.agent import AgentKind, AgentSpec

AGENTS = (
    AgentSpec("codex", AgentKind.CODEX, labels=("code", "fast"), description="Writes code."),
    AgentSpec("planner", AgentKind.A2A),
)


def tools(agents=AGENTS):
    return {tool["name"]: tool for tool in definitions(agents, 45.0)}


def test_the_agents_are_named_described_and_their_labels_offered():
    properties = tools()["delegate"]["inputSchema"]["properties"]
    assert properties["agent"]["enum"] == ["codex", "planner"]
    assert "- codex [code, fast]: Writes code." in properties["agent"]["description"]
    assert "- planner: a2a" in properties["agent"]["description"]
    assert properties["labels"]["items"]["enum"] == ["code", "fast"]
    assert "45 when left out" in properties["wait"]["description"]
    assert "enum" not in tools(AGENTS[1:])["delegate"]["inputSchema"]["properties"]["labels"]["items"]


def test_without_agents_what_was_delegated_can_still_be_asked_about():
    assert set(tools(())) == {"run_list", "run_status", "run_answer", "run_cancel", "run_changes", "run_apply"}


def test_only_what_reads_is_hinted_to_read():
    hints = {name: tool["annotations"]["readOnlyHint"] for name, tool in tools().items()}
    assert {name for name, reads in hints.items() if reads} == {"run_list", "run_status", "run_changes"}
    assert tools()["run_apply"]["annotations"]["destructiveHint"]


@pytest.mark.parametrize(
    ("tool", "arguments", "good"),
    [
        ("delegate", {"task": "x"}, True), ("delegate", {"task": ""}, False), ("delegate", {"task": "x", "more": 1}, False),
        ("delegate", {"task": "x", "budget": {"usd": 0.5, "turns": 3, "minutes": 0.1}}, True),
        ("delegate", {"task": "x", "budget": {"usd": -1}}, False), ("delegate", {"task": "x", "mode": "admin"}, False),
        ("run_status", {"run": "r", "wait": 3600}, True), ("run_status", {"run": "r", "wait": 3601}, False),
        ("run_answer", {"run": "r", "action": "maybe"}, False), ("run_list", {}, True), ("run_list", {"limit": 0}, False),
    ],
)  # fmt: skip
def test_the_schemas_take_what_is_meant_and_nothing_else(tool, arguments, good):
    assert Draft202012Validator(tools()[tool]["inputSchema"]).is_valid(arguments) is good


def test_the_instructions_name_agents_and_tools_in_few_words():
    text = instructions(AGENTS)
    assert "codex, planner" in text
    assert all(name in text for name in tools())
    assert len(text) < 500
