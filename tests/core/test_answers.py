"""Answers of a person: actions, forms, choices, and what is wrong with the rest."""

import pytest

from mcp_orchestrator.core.answers import answer_of, choices, gist, is_for_people
from mcp_orchestrator.model.conversation import Question

SCHEMA = {
    "type": "object",
    "properties": {
        "town": {"type": "string", "minLength": 2},
        "count": {"type": "integer", "default": 3},
        "decision": {
            "type": "string",
            "oneOf": [{"const": "once", "title": "Once"}, {"const": "never", "title": "No"}],
        },
    },
    "required": ["town", "decision"],
}
FORM = Question("elicitation/create", {"message": "?", "requestedSchema": SCHEMA})
TEXT = {"type": "text", "text": "Paris"}
SAMPLING = Question("sampling/createMessage", {"messages": [{"role": "user", "content": TEXT}], "maxTokens": 9})
TOOLED = Question(
    "sampling/createMessage",
    {**SAMPLING.params, "tools": [{"name": "weather"}], "toolChoice": {"mode": "required"}},
)
ROOTS = Question("roots/list", {})
URL = Question("elicitation/create", {"mode": "url", "url": "https://a.example"})


def answered(question, action, **more):
    return answer_of(question, action, by="cli", **more)


def test_a_form_is_filled_in_from_defaults_fields_and_the_option():
    answer = answered(FORM, "accept", content={"town": "Paris"}, option="once")
    assert answer.result == {"action": "accept", "content": {"town": "Paris", "count": 3, "decision": "once"}}
    assert answer.by == "cli"


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_refusal_needs_nothing_and_takes_nothing(action):
    assert answered(FORM, action).result == {"action": action}
    with pytest.raises(ValueError, match="neither"):
        answered(FORM, action, content={})


def test_an_address_is_agreed_to_as_it_is():
    assert answered(URL, "accept").result == {"action": "accept"}
    with pytest.raises(ValueError, match="address"):
        answered(URL, "accept", option="x")


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "does not fit"),
        ({"content": {"town": "x", "decision": "once"}}, "at /town"),
        ({"content": {"town": "Paris"}, "option": "often"}, "there are: once, never"),
    ],
)
def test_what_does_not_fit_the_form_is_said(more, text):
    with pytest.raises(ValueError, match=text):
        answered(FORM, "accept", **more)


def test_an_option_needs_a_form_with_one_choice():
    form = Question("elicitation/create", {"requestedSchema": {"type": "object", "properties": {"a": {"enum": ["x"]}}}})
    assert answered(form, "accept", option="x").result["content"] == {"a": "x"}
    two = {"properties": {"a": {"enum": ["x"]}, "b": {"enum": ["x"]}}}
    for schema, count in ((two, 2), ({}, 0), (None, 0), ({"properties": []}, 0)):
        with pytest.raises(ValueError, match=f"this one has {count}"):
            answered(Question("elicitation/create", {"requestedSchema": schema}), "accept", option="x")


def test_unknown_actions_are_refused():
    with pytest.raises(ValueError, match="accept, decline, cancel"):
        answered(FORM, "maybe")


def test_choices_are_those_of_one():
    assert choices({"enum": ["a", "b"]}) == ["a", "b"]
    assert choices({"type": "string", "oneOf": [{"const": "a"}, {"title": "none"}]}) == ["a"]
    assert choices({"type": "array", "items": {"enum": ["a"]}}) == []
    assert choices("text") == []


def test_what_people_can_answer():
    assert is_for_people(FORM)
    assert is_for_people(SAMPLING)
    assert is_for_people(ROOTS)
    assert not is_for_people(Question("tasks/get", {}))
    assert gist(Question("elicitation/create", {"message": "Which town?"})) == "Which town?"
    assert ("sampling" in gist(SAMPLING), "roots" in gist(ROOTS)) == (True, True)


