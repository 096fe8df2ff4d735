"""The adapter of ACP agents with real ones, offline: Gemini CLI and OpenCode on every change, three more with `--all`.

Gemini CLI 0.61.0, OpenCode 1.18.33, claude-agent-acp 0.101.0, codex-acp 2.6.0, Mistral Vibe 3.0.2 (2026-11-24).
"""

import os
import subprocess
import sys

import anyio
import pytest
from agent_kit import files_in, place, text_of
from failing_model import FailingModel

from mcp_orchestrator.backends import acp
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import (
    AgentMode,
    Attachment,
    CostSource,
    EndStatus,
    Started,
    Text,
    ToolStatus,
    ToolUse,
    TroubleKind,
    Turn,
)
from mcp_orchestrator.model.snapshot import Secret
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk, choosing
from mcp_orchestrator.testing.scripted_model import ScriptedModel
from mcp_orchestrator.testing.scripted_model import Turn as Says

pytestmark = [pytest.mark.real, pytest.mark.anyio]

YES = {
    "gemini": "proceed_once",
    "opencode": "once",
    "claude": "allow-once",
    "codex": "allow_once",
    "vibe": "allow_once",
}
NO = {"gemini": "cancel", "opencode": "reject", "claude": "reject", "codex": "cancel", "vibe": "reject_once"}
GOES_ON = ("gemini", "claude", "vibe")  # the model is told of a refusal; with the others it ends the turn
NOTES = {"notes": {"command": sys.executable, "args": ["-m", "mcp_orchestrator.testing.notes"]}}


@pytest.fixture
async def opened(acp_agent, tmp_path):
    """Opens sessions: `opened(model_url, mode=..., spec={...}, ...)`; all are closed at the end."""
    reaper, sessions, backends = Reaper(), [], {}

    async def make(url, mode=AgentMode.WRITE, spec=None, **opening):
        definition = acp_agent.spec(url, start_timeout=120, **(spec or {}))
        backend = backends.setdefault(url, acp.create(definition, reaper))
        where = place(tmp_path, mode, **opening)
        await anyio.to_thread.run_sync(lambda: subprocess.run(["git", "init", "-q", str(where.cwd)], check=True))
        with anyio.fail_after(120):
            sessions.append(await backend.open(where))
        return sessions[-1]

    yield make
    for session in sessions:
        await session.close()
    await reaper.aclose()


async def run(session, talk, prompt="Go.", **turn):
    with anyio.fail_after(60):
        return await session.turn(Turn(prompt, **turn), talk)


async def test_a_command_that_a_person_allows_is_run(acp_agent, opened, tmp_path):
    out = tmp_path / "out.txt"
    with ScriptedModel([Says("Doing it.", [acp_agent.shell(f"echo RAN > {out}")]), Says("Done.")]) as model:
        talk = FakeAgentTalk(choosing(YES[acp_agent.name]))
        ended = await run(await opened(model.url), talk)
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "Done.")
    (asked,) = talk.questions
    assert f"echo RAN > {out}" in text_of(asked)
    assert out.read_text() == "RAN\n"
    assert talk.of(Started)[0].version
    assert "Doing it." in [text.text for text in talk.of(Text) if text.final]
    assert (talk.of(ToolUse)[-1].kind, talk.of(ToolUse)[-1].status) == ("shell", ToolStatus.COMPLETED)
    if acp_agent.name in ("opencode", "claude", "vibe"):
        assert ended.usage.cost_source is CostSource.REPORTED
        assert ended.usage.cost > 0
    if acp_agent.name != "opencode":  # which tells its last model call only
        assert (ended.usage.input_tokens, ended.usage.output_tokens) == (20, 10)


async def test_a_command_that_a_person_refuses_is_not_run(acp_agent, opened, tmp_path):
    out = tmp_path / "out.txt"
    with ScriptedModel([Says("Doing it.", [acp_agent.shell(f"echo RAN > {out}")]), Says("Done.")]) as model:
        talk = FakeAgentTalk(choosing(NO[acp_agent.name]))
        ended = await run(await opened(model.url), talk)
    assert len(talk.questions) == 1
    assert not out.exists()
    assert talk.of(ToolUse)[-1].status is ToolStatus.DENIED
    if acp_agent.name in GOES_ON:
        assert (ended.status, ended.text) == (EndStatus.COMPLETED, "Done.")
    else:
        assert ended.status is EndStatus.CANCELLED
        assert "after a permission was refused" in ended.message


async def test_a_task_that_may_only_read_changes_nothing(acp_agent, opened, tmp_path):
    with ScriptedModel([Says("", [acp_agent.shell("echo RAN > out.txt")]), Says("I could not.")]) as model:
        talk = FakeAgentTalk(choosing(YES[acp_agent.name]))
        ended = await run(await opened(model.url, AgentMode.READ), talk)
    assert talk.questions == []
    assert files_in(tmp_path / "work") == {}
    assert ended.status in (EndStatus.COMPLETED, EndStatus.CANCELLED)


