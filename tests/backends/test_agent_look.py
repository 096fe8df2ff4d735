"""Running a command of an agent to see what it says."""

import pytest

from mcp_orchestrator.backends.agent_look import output_of, version_in
from mcp_orchestrator.model.agent import AgentKind, AgentSpec

pytestmark = pytest.mark.anyio

SPEC = AgentSpec("a", AgentKind.CLI)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("2.1.330 (Claude Code)", "2.1.330"),
        ("codex-cli 0.169.0", "0.169.0"),
        ("x/0.170.0-alpha.2 (Debian 12.0.0)", "0.170.0-alpha.2"),
        ("no version here 1.2", None),
    ],
)
def test_a_version_is_found_in_what_is_said(text, version):
    assert version_in(text) == version


async def test_both_outputs_are_read_and_its_input_is_closed(reaper):
    told = await output_of(
        SPEC, reaper, ("/bin/sh", "-c", "cat; echo out; echo err >&2; echo $GIVEN"), env={"GIVEN": "x"}
    )
    assert told.splitlines() == ["out", "x", "err"]
