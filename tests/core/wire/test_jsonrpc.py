import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.wire.jsonrpc import (
    ABSENT,
    NULL,
    decode,
    encode,
    error_bytes,
    notification_bytes,
    open_envelope,
    open_error,
    request_bytes,
    result_bytes,
)

DEEP = 100_000
IDS = st.integers() | st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=4)


@given(JSON)
def test_what_is_encoded_reads_back_as_it_was_here_and_in_the_standard_library(value):
    assert decode(encode(value)) == value
    assert json.loads(encode(value)) == value


@given(IDS, st.text(), OBJECTS)
def test_a_request_opens_with_its_parameters_left_as_bytes(request_id, method, params):
    envelope = open_envelope(request_bytes(request_id, method, params))
    assert (envelope.jsonrpc, envelope.id, envelope.method) == ("2.0", request_id, method)
    assert isinstance(envelope.params, msgspec.Raw)
    assert decode(envelope.params) == params
    assert envelope.result == envelope.error == ABSENT


@given(IDS, OBJECTS)
def test_a_result_is_wrapped_and_never_written_anew(request_id, result):
    raw = json.dumps(result, indent=1).encode()  # spelled as we would not
    message = result_bytes(request_id, raw)
    assert raw in message
    assert bytes(open_envelope(message).result) == raw
    assert json.loads(message) == {"jsonrpc": "2.0", "id": request_id, "result": result}


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (request_bytes(1, "ping", None), {"jsonrpc": "2.0", "id": 1, "method": "ping"}),
        (notification_bytes("n", None), {"jsonrpc": "2.0", "method": "n"}),
        (notification_bytes("n", {"a": 1}), {"jsonrpc": "2.0", "method": "n", "params": {"a": 1}}),
        (error_bytes("x", -1, "no"), {"jsonrpc": "2.0", "id": "x", "error": {"code": -1, "message": "no"}}),
        (error_bytes(None, -1, "no", 0), {"jsonrpc": "2.0", "id": None, "error": {"code": -1, "message": "no", "data": 0}}),
    ],
)  # fmt: skip
def test_members_that_are_not_given_are_left_out(message, wanted):
    assert json.loads(message) == wanted


def test_an_integer_keeps_every_digit():
    large = 2**200 + 1
    assert decode(encode({"n": large})) == {"n": large}


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"NaN", b"[Infinity]", b'{"a": 1} x', b'"\\ud800"', b'"\xff"', b"[" * DEEP + b"]" * DEEP],
)
def test_what_is_not_json_is_a_value_error_however_it_is_wrong(text):
    with pytest.raises(ValueError, match=r"\S"):
        decode(text)


@pytest.mark.parametrize("value", [{"a": "\ud800"}, {1: {2, 3}, (4,): 5}, object()])
def test_what_cannot_be_json_is_a_value_error(value):
    with pytest.raises(ValueError, match=r"\S"):
        encode(value)


def test_encoding_what_is_nested_too_deeply_is_a_value_error():
    deep = []
    for _ in range(DEEP):
        deep = [deep]
    with pytest.raises(ValueError, match=r"\S"):
        encode(deep)
    while deep:  # taken apart by hand: the interpreter would recurse
        deep = deep[0]


@pytest.mark.parametrize(
    "text",
    [b"[]", b"1", b"{", b'{"id": []}', b'{"method": 1}', b'{"jsonrpc": 2}', b'{"params": ' + b"[" * DEEP + b"}"],
)
def test_an_envelope_of_the_wrong_form_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"\S"):
        open_envelope(text)


def test_members_that_we_do_not_know_do_not_stand_in_the_way():
    envelope = open_envelope(b'{"jsonrpc":"2.0","method":"m","id":7,"x":{"y":1},"params":{"k": 1 }}')
    assert (envelope.method, envelope.id, bytes(envelope.params)) == ("m", 7, b'{"k": 1 }')


@pytest.mark.parametrize(
    ("raw", "code", "message", "data"),
    [
        (b'{"code": -32602, "message": "wrong", "data": {"a": null}}', -32602, "wrong", {"a": None}),
        (b'{"code": 1}', 1, "", None),
        (b'{"code": 1, "data": null}', 1, "", NULL),
        (b'"just text"', 0, '"just text"', None),
        (b'{"code": "x"}', 0, '{"code": "x"}', None),
        (b"\xff" * 300, 0, "\ufffd" * 200, None),
    ],
)
def test_a_malformed_error_still_says_what_the_other_side_wrote(raw, code, message, data):
    error = open_error(raw)
    assert (error.code, error.message, error.data) == (code, message, data)
