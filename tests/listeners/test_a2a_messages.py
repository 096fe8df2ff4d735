import pytest

from mcp_orchestrator.listeners.a2a_messages import Reply, UnreadableError, Wishes, prompt_of, reply_of, wishes_of
from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.conversation import Question


def form(*fields, kind="string"):
    schema = {"type": "object", "properties": {name: {"type": kind} for name in fields}}
    return {"q1": Question("elicitation/create", {"mode": "form", "requestedSchema": schema})}


def text(words):
    return {"parts": [{"text": words}]}


@pytest.mark.parametrize(
    "part", [{"raw": "AAAA", "mediaType": "image/png"}, {"raw": "/w==", "mediaType": "text/plain"}, {}]
)
def test_parts_that_are_no_text_are_told(part):
    with pytest.raises(UnreadableError):
        prompt_of({"parts": [part]})


def test_the_message_goes_before_the_request():
    both = wishes_of(
        {"mcp_orchestrator": {"agent": "a", "labels": ["x"]}}, {"mcp_orchestrator": {"agent": "b"}, "other": 1}
    )
    assert both == Wishes("b", ("x",), AgentMode.READ)
    assert wishes_of(None, {}) == Wishes()


@pytest.mark.parametrize(
    "block",
    [
        "x",
        {"agent": 5},
        {"workspace": []},
        {"labels": "x"},
        {"labels": [1]},
        {"outputSchema": 1},
        {"mode": "rule"},
        {"colour": 1},
    ],
)
def test_wishes_of_another_form_are_told(block):
    with pytest.raises(ValueError, match="mcp_orchestrator"):
        wishes_of({"mcp_orchestrator": block})


def test_text_fills_the_one_field_of_a_form_and_json_fills_several():
    assert reply_of(text(" red "), form("colour")) == Reply("q1", "accept", content={"colour": "red"})
    assert reply_of(text('{"a": 1, "b": 2}'), form("a", "b")) == Reply("q1", "accept", content={"a": 1, "b": 2})
    assert reply_of(text('{"n": 1}'), form("n", kind="integer")).content == {"n": 1}
    assert reply_of(text("ok"), form()) == Reply("q1", "accept", content={})
    with pytest.raises(ValueError, match="a, b"):
        reply_of(text("both"), form("a", "b"))


def test_a_question_that_is_named_is_the_one_that_is_answered():
    questions = form("x") | {"q2": form("y")["q1"]}
    named = text("v") | {"metadata": {"mcp_orchestrator_question": {"request_id": "q2"}}}
    assert reply_of(named, questions) == Reply("q2", "accept", content={"y": "v"})
    with pytest.raises(LookupError, match="q1, q2"):
        reply_of(text("v") | {"metadata": {"mcp_orchestrator_question": {"question": "q7"}}}, questions)


def test_data_are_the_fields_or_an_answer_of_mcp():
    assert reply_of({"parts": [{"data": {"x": 1}}]}, form("x")) == Reply("q1", "accept", content={"x": 1})
    assert reply_of({"parts": [{"data": {"action": "decline"}}]}, form("x")) == Reply("q1", "decline")
    assert reply_of({"parts": [{"data": {"action": "cancel", "x": 1}}]}, form("x")).content == {
        "action": "cancel",
        "x": 1,
    }
    with pytest.raises(ValueError, match="content"):
        reply_of({"parts": [{"data": {"action": "accept", "content": 5}}]}, form("x"))
