"""The format of agents: which keys go with which kind, and that every kind is described."""

from mcp_orchestrator.config.agent_sections import AGENT, KINDS_OF
from mcp_orchestrator.model.agent import AgentKind


def test_every_key_that_is_for_some_kinds_only_says_for_which():
    told = {field.name: field.text for field in AGENT.fields}
    for name, kinds in KINDS_OF.items():
        for kind in kinds:
            assert f"`{kind}`" in told[name], (name, kind)


def test_every_kind_can_be_told_where_its_agent_is():
    ways = {"command", "registry", "profile", "url", "script"}
    for kind in AgentKind:
        assert any(kind in KINDS_OF[way] for way in ways), kind


def test_only_agents_that_start_slowly_are_kept_ready():
    assert KINDS_OF["keep"] == (AgentKind.ACP,)
