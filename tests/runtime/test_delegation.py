"""What is noted of a delegation while it goes on: words, tools, questions with their keys, usage, and no secrets."""

import asyncio
import json
from dataclasses import replace

import anyio
import pytest
from delegating import DONE, Agent, House, asks, until, until_stopped

from mcp_orchestrator.core.translate.permissions import Option, permission
from mcp_orchestrator.model.agent import (
    AgentUsage,
    CostSource,
    Ended,
    EndStatus,
    FileChange,
    Planned,
    Text,
    ToolStatus,
    ToolUse,
    Used,
    Warned,
)
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.snapshot import Secret

pytestmark = pytest.mark.anyio

OPTIONS = (Option("allow", "this once"),)
KEY = "sk-12345"


def may_i(details):
    return permission("worker", "run a command", details, OPTIONS)


def tells(*events, ended=DONE):
    async def work(session, turn, talk):
        for event in events:
            talk.event(event, raw=f'{{"key": "{KEY}"}}')
        return ended

    return work


async def test_a_message_in_pieces_and_once_more_as_a_whole_is_noted_once(tmp_path):
    pieces = (Text("He", "m1", final=False), Text("llo", "m1", final=False), Text("Hello", "m1"), Text("Bye", "m2"))
    house = House(tmp_path, Agent(work=tells(*pieces)))
    delegation = await house.begin()
    await house.ended(delegation)
    assert delegation.text == "Hello\nBye"


async def test_a_tool_call_is_one_whatever_is_told_of_it_later(tmp_path):
    first = ToolUse("t1", "bash", "shell", title="List", status=ToolStatus.RUNNING)
    later = ToolUse("t1", status=ToolStatus.COMPLETED, output="a.txt")
    house = House(tmp_path, Agent(work=tells(first, later, FileChange("a", "add"), Planned((("x", "done"),)))))
    delegation = await house.begin()
    await house.ended(delegation)
    (tool,) = delegation.tools
    assert (tool.name, tool.title, tool.status) == ("bash", "List", ToolStatus.COMPLETED)
    assert (delegation.files, delegation.plan) == ({"a": "add"}, (("x", "done"),))


async def test_no_secret_is_in_anything_that_is_shown_or_kept(tmp_path):
    events = (
        Text(f"the key: {KEY}"), Text(KEY[:4], "m2", final=False), Text(KEY[4:], "m2", final=False), Warned(KEY),
        ToolUse("t1", KEY, title=f"echo {KEY}", input={"env": [KEY]}, output={KEY: KEY}), Planned(((KEY, "done"),)),
    )  # fmt: skip
    ended = Ended(EndStatus.FAILED, KEY, {"a": [KEY]}, message=f"bad key {KEY}", evidence=KEY)
    house = House(tmp_path, Agent(work=tells(*events, ended=ended), confidential=(Secret(KEY),)))
    delegation = await house.begin()
    await house.ended(delegation)
    shown = [delegation.text, delegation.tools, delegation.plan, delegation.warnings, delegation.kept]
    assert KEY not in repr(shown)
    assert KEY not in json.dumps([event.data for event in house.events("r1")])
    assert "<secret>" in delegation.kept.ended.message


async def test_a_secret_that_comes_later_is_hidden_as_well(tmp_path):
    house = House(tmp_path, Agent(work=until_stopped))
    delegation = await house.begin()
    delegation.hide(Secret("token-1"))
    delegation.event(Text("token-1 and token-2"))
    assert delegation.text == "<secret> and token-2"
    await house.delegations.cancel("r1", None, "enough")


async def test_questions_have_keys_of_their_own_also_when_they_are_alike(tmp_path):
    async def work(session, turn, talk):
        answers = await asyncio.gather(talk.ask(may_i("ls")), talk.ask(may_i("ls")))
        return replace(DONE, text=", ".join(answer.result["action"] for answer in answers))

    house = House(tmp_path, Agent(work=work))
    delegation = await house.begin()
    await until(delegation, lambda: len(delegation.open) == 2)
    with pytest.raises(LookupError, match="2 open questions: q1, q2"):
        delegation.answer(None, "decline", option=None, content=None, by="ada")
    delegation.answer("q2", "decline", option=None, content=None, by="ada")
    delegation.answer("q1", "accept", option="allow", content=None, by="ada")
    assert (await house.ended(delegation)).text == "accept, decline"
    assert delegation.kept.questions == {}


async def test_a_question_is_kept_before_it_is_shown_and_asked_again_under_its_key(tmp_path):
    house = House(tmp_path, Agent(work=asks(may_i("ls"))))
    delegation = await house.begin()
    await until(delegation, lambda: delegation.open)
    kept = house.store.rows["r1"]
    assert list(kept.questions) == ["q1"]
    await house.delegations.stop()
    kept = replace(house.store.rows["r1"], asked=7, questions={"q7": kept.questions["q1"]})
    house.delegations.stopping = False
    other = type(delegation)(kept, house.delegations, str)
    asking = asyncio.ensure_future(asyncio.wait_for(asyncio.gather(other.ask(may_i("rm")), other.ask(may_i("ls"))), 5))
    await until(other, lambda: len(other.open) == 2)
    assert {key: "ls" in one.question.params["message"] for key, one in other.open.items()} == {"q8": False, "q7": True}
    other.dismiss()
    await asking


async def test_when_too_many_are_open_or_it_is_to_end_a_question_is_refused(tmp_path):
    house = House(tmp_path, Agent(work=until_stopped))
    delegation = await house.begin()
    delegation.open.update({str(number): None for number in range(100)})
    with anyio.fail_after(5):
        answer = await delegation.ask(Question("elicitation/create", {"message": "?"}))
    assert answer.result == {"action": "cancel"}
    delegation.open.clear()
    await house.delegations.cancel("r1", None, "enough")


async def test_the_last_usage_is_kept_also_when_it_comes_while_another_is_written(tmp_path):
    def used(cost):
        return Used(AgentUsage(cost=cost, cost_source=CostSource.REPORTED))

    house = House(tmp_path, Agent(work=until_stopped))
    delegation = await house.begin()
    saved, gate = house.store.save, asyncio.Event()

    async def slow(kept):
        await gate.wait()
        await saved(kept)

    house.store.save = slow
    delegation.event(used(10))
    await asyncio.sleep(0)
    delegation.event(used(20))
    gate.set()
    with anyio.fail_after(5):
        while house.store.rows["r1"].usage.cost != 20:  # noqa: ASYNC110 - nobody tells when a write is over
            await asyncio.sleep(0)
    await house.delegations.cancel("r1", None, "enough")


async def test_what_was_used_before_a_restart_counts_before_the_agent_tells_anything(tmp_path):
    spent = AgentUsage(input_tokens=3, cost=70, cost_source=CostSource.REPORTED)
    house = House(tmp_path, Agent(work=until_stopped))
    delegation = await house.begin()
    delegation.before = spent
    assert delegation.total == spent
    delegation.usage = AgentUsage(input_tokens=1)
    assert (delegation.total.cost, delegation.total.cost_source) == (70, CostSource.REPORTED)
    await house.delegations.cancel("r1", None, "enough")
