"""What an agent asks reaches a person with the exact command, and the answer reaches the agent in its own terms."""

import pytest
from acp_kit import OPTIONS

from mcp_orchestrator.backends.acp_asking import asked_elicitation, asked_permission, refused
from mcp_orchestrator.model.conversation import Answer


def choose(option):
    return Answer({"action": "accept", "content": {"decision": option}})


def message(call, options=OPTIONS):
    return asked_permission("gem", {"options": options}, call, ()).question.params["message"]


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (
            {"kind": "execute", "title": "ls", "rawInput": {"command": "ls -l", "cwd": "/w"}},
            "run a command:\nls -l\nin /w",
        ),
        ({"kind": "execute", "title": "ls -l"}, "run a command:\nls -l"),
        (
            {"kind": "execute", "title": "Run", "rawInput": {"command": ["ls"]}},
            'run a command:\nRun\n{\n "command": [\n  "ls"\n ]\n}',
        ),
        (
            {
                "kind": "edit",
                "title": "Edit",
                "content": [{"type": "diff", "path": "a.py", "oldText": "x", "newText": "y"}],
            },
            "change a file:\nEdit\na.py\n-x\n+y",
        ),
        ({"kind": "delete", "locations": [{"path": "/w/a.py"}]}, "delete a file:\n/w/a.py"),
        (
            {"kind": "other", "title": "echo (probe MCP Server)", "rawInput": {"n": 1}},
            'use echo (probe MCP Server):\n{\n "n": 1\n}',
        ),
        ({"rawInput": "words"}, "use a tool:\nwords"),
        ({"content": [{"type": "content", "content": {"type": "text", "text": "why"}}]}, "use a tool:\nwhy"),
        ({}, "use a tool:\n(the agent does not say what exactly)"),
    ],
)
def test_the_exact_thing_is_shown(call, shown):
    assert message(call).startswith(f"gem wants to {shown}\n\n- yes: ")


def test_options_say_what_they_allow_in_the_agents_words_and_in_ours():
    text = message(
        {}, [*OPTIONS, {"optionId": "odd", "name": "Odd", "kind": "new"}, {"optionId": "bare"}, {"name": "x"}]
    )
    assert text.endswith(
        "- yes: Yes (allow this once)\n- ever: Always (allow it, and from now on without asking)\n"
        "- no: No (do not allow it)\n- odd: Odd\n- bare: bare"
    )


@pytest.mark.parametrize(
    ("answer", "outcome", "no"),
    [
        (choose("yes"), {"outcome": "selected", "optionId": "yes"}, False),
        (choose("no"), {"outcome": "selected", "optionId": "no"}, True),
        (choose("else"), {"outcome": "selected", "optionId": "no"}, True),
        (Answer({"action": "decline"}), {"outcome": "selected", "optionId": "no"}, True),
        (Answer({"action": "cancel"}), {"outcome": "cancelled"}, True),
        (Answer(code=-1, message="gone"), {"outcome": "selected", "optionId": "no"}, True),
    ],
)
def test_an_answer_becomes_an_outcome(answer, outcome, no):
    asked = asked_permission("gem", {"options": OPTIONS}, {}, ())
    assert asked.result(answer) == ({"outcome": outcome}, no)


def test_what_is_refused_without_an_option_for_it_is_cancelled():
    assert refused({"options": OPTIONS[:2]}) == {"outcome": {"outcome": "cancelled"}}
    assert refused({"options": "none"}) == {"outcome": {"outcome": "cancelled"}}


def test_an_elicitation_is_that_of_mcp_without_what_only_the_agent_needs():
    params = {
        "sessionId": "s",
        "mode": "url",
        "message": "Look",
        "url": "https://a.example",
        "elicitationId": "e",
        "_meta": {},
    }
    asked = asked_elicitation(params)
    wanted = {"mode": "url", "message": "Look", "url": "https://a.example", "elicitationId": "e"}
    assert (asked.question.method, asked.question.params) == ("elicitation/create", wanted)
    assert asked.result(Answer({"action": "accept"})) == ({"action": "accept"}, False)
    assert asked_elicitation({}).question.params["requestedSchema"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (Answer({"action": "accept", "content": {"a": 1}}), {"action": "accept", "content": {"a": 1}}),
        (Answer({"action": "decline"}), {"action": "decline"}),
        (Answer({"action": "cancel"}), {"action": "cancel"}),
        (Answer({"action": "shrug"}), {"action": "decline"}),
        (Answer(code=-1, message="gone"), {"action": "decline"}),
    ],
)
def test_an_answer_to_a_form_is_passed_on_well_formed(answer, result):
    assert asked_elicitation({"message": "?"}).result(answer)[0] == result
