"""Who follows a task hears what its backend tells, and looks seldom as long as it tells."""

import asyncio

import anyio
import pytest

from mcp_orchestrator.runtime import task_pushes
from mcp_orchestrator.runtime.task_pushes import TaskPushes

pytestmark = pytest.mark.anyio


class Telling:
    """A session that can be asked to have its backend tell."""

    def __init__(self):
        self.wanted = []

    def listen_for_task(self, task):
        self.wanted.append(task)
        return lambda: self.wanted.remove(task)


async def test_what_is_told_reaches_those_who_follow_this_task_of_this_backend():
    pushes, heard, others = TaskPushes(), [], []
    ear = pushes.follow("one", "t", heard.append)
    pushes.follow("two", "t", others.append)
    pushes.follow("one", "u", others.append)
    pushes.heard("one", "t", {"status": "working"})
    ear.close()
    ear.close()
    pushes.heard("one", "t", {"status": "completed"})
    assert (heard, others) == ([{"status": "working"}], [])


async def test_each_session_that_is_asked_is_asked_to_tell_and_the_one_before_no_more():
    ear = TaskPushes().follow("one", "t", lambda _params: None)
    first, second = Telling(), Telling()
    ear.at(first)
    ear.at(first)
    assert first.wanted == ["t"]
    ear.at(second)
    assert (first.wanted, second.wanted) == ([], ["t"])
    ear.at(object())  # a session that cannot be asked
    assert second.wanted == []
    ear.at(second)
    ear.close()
    assert second.wanted == []


async def test_a_pause_is_short_until_the_backend_agrees_to_tell_and_ends_when_that_changes():
    pushes = TaskPushes()
    ear = pushes.follow("one", "t", lambda _params: None)
    with anyio.fail_after(5):
        await ear.pause(0.01)
        pushes.agreed("one", frozenset({"t"}))
        assert pushes.tells("one", "t")
        await ear.pause(100)  # it has just begun to tell: look once more
        pausing = asyncio.ensure_future(ear.pause(0.01))
        await asyncio.wait({pausing}, timeout=0.2)
        assert not pausing.done(), "it tells by itself"
        pushes.agreed("two", frozenset({"t"}))
        pushes.agreed("one", frozenset({"t", "u"}))
        await asyncio.wait({pausing}, timeout=0.05)
        assert not pausing.done(), "nothing has changed for this task"
        pushes.agreed("one", frozenset())
        await pausing
        await ear.pause(0.01)


async def test_a_task_that_is_said_to_be_over_is_looked_at_as_often_as_before():
    pushes = TaskPushes()
    ear = pushes.follow("one", "t", lambda _params: None)
    pushes.agreed("one", frozenset({"t"}))
    ear.stirred.clear()
    with anyio.fail_after(5):
        await ear.pause(0.01, hurried=True)
    assert task_pushes.CALM_POLL > 5
