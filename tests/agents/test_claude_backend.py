"""The adapter of Claude Code with the real Claude Code 2.1.330, offline (2026-11-24)."""

import os
import signal

import anyio
import pytest
from agent_kit import accepting, attachment, claude, files_in, place, text_of
from failing_model import FailingModel
from hotel_form import question

from mcp_orchestrator.backends import claude_code
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import (
    AgentMode,
    CostSource,
    EndStatus,
    FileChange,
    Started,
    Text,
    ToolStatus,
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
LONG = Says("", [Use("Bash", {"command": "curl -s http://127.0.0.1:9; sleep 60; touch slept.txt"})])


@pytest.fixture
async def opened(claude_program, tmp_path):
    """Opens sessions: `opened(model_url, mode=..., spec={...}, ...)`; all are closed at the end."""
    reaper, sessions = Reaper(), []

    async def make(url, mode=AgentMode.WRITE, spec=None, **opening):
        definition = claude(claude_program, tmp_path / "home", url, **(spec or {}))
        with anyio.fail_after(60):
            sessions.append(await claude_code.create(definition, reaper).open(place(tmp_path, mode, **opening)))
        return sessions[-1]

    yield make
    for session in sessions:
        await session.close()
    await reaper.aclose()


async def run(session, talk, prompt="go", **turn):
    with anyio.fail_after(60):
        return await session.turn(Turn(prompt, **turn), talk)


async def test_a_turn_tells_its_text_its_tools_its_file_changes_and_its_cost(opened, tmp_path):
    write = Use("Write", {"file_path": str(tmp_path / "work" / "a.txt"), "content": "hi"})
    with ScriptedModel([Says("First.", [write]), Says("Done.")]) as model:
        talk = FakeAgentTalk()
        session = await opened(model.url)
        ended = await run(session, talk)
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "Done.")
    assert files_in(tmp_path / "work") == {"a.txt": "hi"}
    assert talk.of(FileChange) == [FileChange("a.txt", "add")]
    assert [text.text for text in talk.of(Text)] == ["First.", "Done."]
    begun, done = talk.of(ToolUse)
    assert (begun.name, begun.kind, begun.status, done.status) == ("Write", "edit", "running", "completed")
    (started,) = talk.of(Started)
    assert (started.session, started.version) == (session.native, "2.1.330")
    assert talk.bindings[0] == (session.native, None)
    assert (ended.usage.input_tokens, ended.usage.cost_source) == (20, CostSource.REPORTED)
    assert ended.usage.cost > 0
    assert talk.questions == []
    assert all(raw for event, raw in zip(talk.events, talk.raws, strict=True) if not isinstance(event, Warned))


@pytest.mark.parametrize(("option", "made", "status"), [("allow", True, "completed"), ("deny", False, "denied")])
async def test_a_person_decides_on_a_command(opened, tmp_path, option, made, status):
    command = "curl -s http://127.0.0.1:9; touch made.txt"
    with ScriptedModel([Says("", [Use("Bash", {"command": command})]), Says("On it went.")]) as model:
        talk = FakeAgentTalk(choosing(option))
        ended = await run(await opened(model.url), talk)
    (asked,) = talk.questions
    assert command in text_of(asked)
    assert "Bash(curl -s http://127.0.0.1:9)" in text_of(asked)  # what the other option would allow
    assert (tmp_path / "work" / "made.txt").exists() is made
    assert talk.of(ToolUse)[-1].status == status
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "On it went.")


async def test_what_is_allowed_for_the_session_is_not_asked_again_and_leaves_no_settings(opened, tmp_path):
    use = Use("Bash", {"command": "curl -s http://127.0.0.1:9"})
    with ScriptedModel([Says("", [use]), Says("", [use]), Says("Twice.")]) as model:
        talk = FakeAgentTalk(choosing("session"))
        ended = await run(await opened(model.url), talk)
    assert len(talk.questions) == 1
    assert len([use for use in talk.of(ToolUse) if use.status is ToolStatus.RUNNING]) == 2
    assert not (tmp_path / "work" / ".claude").exists()
    assert ended.status is EndStatus.COMPLETED


