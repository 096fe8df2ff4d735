"""The adapter of Codex with the real Codex 0.169.0, offline (2026-11-24)."""

import os
import signal

import anyio
import pytest
from agent_kit import accepting, as_json, attachment, codex, files_in, place, text_of
from failing_model import FailingModel
from hotel_form import question

from mcp_orchestrator.backends import codex as codex_backend
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import (
    AgentMode,
    CostSource,
    EndStatus,
    FileChange,
    Started,
    Text,
    ToolUse,
    TroubleKind,
    Turn,
    Warned,
)
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk, choosing
from mcp_orchestrator.testing.scripted_model import ScriptedModel
from mcp_orchestrator.testing.scripted_model import ToolUse as Use
from mcp_orchestrator.testing.scripted_model import Turn as Says

pytestmark = [pytest.mark.real, pytest.mark.anyio]

WISHES = {"guest": "Ada Lovelace", "nights": 3, "breakfast": True, "bed": "double"}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
SLEEP = Says("", [Use("exec_command", {"cmd": "sleep 60; touch slept.txt"})])


def patch(path):
    """A command that Codex takes as an edit."""
    text = f"*** Begin Patch\n*** Add File: {path}\n+hello\n*** End Patch"
    return Use("exec_command", {"cmd": f"apply_patch <<'EOF'\n{text}\nEOF\n"})


def escalated(command):
    """A command that is to run outside of the sandbox."""
    more = {"sandbox_permissions": "require_escalated", "justification": "it is needed"}
    return Use("exec_command", {"cmd": command, **more})


@pytest.fixture
async def opened(codex_program, tmp_path):
    """Opens sessions: `opened(model_url, mode=..., spec={...}, ...)`; all are closed at the end."""
    reaper, sessions = Reaper(), []

    async def make(url, mode=AgentMode.WRITE, spec=None, **opening):
        definition = codex(codex_program, tmp_path / "home", url, **(spec or {}))
        with anyio.fail_after(60):
            sessions.append(await codex_backend.create(definition, reaper).open(place(tmp_path, mode, **opening)))
        return sessions[-1]

    yield make
    for session in sessions:
        await session.close()
    await reaper.aclose()


async def run(session, talk, prompt="go", **turn):
    with anyio.fail_after(60):
        return await session.turn(Turn(prompt, **turn), talk)


async def test_a_turn_tells_its_text_its_tools_and_its_file_changes(opened, tmp_path):
    with ScriptedModel([Says("First.", [patch("a.txt")]), Says("Done.")]) as model:
        talk = FakeAgentTalk()
        session = await opened(model.url)
        ended = await run(session, talk)
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "Done.")
    assert files_in(tmp_path / "work") == {"a.txt": "hello\n"}
    assert talk.of(FileChange) == [FileChange("a.txt", "add")]
    assert [text.text for text in talk.of(Text) if text.final] == ["First.", "Done."]
    begun, done = talk.of(ToolUse)
    assert (begun.kind, begun.status, done.status) == ("edit", "running", "completed")
    (started,) = talk.of(Started)
    assert (started.session, started.model, started.version) == (session.native, "scripted", "0.169.0")
    assert talk.bindings[0] == (session.native, None)
    assert talk.bindings[-1][1]  # the turn, once it is known
    assert (ended.usage.input_tokens, ended.usage.cost, ended.usage.cost_source) == (20, None, CostSource.UNMEASURED)
    assert talk.questions == []


async def test_the_servers_of_its_own_configuration_are_not_started(opened):
    """The one in its configuration does not exist and is required: with it, nothing would begin."""
    with ScriptedModel([Says("Hello.")]) as model:
        talk = FakeAgentTalk()
        ended = await run(await opened(model.url), talk)
    assert ended.status is EndStatus.COMPLETED
    assert "of_the_user" not in talk.of(Started)[0].mcp


@pytest.mark.parametrize(("option", "made"), [("accept", True), ("decline", False)])
async def test_a_person_decides_on_a_command_outside_of_the_sandbox(opened, tmp_path, option, made):
    outside = tmp_path / "outside.txt"
    with ScriptedModel([Says("", [escalated(f"touch {outside}")]), Says("On it went.")]) as model:
        talk = FakeAgentTalk(choosing(option))
        ended = await run(await opened(model.url), talk)
    (asked,) = talk.questions
    assert f"touch {outside}" in text_of(asked)
    assert "it is needed" in text_of(asked)
    offered = asked.params["requestedSchema"]["properties"]["decision"]["enum"]
    assert offered == ["accept", "acceptRule", "cancel", "decline"]
    assert outside.exists() is made
    assert talk.of(ToolUse)[-1].status == ("completed" if made else "denied")
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "On it went.")


