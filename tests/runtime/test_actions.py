"""What the command line asks is answered in plain JSON."""

import json

import anyio
import pytest
from engines import FakeBackend, whole

from mcp_orchestrator.model.call import Era, Principal
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.outcome import Completed
from mcp_orchestrator.runtime.actions import Actions

pytestmark = pytest.mark.anyio


def table(made):
    return Actions(made.gateway, Principal("local:t")).table()


async def test_every_answer_is_plain_json(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        actions = table(made)
        asked = {"name": "one__echo", "arguments": {"a": 1}}
        for action, args in {
            "tools.list": {},
            "tools.show": asked,
            "tools.call": asked,
            "plan": asked,
            "backends.list": {},
            "backends.show": {"name": "one"},
            "backends.restart": {"name": "one"},
        }.items():
            assert json.dumps(await actions[action](args)), action


async def test_tools_are_listed_with_both_names(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        line = (await table(made)["tools.list"]({}))["tools"][0]
        assert (line["public"], line["dotted"], line["backend"]) == ("one__echo", "one.echo", "one")


async def test_a_profile_narrows_what_is_listed_and_an_unknown_one_is_named(tmp_path):
    async with whole(tmp_path, FakeBackend("one"), FakeBackend("two")) as made:
        assert len((await table(made)["tools.list"]({"profile": "narrow"}))["tools"]) == 1
        with pytest.raises(LookupError, match="did you mean 'narrow'"):
            await table(made)["tools.list"]({"profile": "narow"})


async def test_a_plan_explains_and_calls_nothing(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        answer = await table(made)["plan"]({"name": "one__echo"})
        assert answer["target"] == {"backend": "one", "name": "echo", "timeout": 300.0}
        assert answer["reasons"][0]["step"] == "identity"
        assert (await table(made)["plan"]({"name": "two__x", "arguments": {}}))["target"] is not None
        assert backend.sessions[0].invocations == []


async def test_a_call_gives_its_run_and_its_outcome(tmp_path):
    async with whole(tmp_path, FakeBackend("one"), FakeBackend("two")) as made:
        answer = await table(made)["tools.call"]({"name": "one__echo", "arguments": {}})
        assert "result" in answer["outcome"]
        assert answer["run"]
        missing = await table(made)["tools.call"]({"name": "nope", "arguments": {}})
        assert missing["outcome"]["error"]["kind"] == "unknown_name"


async def test_an_unknown_backend_is_named_with_a_suggestion(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        with pytest.raises(LookupError, match="did you mean 'one'"):
            await table(made)["backends.show"]({"name": "onee"})


async def test_bad_input_is_a_value_error(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        for args in ({}, {"name": 7}, {"name": "one__echo", "arguments": [1]}):
            with pytest.raises(ValueError, match="must be"):
                await table(made)["tools.call"](args)


async def test_a_known_tool_does_not_wait_for_servers_that_are_still_unknown(tmp_path):
    slow = FakeBackend("two")
    async with whole(tmp_path, FakeBackend("one"), slow) as made:
        made.supervisor("two").record.offers.clear()
        made.supervisor("two").settled.clear()
        made.gateway.generation.offers_changed()
        with anyio.fail_after(1):
            assert (await table(made)["tools.show"]({"name": "one__echo"}))["backend"] == "one"


async def test_a_question_that_nobody_can_answer_is_declined_and_told(tmp_path):
    async def ask(_invocation, talk):
        answer = await talk.ask(Question("elicitation/create", {"message": "Who?"}))
        return Completed(json.dumps(answer.result).encode(), Era.LEGACY)

    async with whole(tmp_path, FakeBackend("one", play=ask)) as made:
        answer = await table(made)["tools.call"]({"name": "one__echo"})
        assert answer["declined"] == ["Who?"]
        assert answer["outcome"]["result"]["action"] == "decline"
