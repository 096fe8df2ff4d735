"""The command line sees, answers and cancels what goes on."""

import asyncio

import anyio
import pytest
from engines import Ear, FakeBackend, tool_call, whole

from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.outcome import Completed, FailureKind
from mcp_orchestrator.runtime.desk import Desk
from mcp_orchestrator.runtime.run_actions import RunActions

pytestmark = pytest.mark.anyio
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
FORM = Question("elicitation/create", {"message": "How many?", "requestedSchema": SCHEMA})


async def ask(_invocation, talk):
    return Completed(encode({"got": (await talk.ask(FORM)).result}), Era.LEGACY)


async def started(made):
    """A run whose question waits at the desk; returns the run and the actions."""
    asked = asyncio.Event()
    made.engine.desk = Desk(60.0, lambda: 0.0, lambda _waiting: asked.set())
    run = made.gateway.start(tool_call("one__echo"), Ear())
    await asked.wait()
    return run, RunActions(made.engine)


async def test_a_question_is_shown_and_answered_and_the_journal_says_by_whom(tmp_path):
    async with whole(tmp_path, FakeBackend("one", play=ask)) as made:
        run, actions = await started(made)
        (one,) = await actions.questions({"run": run.id})
        assert (one["question"], one["params"], one["expires_at"]) == ("q1", FORM.params, 60.0)
        given = {"run": run.id, "question": "q1", "action": "accept"}
        for content, text in (({}, "does not fit"), ({"n": "x"}, "at /n"), ([], "JSON object")):
            with pytest.raises(ValueError, match=text):
                await actions.answer({**given, "content": content})
        answered = await actions.answer({**given, "content": {"n": 1}})
        assert answered["answer"] == {"action": "accept", "content": {"n": 1}}
        assert decode((await run.outcome()).result)["got"] == answered["answer"]
        (event,) = [event for event in made.journal.events if event.kind.value == "question.answered"]
        assert event.data == {"method": FORM.method, "question": "q1", "by": "cli", "action": "accept"}
        with pytest.raises(LookupError):
            await actions.answer(given)


async def test_a_sampling_request_is_answered_or_refused_by_a_person(tmp_path):
    asked = Question("sampling/createMessage", {"messages": [], "maxTokens": 9})

    async def sample(_invocation, talk):
        answer = await talk.ask(asked)
        return Completed(encode({"got": answer.result, "code": answer.code}), Era.LEGACY)

    async with whole(tmp_path, FakeBackend("one", play=sample)) as made:
        run, actions = await started(made)
        given = {"run": run.id, "question": "q1", "action": "accept"}
        answered = await actions.answer({**given, "content": {"content": {"type": "text", "text": "Paris"}}})
        assert decode((await run.outcome()).result)["got"] == answered["answer"]
        run, actions = await started(made)
        refused = await actions.answer({"run": run.id, "question": "q1", "action": "decline"})
        assert refused["answer"] == {"error": {"code": -1, "message": "User rejected sampling request"}}
        assert decode((await run.outcome()).result) == {"got": None, "code": -1}


async def test_a_run_is_cancelled(tmp_path):
    async with whole(tmp_path, FakeBackend("one", play=ask)) as made:
        run, actions = await started(made)
        assert await actions.cancel({"run": run.id}) == {"run": run.id, "status": "cancelled"}
        outcome = await run.outcome()
        assert (outcome.kind, "command line" in outcome.message) == (FailureKind.CANCELLED, True)
        await anyio.wait_all_tasks_blocked()
        assert await actions.questions({}) == []
        with pytest.raises(LookupError, match="no run"):
            await actions.cancel({"run": run.id})


async def test_where_the_command_line_is_no_mouth_it_answers_nothing(tmp_path):
    async with whole(tmp_path, FakeBackend("one", play=ask)) as made:
        actions = RunActions(made.engine)
        assert await actions.questions({}) == []
        with pytest.raises(ValueError, match="mouths"):
            await actions.answer({"run": "r", "question": "q1", "action": "accept"})