async def test_a_cancel_in_the_middle_of_a_command_ends_the_turn(acp_agent, opened, tmp_path):
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    script = [Says("", [acp_agent.shell(f"echo > {begun}; sleep 60")]), Says("Never said.")]
    talk = FakeAgentTalk(choosing(YES[acp_agent.name]))
    with ScriptedModel(script) as model:
        session = await opened(model.url)
        async with anyio.create_task_group() as tasks:

            async def stop():
                await anyio.to_thread.run_sync(begun.read_text, abandon_on_cancel=True)
                await session.interrupt()

            tasks.start_soon(stop)
            ended = await run(session, talk)
    assert ended.status is EndStatus.CANCELLED


async def test_a_cancel_during_an_open_question_ends_the_turn(acp_agent, opened, tmp_path):
    asked = anyio.Event()

    async def never(_question):
        asked.set()
        await anyio.sleep_forever()

    out = tmp_path / "out.txt"
    with ScriptedModel([Says("", [acp_agent.shell(f"echo RAN > {out}")]), Says("Never said.")]) as model:
        session = await opened(model.url)
        async with anyio.create_task_group() as tasks:

            async def stop():
                await asked.wait()
                await session.interrupt()

            tasks.start_soon(stop)
            ended = await run(session, FakeAgentTalk(never))
    assert ended.status is EndStatus.CANCELLED
    assert not out.exists()


async def test_the_gateway_is_its_mcp_server(acp_agent, opened, serve):
    plugged = Attachment("gateway", serve(NOTES).url, (("X-Run", Secret("1")),), (), ())
    with ScriptedModel([Says("", [acp_agent.note("milk")]), Says("Noted.")]) as model:
        talk = FakeAgentTalk(lambda question: choosing(_once(question))(question))
        ended = await run(await opened(model.url, attachment=plugged), talk)
        results = model.seen[-1].results
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "Noted.")
    assert "count" in str(results)
    (call,) = {use.id: use for use in talk.of(ToolUse)}.values()
    if acp_agent.name != "vibe":  # whose call is a program
        assert (call.kind, call.server) == ("mcp", "gateway")


async def test_the_gateway_is_its_mcp_server_over_stdio_where_it_is_told_so(acp_agent, opened):
    command = (sys.executable, "-m", "mcp_orchestrator.testing.notes")
    plugged = Attachment("gateway", "", (), command, ())
    with ScriptedModel([Says("", [acp_agent.note("milk", "add")]), Says("Noted.")]) as model:
        talk = FakeAgentTalk(lambda question: choosing(_once(question))(question))
        session = await opened(model.url, spec={"settings": {"mcp": "stdio"}}, attachment=plugged)
        ended = await run(session, talk)
        results = model.seen[-1].results
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "Noted.")
    assert "count" in str(results)


def _once(question):
    """The first of the options, which approves once."""
    return question.params["requestedSchema"]["properties"]["decision"]["enum"][0]


async def test_another_process_goes_on_with_its_session(acp_agent, opened):
    with ScriptedModel([Says("First words."), Says("Second words.")]) as model:
        session = await opened(model.url)
        await run(session, FakeAgentTalk(), "Remember the word heron.")
        await session.close()
        resumed = await opened(model.url, resume=session.native)
        talk = FakeAgentTalk()
        ended = await run(resumed, talk, "Go on.")
        assert (ended.status, ended.text) == (EndStatus.COMPLETED, "Second words.")
        assert resumed.native == session.native
        assert "heron" in str(model.seen[-1].body)
        assert "First words." not in [text.text for text in talk.of(Text)]


async def test_a_model_that_refuses_the_key_is_told_as_that(opened):
    with FailingModel(401) as model:
        ended = await run(await opened(model.url), FakeAgentTalk())
    assert (ended.status, ended.trouble) == (EndStatus.FAILED, TroubleKind.AUTH), ended


async def test_a_look_at_it_tells_what_it_is_without_giving_it_work(acp_agent):
    reaper = Reaper()
    with ScriptedModel([]) as model, anyio.fail_after(120):
        facts = await acp.create(acp_agent.spec(model.url, start_timeout=100), reaper).probe()
        assert model.seen == ()
    await reaper.aclose()
    assert (facts.found, facts.version, facts.signed_in) == (True, facts.verified, True), facts
    assert facts.modes
    assert (facts.can["resume"], facts.can["mcp_http"], facts.can["structured"]) == (True, True, False)
    assert facts.can["read_only"] is (acp_agent.name not in ("vibe", "claude"))
    assert facts.start > 0
