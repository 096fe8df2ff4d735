import asyncio
from dataclasses import replace

import pytest

from mcp_orchestrator.agent_api import Glimpse
from mcp_orchestrator.listeners.a2a_tasks import (
    artifacts_of,
    context_of,
    options_of,
    stamp,
    state_of,
    status_of,
    updates,
)
from mcp_orchestrator.model.agent import AgentMode, AgentUsage, Ended, EndStatus, ToolUse
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.delegation import Delegated, DelegationState

KEPT = Delegated("r1", "coder", "codex", "task", AgentMode.READ, "ada", updated=1_764_000_000.25)
FORM = Question(
    "elicitation/create", {"mode": "form", "message": "?", "requestedSchema": {"properties": {"x": {}, "y": {}}}}
)
URL = Question("elicitation/create", {"mode": "url", "message": "?", "url": "https://x/"})


def seen(text="", questions=None, tools=(), **kept):
    return Glimpse(replace(KEPT, **kept), text, questions or {}, tools, AgentUsage(), asyncio.Event())


WORKING = {"state": DelegationState.WORKING}


@pytest.mark.parametrize(
    ("glimpse", "state"),
    [
        (seen(), "TASK_STATE_SUBMITTED"),
        (seen(state=DelegationState.STARTING), "TASK_STATE_WORKING"),
        (seen(questions={"q": FORM}, **WORKING), "TASK_STATE_INPUT_REQUIRED"),
        (seen(questions={"q": URL}, **WORKING), "TASK_STATE_AUTH_REQUIRED"),
        (seen(questions={"q": URL, "r": FORM}, **WORKING), "TASK_STATE_INPUT_REQUIRED"),
        (seen(questions={"q": FORM}, ended=Ended(EndStatus.COMPLETED)), "TASK_STATE_COMPLETED"),
    ],
)
def test_states(glimpse, state):
    assert state_of(glimpse) == state


def test_a_run_without_a_context_is_its_own_and_times_have_their_zone():
    assert (context_of(seen()), context_of(seen(context="c"))) == ("r1", "c")
    assert stamp(0.25) == "1970-01-01T00:00:00.250Z"


def test_the_first_open_question_is_the_one_that_is_shown():
    status = status_of(seen(questions={"q1": FORM, "q2": URL}, **WORKING))
    assert status["message"]["messageId"] == "r1-q1"
    assert "options" not in status["message"]["metadata"]["mcp_orchestrator_question"]


def test_nothing_is_final_before_the_end_and_tool_calls_are_no_files():
    assert artifacts_of(seen("half", **WORKING), None) == []
    tools = [
        ToolUse("t", "bash", output={"url": "https://x/"}),
        ToolUse("f", "artifact", output={"name": "big", "bytes": 9}),
    ]
    assert artifacts_of(seen(tools=tools, ended=Ended(EndStatus.COMPLETED)), None) == []


def states(events):
    return [
        one["statusUpdate"]["status"]["state"].removeprefix("TASK_STATE_") for one in events if "statusUpdate" in one
    ]


def test_words_are_told_as_they_come_and_words_that_were_cut_from_the_front_again():
    events = updates(seen("ab", **WORKING), seen("abcd", **WORKING), None)
    assert [one["statusUpdate"]["status"]["message"]["parts"] for one in events] == [[{"text": "cd"}]]
    assert len(updates(seen("ab", **WORKING), seen("b cd", **WORKING), None)) == 1
    assert updates(seen("ab", **WORKING), seen("ab", **WORKING), None) == []


def test_a_run_that_begins_and_ends_between_two_looks_was_working():
    assert states(updates(seen(), seen("x", ended=Ended(EndStatus.COMPLETED, "x")), None)) == ["WORKING", "COMPLETED"]


def test_a_question_after_a_question_is_told():
    before, now = seen(questions={"q1": FORM}, **WORKING), seen(questions={"q2": FORM}, **WORKING)
    assert states(updates(before, now, None)) == ["INPUT_REQUIRED"]
    assert states(updates(before, seen("go on", **WORKING), None)) == ["WORKING"]
    assert states(updates(before, seen(**WORKING), None)) == ["WORKING"]


def test_options_are_those_of_a_form_with_one_choice():
    def form(**fields):
        return Question("elicitation/create", {"requestedSchema": {"type": "object", "properties": fields}})

    assert options_of(form(x={"enum": ["a", "b"]})) == {"a": "a", "b": "b"}
    assert options_of(form(x={"oneOf": [{"const": "a", "title": "A"}, 5]})) == {"a": "A"}
    assert options_of(form(x={"enum": ["a"], "enumNames": []})) == {"a": "a"}
    for other in (form(), form(x={"type": "string"}), form(x={"enum": ["a"]}, y={}), form(x=5), URL):
        assert options_of(other) == {}
