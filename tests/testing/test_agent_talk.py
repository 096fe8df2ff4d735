"""The stand-in for the delegation that an agent works for."""

import anyio
import pytest

from mcp_orchestrator.model.agent import Text, Thought
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk, choosing

pytestmark = pytest.mark.anyio

OTHER = Question("elicitation/create", {"mode": "form", "requestedSchema": {"type": "object", "properties": {}}})


def permission(*options):
    properties = {"decision": {"type": "string", "enum": list(options)}}
    return Question("elicitation/create", {"requestedSchema": {"type": "object", "properties": properties}})


async def test_it_keeps_what_it_is_told_in_order():
    talk = FakeAgentTalk()
    talk.event(Text("a"), b"raw")
    talk.event(Thought("b"))
    await talk.bound("s", "t")
    assert (talk.of(Text), talk.raws, talk.bindings) == ([Text("a")], [b"raw", None], [("s", "t")])


async def test_without_an_answer_everything_is_declined():
    talk = FakeAgentTalk()
    assert (await talk.ask(OTHER)).result == {"action": "decline"}
    assert talk.questions == [OTHER]


async def test_answers_come_at_once_or_later():
    async def later(_question):
        return Answer({"action": "cancel"})

    assert (await FakeAgentTalk(later).ask(OTHER)).result == {"action": "cancel"}
    assert (await FakeAgentTalk(choosing("allow")).ask(permission("allow"))).result["content"] == {"decision": "allow"}


async def test_an_option_that_is_not_offered_is_not_chosen():
    assert choosing("allow")(permission("deny")).result == {"action": "decline"}
    assert choosing("allow")(OTHER).result == {"action": "decline"}


async def test_it_tells_when_something_holds():
    talk = FakeAgentTalk()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk.until, lambda: talk.of(Text) and talk.bindings)
            talk.event(Text("a"))
            await talk.bound("s")