@pytest.mark.parametrize(
    ("given", "result"),
    [
        ({"content": TEXT}, {"role": "assistant", "model": "a person", "content": TEXT}),
        (
            {
                "content": {"type": "image", "data": "AA==", "mimeType": "image/png"},
                "model": "m",
                "stopReason": "endTurn",
            },
            {
                "role": "assistant",
                "model": "m",
                "content": {"type": "image", "data": "AA==", "mimeType": "image/png"},
                "stopReason": "endTurn",
            },
        ),
    ],
)
def test_a_person_may_answer_for_a_model(given, result):
    assert answered(SAMPLING, "accept", content=given).result == result


def test_a_person_may_have_the_model_use_an_offered_tool():
    uses = {"type": "tool_use", "id": "1", "name": "weather", "input": {"city": "Paris"}}
    result = answered(TOOLED, "accept", content={"content": [TEXT, uses]}).result
    assert (result["content"], result["stopReason"]) == ([TEXT, uses], "toolUse")
    plain = Question("sampling/createMessage", {**TOOLED.params, "toolChoice": {"mode": "auto"}})
    assert answered(plain, "accept", content={"content": TEXT}).result["stopReason"] == "endTurn"


@pytest.mark.parametrize(
    ("question", "given", "text"),
    [
        (SAMPLING, None, "content is a block"),
        (SAMPLING, {"content": "Paris"}, "content is a block"),
        (SAMPLING, {"content": {"type": "text"}}, "text of a block of type text must be a string"),
        (SAMPLING, {"content": {"type": "audio", "data": "AA=="}}, "mimeType of a block of type audio"),
        (SAMPLING, {"content": {"type": ["text"], "text": "x"}}, "content is a block"),
        (SAMPLING, {"content": [TEXT]}, "no array"),
        (SAMPLING, {"content": TEXT, "role": "system"}, "role assistant"),
        (SAMPLING, {"content": TEXT, "model": 7}, "a model, which is a string"),
        (SAMPLING, {"content": {"type": "tool_use", "id": "1", "name": "weather", "input": {}}}, "content is a block"),
        (TOOLED, {"content": TEXT}, "required"),
        (
            TOOLED,
            {"content": {"type": "tool_use", "id": "1", "name": "rain", "input": {}}},
            "the server offers: weather",
        ),
        (TOOLED, {"content": {"type": "tool_use", "id": "1", "name": "weather", "input": 7}}, "must be an object"),
        (ROOTS, None, "are given as"),
        (ROOTS, {"roots": "file:///a"}, "are given as"),
        (ROOTS, {"roots": [{"uri": "https://a.example"}]}, "begins with file://"),
        (ROOTS, {"roots": ["file:///a"]}, "begins with file://"),
        (ROOTS, {"roots": [{"uri": "file:///a", "name": 7}]}, "name of a root"),
    ],
)
def test_what_no_server_could_take_is_said(question, given, text):
    with pytest.raises(ValueError, match=text):
        answered(question, "accept", content=given)


def test_a_server_that_forbids_tools_gets_none():
    forbids = Question("sampling/createMessage", {**TOOLED.params, "toolChoice": {"mode": "none"}})
    uses = {"type": "tool_use", "id": "1", "name": "weather", "input": {}}
    with pytest.raises(ValueError, match="forbidden"):
        answered(forbids, "accept", content={"content": uses})


def test_roots_are_given_as_they_are_and_refused_as_none():
    roots = {"roots": [{"uri": "file:///home/ada", "name": "Home"}]}
    assert answered(ROOTS, "accept", content=roots).result == roots
    assert answered(ROOTS, "decline").result == {"roots": []}


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_refused_sampling_is_the_error_of_a_user_who_rejects_it(action):
    answer = answered(SAMPLING, action)
    assert (answer.result, answer.code, answer.by) == (None, -1, "cli")
    with pytest.raises(ValueError, match="neither"):
        answered(SAMPLING, action, content={"content": TEXT})


def test_an_option_is_for_forms():
    for question in (SAMPLING, ROOTS):
        with pytest.raises(ValueError, match="forms with one choice"):
            answered(question, "accept", option="x")