async def test_cancelling_at_a_question_ends_the_turn_as_cancelled(opened, tmp_path):
    with ScriptedModel([Says("", [escalated(f"touch {tmp_path / 'outside.txt'}")]), Says("Never said.")]) as model:
        ended = await run(await opened(model.url), FakeAgentTalk(choosing("cancel")))
    assert ended.status is EndStatus.CANCELLED
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize(("option", "made"), [("accept", True), ("decline", False)])
async def test_an_edit_that_its_sandbox_forbids_is_shown_and_asked_for(opened, tmp_path, option, made):
    with ScriptedModel([Says("", [patch(".git/new.txt")]), Says("On it went.")]) as model:
        session = await opened(model.url)
        (tmp_path / "work" / ".git").mkdir()
        talk = FakeAgentTalk(choosing(option))
        ended = await run(session, talk)
    (asked,) = talk.questions
    assert str(tmp_path / "work" / ".git" / "new.txt") in text_of(asked)
    assert "hello" in text_of(asked)
    assert (tmp_path / "work" / ".git" / "new.txt").exists() is made
    assert bool(talk.of(FileChange)) is made
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "On it went.")


async def test_reading_cannot_write_and_nobody_is_asked_to_lift_it(opened, tmp_path):
    tries = [
        Use("exec_command", {"cmd": "echo x > w.txt"}),
        patch("p.txt"),
        escalated("touch e.txt"),
        Use("exec_command", {"cmd": "python3 -c \"open('y.txt','w')\""}),
    ]
    with ScriptedModel([*(Says("", [use]) for use in tries), Says("I could not.")]) as model:
        talk = FakeAgentTalk(choosing("accept"))
        ended = await run(await opened(model.url, AgentMode.READ), talk)
    assert files_in(tmp_path / "work") == {}
    assert talk.questions == []
    assert "denied" in [warned.kind for warned in talk.of(Warned)]
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "I could not.")


@pytest.mark.parametrize("hotel", ["old", "new"])
async def test_an_elicitation_of_an_mcp_server_crosses_the_gateway_and_the_agent(opened, serve, hotels, rooms, hotel):
    room, gateway = next(rooms), serve(hotels.servers)
    with ScriptedModel([Says("", [Use(f"{hotel}__book", {"room": room})]), Says("Booked.")]) as model:
        talk = FakeAgentTalk(accepting(WISHES))
        ended = await run(await opened(model.url, attachment=attachment(gateway.url, Run="r1")), talk)
    assert talk.of(Started)[0].mcp == {"gateway": "ready"}
    assert [text_of(asked) for asked in talk.questions] == [question(room)]
    assert hotels.booked(hotel, room)["content"] == WISHES
    call = next(use for use in talk.of(ToolUse) if use.kind == "mcp")
    assert (call.server, call.name) == ("gateway", f"{hotel}__book")
    assert "Ada Lovelace" in as_json(talk.of(ToolUse)[-1].output)
    assert ended.status is EndStatus.COMPLETED


async def test_a_gateway_that_is_not_there_is_told(opened):
    with ScriptedModel([Says("Hello.")]) as model:
        talk = FakeAgentTalk()
        ended = await run(await opened(model.url, attachment=attachment("http://127.0.0.1:9/mcp")), talk)
    assert talk.of(Started)[0].mcp == {"gateway": "failed"}
    assert "gateway" in next(warned.text for warned in talk.of(Warned) if warned.kind == "mcp")
    assert ended.status is EndStatus.COMPLETED


async def test_structured_output_is_asked_for_and_read(opened):
    with ScriptedModel([Says('{"n": 4}')]) as model:
        ended = await run(await opened(model.url), FakeAgentTalk(), schema=SCHEMA)
        asked = model.seen[0].body["text"]["format"]
    assert (ended.status, ended.structured) == (EndStatus.COMPLETED, {"n": 4})
    assert asked["schema"] == SCHEMA | {"additionalProperties": False}


async def test_a_schema_that_the_endpoint_would_refuse_is_given_in_words(opened):
    loose = {"type": "object", "properties": {"n": {"type": "integer"}}}
    with ScriptedModel([Says('{"n": 4}')]) as model:
        ended = await run(await opened(model.url), FakeAgentTalk(), schema=loose)
        body = model.seen[0].body
    assert ended.structured == {"n": 4}
    assert not (body.get("text") or {}).get("format")
    assert '{"n": {"type": "integer"}}' in as_json(body["input"]).replace('\\"', '"')


