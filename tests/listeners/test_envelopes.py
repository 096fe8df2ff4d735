"""JSON-RPC messages told apart, for any JSON value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.listeners.envelopes import (
    Malformed,
    Notification,
    Request,
    Response,
    is_request_id,
    read_message,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "1.0", 2]),
        "id": JSON,
        "method": JSON,
        "params": JSON,
        "result": JSON,
        "error": JSON,
    },
)


@given(JSON | MEMBERS)
def test_every_json_value_is_some_kind_of_message_and_requests_are_well_formed(value):
    message = read_message(value)
    if isinstance(message, Request):
        assert is_request_id(message.id)
        assert type(message.method) is str
        assert type(message.params) is dict
    elif isinstance(message, Response):
        assert (message.result is None) is not (message.error is None)
    elif isinstance(message, Malformed):
        assert message.text


def test_a_request_a_notification_and_a_response_are_told_apart():
    assert read_message({"jsonrpc": "2.0", "id": 1, "method": "ping"}) == Request(1, "ping", {})
    assert read_message({"jsonrpc": "2.0", "method": "n", "params": {"a": 1}}) == Notification("n", {"a": 1})
    assert read_message({"jsonrpc": "2.0", "id": "q1", "result": {}}) == Response("q1", {}, None)
    assert read_message({"jsonrpc": "2.0", "id": "q1", "error": {"code": 1}}) == Response("q1", None, {"code": 1})


@pytest.mark.parametrize("wrong", [None, True, 1.5, [], {}])
def test_an_id_that_is_no_string_or_integer_is_refused_without_an_id(wrong):
    message = read_message({"jsonrpc": "2.0", "id": wrong, "method": "ping"})
    assert isinstance(message, Malformed)
    assert message.id is None
    assert message.code == -32600


def test_wrong_members_are_refused_under_the_id_of_the_request():
    assert read_message({"jsonrpc": "1.0", "id": 7, "method": "ping"}).id == 7
    assert read_message({"jsonrpc": "2.0", "id": 7, "method": 1}).code == -32600
    refused = read_message({"jsonrpc": "2.0", "id": 7, "method": "ping", "params": [1]})
    assert (refused.id, refused.code) == (7, -32602)


@pytest.mark.parametrize(
    "members", [{}, {"result": {}, "error": {}}, {"result": 1}, {"error": "no"}, {"id": None, "result": {}}]
)
def test_a_malformed_response_names_no_id_because_the_peer_would_take_it_for_an_answer(members):
    refused = read_message({"jsonrpc": "2.0", "id": 3, **members})
    assert isinstance(refused, Malformed)
    assert refused.id is None
