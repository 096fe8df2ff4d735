"""Questions are recognised cheaply and refused politely."""

from mcp_orchestrator.core.translate.questions import asked, declined, expired, may_ask
from mcp_orchestrator.model.call import ClientFace, Era
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


def test_a_question_that_nobody_answered_in_time_counts_as_dismissed():
    assert (expired(Question("elicitation/create", {})).result, declined(Question("roots/list", {})).by) == (
        {"action": "cancel"},
        "gateway",
    )
    assert expired(Question("roots/list", {})).by == "time"


def may(method, params, *, version="2025-11-25", **capabilities):
    return may_ask(ClientFace(Era.LEGACY, version, capabilities), Question(method, params))


def test_a_client_is_asked_only_what_it_declared():
    assert may("sampling/createMessage", {}, sampling={})
    assert may("roots/list", {}, roots={})
    assert not may("sampling/createMessage", {}, roots={})
    assert not may("roots/list", {})
    assert not may("vendor/ask", {}, sampling={})


def test_sampling_with_tools_is_an_ability_of_its_own():
    assert not may("sampling/createMessage", {"tools": []}, sampling={})
    assert not may("sampling/createMessage", {"toolChoice": {}}, sampling={"context": {}})
    assert may("sampling/createMessage", {"tools": [], "toolChoice": {}}, sampling={"tools": {}})


def test_elicitation_has_two_modes_since_2025_11_25():
    url = {"mode": "url"}
    assert may("elicitation/create", {}, elicitation={})
    assert may("elicitation/create", {"mode": "form"}, elicitation={"form": {}})
    assert not may("elicitation/create", {}, elicitation={"url": {}})
    assert not may("elicitation/create", url, elicitation={})
    assert may("elicitation/create", url, elicitation={"url": {}})
    assert not may("elicitation/create", url, version="2025-06-18", elicitation={"url": {}})
    assert not may("elicitation/create", {}, elicitation=1)
