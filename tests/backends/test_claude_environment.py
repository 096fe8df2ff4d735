"""Which variables Claude Code is given."""

from mcp_orchestrator.backends.claude_environment import given, passed
from mcp_orchestrator.model.agent import AgentKind, AgentSpec

KEYS = {"ANTHROPIC_API_KEY": "k", "AWS_SECRET_ACCESS_KEY": "s", "GOOGLE_APPLICATION_CREDENTIALS": "f", "EDITOR": "vi"}


def test_a_cloud_is_let_in_only_where_it_is_used():
    assert passed(KEYS) == ("ANTHROPIC_API_KEY",)
    with_bedrock = passed(KEYS | {"CLAUDE_CODE_USE_BEDROCK": "1"})
    assert set(with_bedrock) == {"ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "CLAUDE_CODE_USE_BEDROCK"}


def test_what_it_gives_its_own_children_is_not_let_in():
    inside = {"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "s", "CLAUDE_CODE_MESSAGING_SOCKET": "x"}
    assert passed(inside) == ()


def test_another_account_is_another_directory():
    plain = AgentSpec("c", AgentKind.CLAUDE_CODE)
    other = AgentSpec("c", AgentKind.CLAUDE_CODE, settings={"configDir": "/accounts/second"})
    assert "CLAUDE_CONFIG_DIR" not in given(plain)
    assert given(other)["CLAUDE_CONFIG_DIR"] == "/accounts/second"
