"""A look at an agent tells what it is and what is wrong with it, and never gives it work."""

import anyio
import pytest
from acp_kit import MODES, Kit

from mcp_orchestrator.model.agent import AgentKind, AgentSpec
from mcp_orchestrator.model.snapshot import Secret

pytestmark = pytest.mark.anyio
CAN = {"loadSession": True, "mcpCapabilities": {"http": True}, "sessionCapabilities": {"fork": {}, "resume": {}}}


@pytest.fixture
def kit(tmp_path, reaper):
    return Kit(tmp_path, reaper)


async def look(kit, script, **more):
    with anyio.fail_after(30):
        return await kit.backend(script, **more).probe()


async def test_its_version_its_modes_and_what_it_can_are_told(kit):
    facts = await look(kit, {"initialize": {"agentCapabilities": CAN}, "new": MODES})
    assert (facts.found, facts.version, facts.verified, facts.signed_in) == (True, "1.2.3", None, True)
    assert facts.modes == ("default", "plan", "yolo")
    assert facts.can == {
        "resume": True,
        "fork": True,
        "questions": True,
        "usage": True,
        "cost": False,
        "cancel": True,
        "structured": False,
        "mcp_http": True,
        "mcp_stdio": False,
        "read_only": True,
    }
    assert facts.start > 0
    assert kit.parameters("session/prompt") == []


async def test_an_agent_with_few_abilities_is_told_as_that(kit):
    facts = await look(kit, {}, settings={"profile": "cline"})
    can = {name for name, yes in facts.can.items() if yes}
    assert can == {"questions", "cancel"}
    assert "version 1.2.3 is not the one that was tried (3.0.65)" in facts.notes
    assert "it ignores MCP servers, so it cannot be given the tools of this gateway" in facts.notes


async def test_who_is_not_signed_in_learns_how(kit):
    error = {"error": {"code": -32000, "message": "Authentication required"}}
    methods = [{"id": "web", "name": "Log in on the web"}, {"id": "key"}]
    facts = await look(kit, {"new": error, "initialize": {"authMethods": methods}})
    assert facts.signed_in is False
    assert "not signed in: its own ways are: Log in on the web, key" in facts.notes
    facts = await look(kit, {"new": error}, settings={"profile": "kimi"})
    assert "not signed in: run `kimi login`" in facts.notes


async def test_a_session_that_cannot_be_made_is_told(kit):
    facts = await look(kit, {"new": {"error": {"code": -32603, "message": "disk full"}}})
    assert (facts.found, facts.signed_in) == (True, None)
    assert "it made no session: disk full" in facts.notes


async def test_an_agent_that_starts_slowly_is_not_asked_for_a_session(kit):
    facts = await look(kit, {}, settings={"profile": "openhands"})
    assert (facts.found, facts.signed_in, facts.can["cancel"]) == (True, None, False)
    assert kit.parameters("session/new") == []


async def test_what_does_not_shake_hands_is_found_but_told(kit):
    facts = await look(kit, {"initialize": {"error": {"code": -32603, "message": "no licence"}}})
    assert (facts.found, facts.notes) == (True, ("it refused to shake hands: no licence",))
    backend = kit.backend({})
    kit.spoil()
    with anyio.fail_after(30):
        facts = await backend.probe()
    assert facts.found
    assert "it ended before it shook hands" in facts.notes[0]
    assert "JSONDecodeError" in facts.notes[0]


async def test_what_says_nothing_is_given_up_in_time(kit):
    silent = AgentSpec("a", AgentKind.ACP, command=("sleep", "60"), start_timeout=0.5)
    backend = kit.backend({})
    backend._spec = silent
    with anyio.fail_after(30):
        facts = await backend.probe()
    assert (facts.found, facts.notes) == (True, ("it did not shake hands within 0.5 s (agents.*.startTimeout)",))


async def test_what_is_not_there_is_not_found(kit):
    backend = kit.backend({})
    backend._spec = AgentSpec(
        "a", AgentKind.ACP, command=("opencode", "acp", Secret("x")), env=(("PATH", Secret("/no")),)
    )
    facts = await backend.probe()
    assert (facts.found, facts.command) == (False, "opencode acp <secret>")
    assert "npm install -g opencode-ai" in facts.notes[0]
    backend._spec = AgentSpec("a", AgentKind.ACP)
    facts = await backend.probe()
    assert "nothing says how to start it" in facts.notes[0]