async def test_an_interrupt_in_the_middle_ends_the_turn_and_the_session_goes_on(opened, tmp_path):
    with ScriptedModel([SLEEP, Says("And on.")]) as model:
        session, talk = await opened(model.url), FakeAgentTalk()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupted, session, talk)
            first = await run(session, talk)
        second = await run(session, FakeAgentTalk(), "again")
    assert first.status is EndStatus.CANCELLED
    assert (second.status, second.text, second.usage.input_tokens) == (EndStatus.COMPLETED, "And on.", 10)
    assert files_in(tmp_path / "work") == {}


async def interrupted(session, talk):
    await talk.until(lambda: talk.of(ToolUse) or talk.questions)
    await session.interrupt()


async def test_an_interrupt_during_an_open_question_ends_the_turn(opened, tmp_path):
    with ScriptedModel([Says("", [escalated(f"touch {tmp_path / 'outside.txt'}")]), Says("Never said.")]) as model:

        async def never(_question):
            await anyio.sleep_forever()

        session, talk = await opened(model.url), FakeAgentTalk(never)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupted, session, talk)
            ended = await run(session, talk)
    assert ended.status is EndStatus.CANCELLED


async def test_a_thread_is_resumed_in_a_new_process_and_used_what_the_turn_used(opened):
    with ScriptedModel([Says("One."), Says("Two."), Says("Three.")]) as model:
        first = await opened(model.url)
        told = await run(first, FakeAgentTalk())
        await first.close()
        second = await opened(model.url, resume=first.native)
        again = await run(second, FakeAgentTalk())
        await second.close()
        forked = await opened(model.url, resume=first.native, fork=True)
        branch = await run(forked, FakeAgentTalk())
        assert "One." in as_json(model.seen[1].body["input"])
    assert second.native == first.native != forked.native
    assert (again.text, branch.status) == ("Two.", EndStatus.COMPLETED)
    assert told.usage.input_tokens == again.usage.input_tokens == branch.usage.input_tokens == 10


async def test_a_thread_has_one_writer_and_an_unknown_one_cannot_be_opened(opened):
    with ScriptedModel([Says("One.")]) as model:
        first = await opened(model.url)
        await run(first, FakeAgentTalk())
        with pytest.raises(BackendError, match="active writer"):
            await opened(model.url, resume=first.native)
        with pytest.raises(BackendError, match="no rollout found"):
            await opened(model.url, resume="01a20e1b-1504-7752-823f-1eba0f05e9ff")


@pytest.mark.parametrize(
    ("status", "trouble", "retryable"),
    [(401, TroubleKind.AUTH, False), (429, TroubleKind.RATE, True), (500, TroubleKind.MODEL, True)],
)
async def test_what_the_model_answers_is_the_kind_of_the_trouble(opened, status, trouble, retryable):
    with FailingModel(status) as model:
        ended = await run(await opened(model.url), FakeAgentTalk())
    assert (ended.status, ended.trouble, ended.retryable) == (EndStatus.FAILED, trouble, retryable), ended
    assert model.asked > 0


async def test_an_agent_that_says_and_does_nothing_has_not_completed(opened):
    with ScriptedModel([Says(" ")]) as model:
        ended = await run(await opened(model.url), FakeAgentTalk())
    assert (ended.status, ended.trouble) == (EndStatus.UNKNOWN, TroubleKind.SILENT), ended


async def test_killed_in_the_middle_the_end_is_unknown_nothing_of_it_is_left_and_its_session_goes_on(opened, tmp_path):
    with ScriptedModel([SLEEP, Says("On again.")]) as model:
        session, talk = await opened(model.url), FakeAgentTalk()

        async def kill():
            await talk.until(lambda: talk.of(ToolUse))
            os.kill(session.pid, signal.SIGKILL)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill)
            ended = await run(session, talk)
        assert (ended.status, ended.trouble) == (EndStatus.UNKNOWN, TroubleKind.CRASH)
        assert "SIGKILL" in await session.wait_closed()
        await session.close()
        again = await run(await opened(model.url, resume=session.native), FakeAgentTalk(), "go on")
    assert (again.status, again.text) == (EndStatus.COMPLETED, "On again.")
    assert files_in(tmp_path / "work") == {}


async def test_it_is_looked_at_without_a_model(codex_program, tmp_path):
    reaper = Reaper()
    with FailingModel(500) as model:
        definition = codex(codex_program, tmp_path / "home", model.url)
        facts = await codex_backend.create(definition, reaper).probe()
    await reaper.aclose()
    assert (facts.found, facts.version, facts.verified, facts.signed_in) == (True, "0.169.0", "0.169.0", True)
    assert model.asked == 0