async def test_stopping_at_a_question_ends_the_turn_as_cancelled(opened):
    with ScriptedModel([LONG, Says("Never said.")]) as model:
        ended = await run(await opened(model.url), FakeAgentTalk(choosing("stop")))
    assert ended.status is EndStatus.CANCELLED


async def test_reading_cannot_write_whatever_a_person_allows_not_even_by_a_subagent(opened, tmp_path):
    path = str(tmp_path / "work" / "w.txt")
    tries = [
        Use("Write", {"file_path": path, "content": "x"}),
        Use("Bash", {"command": f"echo x > {path}"}),
        Use("Edit", {"file_path": path, "old_string": "", "new_string": "x"}),
        Use("NotebookEdit", {"notebook_path": path, "new_source": "x"}),
        Use("Agent", {"description": "d", "prompt": "write it", "subagent_type": "general-purpose"}),
    ]
    with ScriptedModel([*(Says("", [use]) for use in tries), Says("I could not.")]) as model:
        talk = FakeAgentTalk(choosing("allow"))
        ended = await run(await opened(model.url, AgentMode.READ), talk)
        offered = {name for seen in model.seen for name in seen.offered}
    assert files_in(tmp_path / "work") == {}
    assert not offered & {"Write", "Edit", "Bash", "NotebookEdit"}
    assert any(use.parent for use in talk.of(ToolUse))  # the subagent tried, too
    assert ended.status is EndStatus.COMPLETED


async def test_its_own_questions_reach_a_person_and_come_back(opened):
    options = [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]
    asks = {"questions": [{"question": "Which colour?", "header": "Colour", "options": options, "multiSelect": False}]}
    with ScriptedModel([Says("", [Use("AskUserQuestion", asks)]), Says("Thanks.")]) as model:
        talk = FakeAgentTalk(accepting({"q0": "Blue"}))
        ended = await run(await opened(model.url), talk)
        (result,) = model.seen[-1].results.values()
    assert talk.questions[0].params["requestedSchema"]["properties"]["q0"]["enum"] == ["Red", "Blue"]
    assert '"Which colour?"="Blue"' in result
    assert ended.status is EndStatus.COMPLETED


@pytest.mark.parametrize("hotel", ["old", "new"])
async def test_an_elicitation_of_an_mcp_server_crosses_the_gateway_and_the_agent(opened, serve, hotels, rooms, hotel):
    room, gateway = next(rooms), serve(hotels.servers)
    with ScriptedModel([Says("", [Use(f"{hotel}__book", {"room": room})]), Says("Booked.")]) as model:
        talk = FakeAgentTalk(accepting(WISHES))
        ended = await run(await opened(model.url, attachment=attachment(gateway.url, Run="r1")), talk)
    assert talk.of(Started)[0].mcp == {"gateway": "connected"}
    assert [text_of(asked) for asked in talk.questions] == [question(room)]
    assert hotels.booked(hotel, room)["content"] == WISHES
    call = next(use for use in talk.of(ToolUse) if use.kind == "mcp")
    assert (call.server, call.name) == ("gateway", f"mcp__gateway__{hotel}__book")
    assert ended.status is EndStatus.COMPLETED


async def test_the_token_of_the_attachment_is_in_no_argument_and_is_gone_afterwards(opened, tmp_path):
    with ScriptedModel([Says("Hello.")]) as model:
        session = await opened(model.url, attachment=attachment("http://127.0.0.1:9/mcp"))
        command = (await anyio.Path(f"/proc/{session.pid}/cmdline").read_bytes()).decode()
        talk = FakeAgentTalk()
        await run(session, talk)
        await session.close()
    assert "token-of-the-run" not in command
    assert "token-of-the-run" not in "".join(files_in(tmp_path / "scratch").values())
    assert "gateway" in next(warned.text for warned in talk.of(Warned) if warned.kind == "mcp")


