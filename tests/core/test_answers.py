"""Answers of a person: actions, forms, choices, and what is wrong with the rest."""

import pytest

from mcp_orchestrator.core.answers import answer_of, choices, is_for_people
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


def test_only_elicitation_is_for_people():
    assert is_for_people(FORM)
    assert not is_for_people(Question("sampling/createMessage", {}))
    assert not is_for_people(Question("roots/list", {}))
