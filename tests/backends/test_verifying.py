import sys

import anyio
import pytest
from stdio_kit import gone

from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.backends.verifying import LONGEST_LINE, MOST_LINES, CommandVerifier
from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.delegation import Workspace

pytestmark = pytest.mark.anyio


@pytest.fixture
async def verify(tmp_path):
    """Runs a command line in a workspace."""
    reaper = Reaper()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "tree").mkdir()
    workspace = Workspace("r1", str(tmp_path / "tree"), str(tmp_path / "scratch"), AgentMode.WRITE)

    async def run(*command, seconds=30.0):
        with anyio.fail_after(40):
            return await CommandVerifier(reaper).verify(command, workspace, seconds)

    yield run
    await reaper.aclose()


async def test_exit_code_zero_passes_and_any_other_does_not(verify):
    assert (await verify("true")).passed
    verdict = await verify("sh", "-c", "echo two tests failed; echo really >&2; exit 3")
    assert not verdict.passed
    assert "failed (exit code 3)" in verdict.said
    assert "two tests failed" in verdict.said
    assert "really" in verdict.said
    assert "ended by signal 9" in (await verify("sh", "-c", "kill -9 $$")).said


async def test_it_runs_in_the_workspace_in_a_clean_environment(verify, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_GATEWAY", "s3cret")
    verdict = await verify("sh", "-c", "pwd; env; read line || echo no input")
    assert str(tmp_path / "tree") in verdict.said
    assert f"TMPDIR={tmp_path / 'scratch'}" in verdict.said
    assert "no input" in verdict.said
    assert "SECRET_OF_THE_GATEWAY" not in verdict.said


async def test_a_program_that_is_not_there_is_told(verify):
    verdict = await verify("there-is-no-such-program", "x")
    assert not verdict.passed
    assert "could not be run" in verdict.said


async def test_it_ends_at_its_time_with_all_it_has_started(verify, tmp_path):
    verdict = await verify("sh", "-c", "sleep 300 & echo $! > child; wait", seconds=0.5)
    assert not verdict.passed
    assert "took longer than 0.5 s" in verdict.said
    child = int((tmp_path / "tree" / "child").read_text())
    assert gone(child)


async def test_what_it_leaves_behind_is_ended_as_well(verify, tmp_path):
    assert (await verify("sh", "-c", "sleep 300 & echo $! > child")).passed
    child = int((tmp_path / "tree" / "child").read_text())
    assert gone(child)


async def test_a_flood_is_bounded_and_its_end_is_kept(verify):
    code = "for i in range(20000): print('line', i, 'x' * 3000)\nprint('the end')"
    verdict = await verify(sys.executable, "-c", code)
    assert verdict.passed
    assert verdict.said.endswith("the end")
    assert len(verdict.said) <= (MOST_LINES + 1) * (LONGEST_LINE + 1)
