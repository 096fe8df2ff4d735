import pytest

from mcp_orchestrator.backends.a2a_asking import REFUSAL, input_wanted, reply, sign_in_wanted
from mcp_orchestrator.backends.a2a_reading import Message, Part
from mcp_orchestrator.model.conversation import Answer

YES = Answer({"action": "accept", "content": {"decision": "b", "answer": "red"}})
NO = Answer({"action": "decline"})


def message(text="Which?", metadata=None, *parts):
    return Message("m", True, (Part(text=text), *parts), metadata or {})


def test_words_are_answered_in_words():
    asked = input_wanted("far", message())
    assert asked.question.params["message"] == "Which?"
    assert reply(asked, YES) == ([{"text": "red"}], {}, False)
    assert reply(asked, NO) == ([{"text": REFUSAL}], {}, True)
    assert reply(asked, Answer(None, -32603, "broken")) == ([{"text": REFUSAL}], {}, True)


def test_a_question_without_a_message_is_still_one():
    assert "far" in input_wanted("far", None).question.params["message"]


@pytest.mark.parametrize(
    "options", [["a", "b"], [{"optionId": "a", "label": "A"}, {"value": "b", "title": "B"}, {"name": "no id"}, 5]]
)
def test_options_of_other_servers_are_a_choice_and_answered_by_their_id(options):
    asked = input_wanted("far", message(metadata={"options": options}))
    assert asked.question.params["requestedSchema"]["properties"]["decision"]["enum"] == ["a", "b"]
    assert reply(asked, YES) == ([{"text": "b"}], {}, False)
    assert reply(asked, NO) == ([{"text": REFUSAL}], {}, True)


def test_the_form_of_another_gateway_is_passed_on_as_it_is():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    block = {"question": "q1", "requestedSchema": schema}
    asked = input_wanted("far", message(metadata={"mcp_orchestrator_question": block}))
    assert asked.question.params["requestedSchema"] == schema
    answer = Answer({"action": "accept", "content": {"n": 1}})
    back = {"mcp_orchestrator_question": {"question": "q1"}}
    assert reply(asked, answer) == ([{"data": {"action": "accept", "content": {"n": 1}}}], back, False)
    assert reply(asked, NO) == ([{"data": {"action": "decline"}}], back, True)


@pytest.mark.parametrize(
    ("text", "metadata", "data", "url"),
    [
        ("go to https://a.example/x?y=1.", {}, None, "https://a.example/x?y=1"),
        ("go", {"auth": {"auth_url": "https://b.example"}}, None, "https://b.example"),
        ("go", {}, {"verification_uri": "https://c.example"}, "https://c.example"),
        ("go", {"url": "javascript:alert(1)"}, None, None),
        ("go", {}, None, None),
    ],
)
def test_sign_in_is_an_address_of_the_web_or_a_form_without_fields(text, metadata, data, url):
    asked = sign_in_wanted("far", "t1", message(text, metadata, Part(data=data, has_data=True)))
    params = asked.question.params
    if url is None:
        assert params["mode"] == "form"
        assert params["requestedSchema"]["properties"] == {}
    else:
        assert (params["mode"], params["url"]) == ("url", url)


def test_sign_in_without_a_word_names_the_agent():
    assert "far" in sign_in_wanted("far", "t1", None).question.params["message"]
