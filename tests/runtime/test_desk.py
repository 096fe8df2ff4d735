"""Open questions of the command line: answered once, expired, or gone with their run."""

import asyncio

import pytest

from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.runtime.desk import Desk

pytestmark = pytest.mark.anyio
FORM = Question("elicitation/create", {"message": "?"})


def desk(expiry=60.0, told=None):
    return Desk(expiry, lambda: 100.0, (told if told is not None else []).append)


async def asking(made, run="r", key="q1", question=FORM):
    task = asyncio.ensure_future(made.ask(run, key, question))
    await asyncio.sleep(0)
    return task


async def test_a_question_waits_until_it_is_answered():
    told = []
    made = desk(told=told)
    task = await asking(made)
    (waiting,) = made.questions("r")
    assert told == [waiting]
    assert (waiting.asked_at, waiting.expires_at) == (100.0, 160.0)
    assert made.questions("other") == []
    made.give(made.find("r", "q1"), Answer({"action": "accept"}, by="cli"))
    assert (await task).by == "cli"
    assert made.questions() == []


async def test_the_first_answer_wins():
    made = desk()
    task = await asking(made)
    waiting = made.find("r", "q1")
    made.give(waiting, Answer({"action": "accept"}))
    made.give(waiting, Answer({"action": "decline"}))
    assert (await task).result == {"action": "accept"}
    with pytest.raises(LookupError, match="no open question"):
        made.find("r", "q1")


async def test_nobody_answers_in_time():
    answer = await desk(expiry=0.01).ask("r", "q1", FORM)
    assert (answer.result, answer.by) == ({"action": "cancel"}, "time")


async def test_a_run_that_ends_takes_its_questions_along():
    made = desk()
    first, _second = await asking(made), await asking(made, key="q2")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    with pytest.raises(LookupError, match="open questions of this run: q2"):
        made.find("r", "q1")
    _second.cancel()


async def test_what_is_not_for_people_or_one_too_many_does_not_wait(monkeypatch):
    made = desk()
    assert await made.ask("r", "q1", Question("tasks/get", {})) is None
    monkeypatch.setattr("mcp_orchestrator.runtime.desk.MOST", 0)
    assert await made.ask("r", "q1", FORM) is None
