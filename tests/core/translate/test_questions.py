"""Questions are recognised cheaply and refused politely."""

from mcp_orchestrator.core.translate.questions import asked, declined
from mcp_orchestrator.model.conversation import Question


def test_a_plain_result_asks_nothing():
    assert asked(b'{"content":[]}') is None
    assert asked(b'{"content":[{"text":"\\"input_required\\""}],"resultType":"complete"}') is None


def test_the_questions_of_an_input_required_result_are_read_with_its_state():
    body = (
        b'{"resultType":"input_required","requestState":"S",'
        b'"inputRequests":{"a":{"method":"elicitation/create","params":{"message":"?"}},"b":{"method":"roots/list"}}}'
    )
    questions, state = asked(body)
    assert state == "S"
    assert questions["a"] == Question("elicitation/create", {"message": "?"})
    assert questions["b"] == Question("roots/list", {})


def test_nobody_to_ask_is_a_well_formed_decline():
    assert declined(Question("elicitation/create", {})).result == {"action": "decline"}
    assert declined(Question("roots/list", {})).result == {"roots": []}
    assert declined(Question("sampling/createMessage", {})).code == -1
