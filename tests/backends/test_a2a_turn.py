"""The corners of following a task; whole turns are in test_a2a."""

import asyncio

import anyio
import pytest
from a2a_fake import FakeA2a, session

from mcp_orchestrator.backends.a2a_turn import Rhythm
from mcp_orchestrator.model.agent import EndStatus, Text, TroubleKind, Turn, Warned
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk

pytestmark = pytest.mark.anyio


async def test_the_same_question_twice_is_asked_twice(tmp_path):
    async def script(task):
        for count in (2, 3):
            task.status("input-required", "Which?")
            await task.until_said(count)
            task.status("working")
        task.status("completed", "thanks")

    talk = FakeAgentTalk(lambda question: Answer({"action": "accept", "content": {"answer": "x"}}))
    async with FakeA2a(script).serving() as server, session(server.url, tmp_path) as made:
        ended = await made.turn(Turn("x"), talk)
    assert (ended.status, len(talk.questions)) == (EndStatus.COMPLETED, 2)


async def test_an_answer_that_the_agent_refuses_is_an_end_in_words(tmp_path):
    async def script(task):
        task.status("input-required", "Which?")

    server = FakeA2a(script)

    def refuse(request, method):
        if method == "SendStreamingMessage" and server.tasks:
            server.refuse(request, -32602, "INVALID", "that is no answer")
            return True
        return False

    server.intercept = refuse
    talk = FakeAgentTalk(lambda question: Answer({"action": "accept", "content": {"answer": "x"}}))
    async with server.serving(), session(server.url, tmp_path) as made:
        ended = await made.turn(Turn("x"), talk)
    assert ended.status is EndStatus.FAILED
    assert "that is no answer" in ended.message


async def test_a_cancel_that_the_agent_does_not_heed_leaves_the_end_unknown(tmp_path):
    async def script(task):
        task.cancels = False
        task.status("working", "busy")

    talk = FakeAgentTalk()
    async with FakeA2a(script).serving() as server, session(server.url, tmp_path) as made:
        turn = asyncio.ensure_future(made.turn(Turn("x"), talk))
        await talk.until(lambda: talk.of(Text))
        await made.interrupt()
        while "CancelTask" not in server.calls:
            await anyio.lowlevel.checkpoint()
        await made.close()
        ended = await turn
    assert ended.status is EndStatus.UNKNOWN
    assert "did not confirm" in ended.message


async def test_a_task_that_ended_just_before_the_cancel_ends_as_it_did(tmp_path):
    hold = asyncio.Event()

    async def script(task):
        task.status("working", "busy")
        await hold.wait()
        task.ears.clear()
        task.artifact("a", "made it")
        task.status("completed")

    talk = FakeAgentTalk()
    server = FakeA2a(script)

    async def late(request, method):
        if method == "CancelTask":
            hold.set()
            task = server.tasks["task-1"]
            while task.state != "completed":
                await task.changed.wait()
        return False

    server.intercept = late
    async with server.serving(), session(server.url, tmp_path) as made:
        turn = asyncio.ensure_future(made.turn(Turn("x"), talk))
        await talk.until(lambda: talk.of(Text))
        await made.interrupt()
        ended = await turn
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "made it")
    assert not talk.of(Warned)


async def test_an_answer_without_task_and_message_is_told_as_a_breach(tmp_path):
    server = FakeA2a(None, streaming=False)

    def nothing(request, method):
        request.result({})
        return True

    server.intercept = nothing
    async with server.serving(), session(server.url, tmp_path) as made:
        ended = await made.turn(Turn("x"), FakeAgentTalk())
    assert (ended.status, ended.trouble) == (EndStatus.UNKNOWN, TroubleKind.PROTOCOL)


async def test_one_turn_at_a_time_and_none_after_the_close(tmp_path):
    async def script(task):
        task.status("working", "busy")

    talk = FakeAgentTalk()
    async with FakeA2a(script).serving() as server, session(server.url, tmp_path) as made:
        turn = asyncio.ensure_future(made.turn(Turn("x"), talk))
        await talk.until(lambda: talk.of(Text))
        second = await made.turn(Turn("y"), talk)
        await made.close()
        await turn
        third = await made.turn(Turn("z"), talk)
        assert await made.wait_closed()
    assert "going on" in second.message
    assert "closed" in third.message
    assert len(server.tasks) == 1


async def test_access_that_is_withdrawn_in_the_middle_leaves_the_end_unknown(tmp_path):
    async def script(task):
        task.status("working", "busy")

    talk = FakeAgentTalk()
    server = FakeA2a(script, streaming=False)

    def withdraw(request, method):
        if method == "GetTask" and talk.of(Text):
            request.reply(b"", status="401 Unauthorized")
            return True
        return False

    server.intercept = withdraw
    async with server.serving(), session(server.url, tmp_path, rhythm=Rhythm(0.01, 0.02, 1, 5)) as made:
        ended = await made.turn(Turn("x"), talk)
    assert (ended.status, ended.trouble) == (EndStatus.UNKNOWN, TroubleKind.AUTH)
