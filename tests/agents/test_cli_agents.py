"""Harness profiles with the real programs, offline: Gemini CLI 0.61.0 and OpenCode 1.18.33 (2026-11-24)."""

from dataclasses import replace

import anyio
import pytest
from agent_kit import files_in, place
from failing_model import FailingModel

from mcp_orchestrator.backends.cli_harness import create
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import (
    AgentKind,
    AgentMode,
    CostSource,
    EndStatus,
    ToolStatus,
    ToolUse,
    TroubleKind,
    Turn,
    Warned,
)
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk
from mcp_orchestrator.testing.scripted_model import ScriptedModel
from mcp_orchestrator.testing.scripted_model import Turn as Says

pytestmark = [pytest.mark.real, pytest.mark.anyio]


@pytest.fixture
async def backend(cli_agent):
    """The adapter of one program whose model is at an address: `backend(model_url)`."""
    reaper = Reaper()

    def make(url):
        spec = cli_agent.spec(url)
        words = {"gemini": spec.command[:-1], "opencode": (spec.command[0], "run")}[cli_agent.name]
        made = replace(spec, kind=AgentKind.CLI, command=words, settings={"profile": cli_agent.name})
        return create(made, reaper)

    yield make
    await reaper.aclose()


async def run(session, talk, prompt="Go."):
    with anyio.fail_after(90):
        return await session.turn(Turn(prompt), talk)


async def test_a_task_is_done_and_its_session_gone_on_with(cli_agent, backend, tmp_path):
    script = [Says("I begin.", [cli_agent.shell("echo RAN > out.txt")]), Says("Done.")]
    with ScriptedModel(script) as model:
        adapter, talk = backend(model.url), FakeAgentTalk()
        session = await adapter.open(place(tmp_path))
        ended = await run(session, talk, "--help me")
        assert (ended.status, ended.text) == (EndStatus.COMPLETED, "Done.")
        assert files_in(tmp_path / "work") == {"out.txt": "RAN\n"}
        assert (talk.of(ToolUse)[0].kind, talk.of(ToolUse)[-1].status) == ("shell", ToolStatus.COMPLETED)
        assert any("cannot ask" in warned.text for warned in talk.of(Warned))
        assert talk.bindings[-1][0] == session.native
        if cli_agent.name == "opencode":
            assert (ended.usage.input_tokens, ended.usage.output_tokens) == (20, 10)
            assert ended.usage.cost_source is CostSource.REPORTED
        else:
            assert ended.usage.cost_source is CostSource.UNMEASURED
        await session.close()
        again = await adapter.open(place(tmp_path, resume=session.native))
        await run(again, FakeAgentTalk(), "And then?")
        assert again.native == session.native
        assert "--help me" in str(model.seen[-1].body)  # what was said in the first turn
        await again.close()


async def test_a_task_that_may_only_read_changes_nothing(cli_agent, backend, tmp_path):
    script = [Says("I begin.", [cli_agent.shell("echo RAN > out.txt")]), Says("I could not.")]
    with ScriptedModel(script) as model:
        session, talk = await backend(model.url).open(place(tmp_path, AgentMode.READ)), FakeAgentTalk()
        ended = await run(session, talk)
        await session.close()
    assert files_in(tmp_path / "work") == {}
    assert talk.of(ToolUse)[-1].status is ToolStatus.FAILED
    # OpenCode stops at a refusal without telling an end, with exit code 0.
    assert ended.status is (EndStatus.COMPLETED if cli_agent.name == "gemini" else EndStatus.UNKNOWN)


async def test_a_model_that_refuses_the_key_is_told_as_that(cli_agent, backend, tmp_path):
    with FailingModel(401) as model:
        session = await backend(model.url).open(place(tmp_path))
        ended = await run(session, FakeAgentTalk())
        await session.close()
    assert (ended.status, ended.trouble) == (EndStatus.FAILED, TroubleKind.AUTH)


async def test_a_look_tells_the_version_that_was_tried(cli_agent, backend):
    with anyio.fail_after(60):
        facts = await backend("http://127.0.0.1:9").probe()
    assert facts.found
    assert facts.version == facts.verified
    assert facts.can["resume"]
    assert not facts.can["questions"]
