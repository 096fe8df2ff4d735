"""Looking at Claude Code: what it says of its version and its sign-in."""

import json
import stat

import pytest
from agent_kit import secrets

from mcp_orchestrator.backends.claude_probe import VERIFIED, look
from mcp_orchestrator.model.agent import AgentKind, AgentSpec

pytestmark = pytest.mark.anyio


@pytest.fixture
def program(tmp_path):
    """Makes a program that tells a version and a status: `program(version, status)`."""

    def make(version, status):
        path = tmp_path / "claude"
        path.write_text(f"#!/bin/sh\n[ \"$1\" = auth ] && echo '{status}' || echo '{version}'\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return AgentSpec("c", AgentKind.CLAUDE_CODE, command=(str(path),))

    return make


@pytest.mark.parametrize(
    ("status", "signed_in", "advice"),
    [
        (json.dumps({"loggedIn": True}), True, False),
        (json.dumps({"loggedIn": False}), False, True),
        (json.dumps({"other": 1}), None, False),
        ("[1]", None, False),
        ("unknown command", None, False),
    ],
)
async def test_its_own_status_tells_whether_it_is_signed_in(program, reaper, status, signed_in, advice):
    facts = await look(program(f"{VERIFIED} (Claude Code)", status), reaper)
    assert (facts.found, facts.version, facts.signed_in) == (True, VERIFIED, signed_in)
    assert any("claude auth login" in note for note in facts.notes) is advice


async def test_another_version_is_noted_and_none_too(program, reaper):
    other = await look(program("3.0.0 (Claude Code)", "{}"), reaper)
    assert (other.version, any(VERIFIED in note for note in other.notes)) == ("3.0.0", True)
    strange = await look(program("hello", "{}"), reaper)
    assert (strange.version, any("hello" in note for note in strange.notes)) == (None, True)


async def test_a_missing_program_is_not_found(reaper, tmp_path):
    spec = AgentSpec("c", AgentKind.CLAUDE_CODE, env=secrets({"PATH": str(tmp_path)}))
    facts = await look(spec, reaper)
    assert (facts.found, facts.version) == (False, None)
    assert "'claude'" in facts.notes[0]
