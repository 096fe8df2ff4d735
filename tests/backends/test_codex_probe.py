"""Looking at Codex: its version, its account and its models."""

import pytest
from agent_kit import Played

from mcp_orchestrator.backends.codex_probe import look
from mcp_orchestrator.backends.codex_rpc import VERIFIED
from mcp_orchestrator.model.agent import AgentKind

pytestmark = pytest.mark.anyio


def told(account, version=VERIFIED, models=None):
    return [
        ["read", "initialize"],
        {"id": "$id", "result": {"userAgent": f"x/{version} (Debian 12.0.0)"}},
        ["read", "account/read"],
        {"id": "$id", **account},
        ["read", "model/list"],
        {"id": "$id", "result": {"data": [{"id": name} for name in models or ()]}},
    ]


@pytest.mark.parametrize(
    ("account", "signed_in"),
    [
        ({"result": {"account": {"type": "apiKey"}, "requiresOpenaiAuth": True}}, True),
        ({"result": {"account": None, "requiresOpenaiAuth": False}}, True),
        ({"result": {"account": None, "requiresOpenaiAuth": True}}, False),
        ({"error": {"message": "unknown variant"}}, None),
    ],
)
async def test_its_account_tells_whether_it_is_signed_in(reaper, tmp_path, account, signed_in):
    agent = Played(tmp_path, AgentKind.CODEX, told(account, models=["big", "small"]))
    facts = await look(agent.spec, reaper)
    assert (facts.found, facts.version, facts.signed_in) == (True, VERIFIED, signed_in)
    assert facts.models == ("big", "small")
    assert any("codex login" in note for note in facts.notes) is (signed_in is False)


async def test_another_version_is_noted(reaper, tmp_path):
    agent = Played(tmp_path, AgentKind.CODEX, told({"result": {}}, version="9.9.9"))
    facts = await look(agent.spec, reaper)
    assert any("9.9.9" in note and VERIFIED in note for note in facts.notes)


async def test_one_that_says_nothing_is_found_but_not_waited_for(reaper, tmp_path):
    agent = Played(tmp_path, AgentKind.CODEX, [["read", "never"]], start_timeout=0.5)
    facts = await look(agent.spec, reaper)
    assert (facts.found, facts.version, "0.5 s" in facts.notes[0]) == (True, None, True)


async def test_one_that_does_not_know_the_app_server_is_found_and_says_why(reaper, tmp_path):
    agent = Played(tmp_path, AgentKind.CODEX, [["error", "unrecognized subcommand"], ["exit", 2]])
    facts = await look(agent.spec, reaper)
    assert (facts.found, "unrecognized subcommand" in facts.notes[0]) == (True, True)