async def test_structured_output_is_given_beside_the_text(opened):
    with ScriptedModel([Says("", [Use("StructuredOutput", {"n": 4})]), Says("Four.")]) as model:
        ended = await run(await opened(model.url), FakeAgentTalk(), schema=SCHEMA)
    assert (ended.status, ended.structured) == (EndStatus.COMPLETED, {"n": 4})


async def test_limits_of_turns_and_money_end_it_as_limits(opened, tmp_path):
    path = str(tmp_path / "work" / "a.txt")
    writes = [Says("", [Use("Write", {"file_path": path, "content": str(n)})]) for n in range(3)]
    with ScriptedModel([*writes, Says("Done.")]) as model:
        session = await opened(model.url)
        by_turns = await run(session, FakeAgentTalk(), max_turns=1)
        by_money = await run(session, FakeAgentTalk(), max_cost=1)
    assert (by_turns.status, by_turns.trouble) == (EndStatus.LIMIT, TroubleKind.TURNS)
    assert (by_money.status, by_money.trouble) == (EndStatus.LIMIT, TroubleKind.BUDGET)
    assert by_money.usage.cost > 0


async def test_an_interrupt_in_the_middle_ends_the_turn_and_the_session_goes_on(opened, tmp_path):
    with ScriptedModel([LONG, Says("And on.")]) as model:
        session, talk = await opened(model.url), FakeAgentTalk(choosing("allow"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupted, session, talk)
            first = await run(session, talk)
        second = await run(session, FakeAgentTalk(), "again")
    assert (first.status, first.usage.input_tokens) == (EndStatus.CANCELLED, 10)
    assert (second.status, second.text) == (EndStatus.COMPLETED, "And on.")
    assert files_in(tmp_path / "work") == {}


async def interrupted(session, talk):
    await talk.until(lambda: talk.questions)
    await session.interrupt()


async def test_an_interrupt_during_an_open_question_ends_the_turn(opened):
    with ScriptedModel([LONG, Says("Never said.")]) as model:

        async def never(_question):
            await anyio.sleep_forever()

        session, talk = await opened(model.url), FakeAgentTalk(never)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupted, session, talk)
            ended = await run(session, talk)
    assert ended.status is EndStatus.CANCELLED


async def test_a_session_is_resumed_in_a_new_process_and_costs_what_the_turn_costs(opened):
    with ScriptedModel([Says("One."), Says("Two."), Says("Three.")]) as model:
        first = await opened(model.url)
        told = await run(first, FakeAgentTalk())
        await first.close()
        second = await opened(model.url, resume=first.native)
        again = await run(second, FakeAgentTalk())
        forked = await opened(model.url, resume=first.native, fork=True)
        branch = await run(forked, FakeAgentTalk())
        assert "One." in str(model.seen[1].body["messages"])
    assert second.native == first.native != forked.native
    assert (again.text, branch.status) == ("Two.", EndStatus.COMPLETED)
    assert told.usage.cost == again.usage.cost == branch.usage.cost


async def test_an_unknown_session_cannot_be_opened(opened):
    with ScriptedModel([]) as model, pytest.raises(BackendError, match="No conversation found"):
        await opened(model.url, resume="00000000-0000-4000-8000-000000000000")


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
    quick = Says("", [Use("Bash", {"command": "curl -s http://127.0.0.1:9"})])
    with ScriptedModel([quick, LONG, Says("On again.")]) as model:
        session, talk = await opened(model.url), FakeAgentTalk(choosing("allow"))

        async def kill():
            await talk.until(lambda: len(talk.questions) == 2)
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


async def test_it_is_looked_at_without_a_model(claude_program, tmp_path):
    reaper = Reaper()
    with FailingModel(500) as model:
        definition = claude(claude_program, tmp_path / "home", model.url)
        facts = await claude_code.create(definition, reaper).probe()
    await reaper.aclose()
    assert (facts.found, facts.version, facts.verified, facts.signed_in) == (True, "2.1.330", "2.1.330", True)
    assert model.asked == 0
