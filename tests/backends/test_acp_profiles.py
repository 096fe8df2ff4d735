"""Every agent has its row, and an agent that nobody has tried a plain one."""

import pytest

from mcp_orchestrator.backends.acp_profiles import PLAIN, profile_names, profile_of, unknown_profile
from mcp_orchestrator.model.agent import AgentKind, AgentSpec
from mcp_orchestrator.model.snapshot import Secret

TRIED = {
    *("gemini-cli", "opencode", "qwen-code", "copilot", "claude-agent-acp", "codex-acp", "grok"),
    *("mistral-vibe", "fast-agent", "hermes", "cline", "openhands", "kimi"),
}


def found(*command, **settings):
    return profile_of(AgentSpec("a", AgentKind.ACP, command=command, settings=settings)).name


def test_every_agent_that_was_tried_has_a_row_with_its_version_and_the_date():
    assert set(profile_names()) == {*TRIED, PLAIN}
    for name in TRIED:
        row = profile_of(AgentSpec("a", AgentKind.ACP, settings={"profile": name}))
        assert row.name == name
        assert row.command, name
        assert row.verified, name
        assert row.date.startswith("2026-"), name
        assert row.install, name
        assert row.sign_in, name
        assert row.env, name


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("gemini", "--acp"), "gemini-cli"),
        (("/usr/local/bin/opencode", "acp"), "opencode"),
        (("npx", "-y", "@google/gemini-cli@0.61.0", "--acp"), "gemini-cli"),
        (("npx", "-y", "@qwen-code/qwen-code", "--acp"), "qwen-code"),
        (("uvx", "hermes-agent@0.19.0"), "hermes"),
        (("node", "/opt/gemini.js"), "gemini-cli"),
        (("my-agent", "--acp"), PLAIN),
        ((Secret("gemini"),), PLAIN),
        ((), PLAIN),
    ],
)
def test_an_agent_is_known_by_its_program_or_its_package(command, name):
    assert found(*command) == name


def test_the_configuration_goes_first_then_the_registry_then_the_program():
    assert found("gemini", "--acp", profile="opencode", registry="qwen-code") == "opencode"
    assert found("npx", "-y", "other", registry="qwen-code") == "qwen-code"
    assert found("gemini", registry="nobody-knows-it") == "gemini-cli"


def test_a_profile_that_does_not_exist_is_told():
    assert unknown_profile(AgentSpec("a", AgentKind.ACP, settings={"profile": "gemini"})) == "gemini"
    assert unknown_profile(AgentSpec("a", AgentKind.ACP, settings={"profile": "kimi"})) is None
    assert unknown_profile(AgentSpec("a", AgentKind.ACP)) is None
