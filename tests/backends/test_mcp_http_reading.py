import json

import pytest
from http_kit import Ears, RecordingTalk, spec
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.backends.http_connection import Response
from mcp_orchestrator.backends.mcp_handshake import RpcError
from mcp_orchestrator.backends.mcp_http_reading import Reading, read_result
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.plugin_api import ListChanged, LogLine, ResourceUpdated

SPEC = spec("http://127.0.0.1:1/mcp", max_result_bytes=100_000)
BIG = {"content": [{"type": "text", "text": "ä{}" * 100_000}], "isError": False}


def answer(body, pieces=1):
    response = Response()
    response.status = 200
    step = -(-len(body) // pieces)
    response.chunks = [body[start : start + step] for start in range(0, len(body), step)]
    response.size = len(body)
    return response


def envelope(result, ident=7, *, order=("jsonrpc", "id", "result"), **style):
    parts = {"jsonrpc": "2.0", "id": ident, "result": result}
    return json.dumps({key: parts[key] for key in order}, ensure_ascii=False, **style).encode()


def refused(body, ident=7):
    with pytest.raises(BackendError) as caught:
        read_result(SPEC, ident, answer(body))
    assert caught.value.kind is FailureKind.BAD_ANSWER
    assert caught.value.sent
    return caught.value.message


@pytest.mark.parametrize(
    "order", [("jsonrpc", "id", "result"), ("result", "id", "jsonrpc"), ("id", "result", "jsonrpc")]
)
def test_a_small_result_comes_out_as_its_own_bytes_in_any_order_of_keys(order):
    result, checked = read_result(SPEC, 7, answer(envelope({"a": None, "n": 1.0}, order=order)))
    assert result == b'{"a": null, "n": 1.0}'
    assert checked


@pytest.mark.parametrize(
    "order",
    [
        ("jsonrpc", "id", "result"),
        ("id", "jsonrpc", "result"),
        ("result", "jsonrpc", "id"),
        ("result", "id", "jsonrpc"),
        ("jsonrpc", "result", "id"),
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", " : ")])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_large_result_is_the_same_whether_cut_or_parsed(order, separators, pieces):
    body = envelope(BIG, order=order, separators=separators)
    result, checked = read_result(SPEC, 7, answer(body, pieces))
    assert json.loads(result) == BIG
    assert result == json.dumps(BIG, ensure_ascii=False, separators=separators).encode()
    assert checked is (order == ("jsonrpc", "result", "id"))


@pytest.mark.parametrize("order", [("jsonrpc", "id", "result"), ("result", "jsonrpc", "id")])
def test_a_large_answer_to_another_request_is_refused(order):
    assert "answered request 8 instead of 7" in refused(envelope(BIG, 8, order=order))


def test_small_answers_that_are_none_are_refused():
    assert "malformed JSON" in refused(b'{"jsonrpc":"2.0","id":7,"result":{}')
    assert "malformed JSON" in refused(b"[" * 100_000)
    assert "answered request '8'" in refused(envelope({}, 8))
    assert "answered request" in refused(envelope({}, "7"))
    assert "no JSON object" in refused(envelope([]))
    assert "no JSON object" in refused(b'{"jsonrpc":"2.0","id":7}')
    assert "not UTF-8" in refused(b'{"jsonrpc":"2.0","id":7,"result":{"a":"\xff"}}')


@pytest.mark.parametrize("ident", ["7", "null"])
def test_an_error_is_passed_on_even_when_the_server_did_not_read_the_id(ident):
    body = b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32602,"message":"no","data":{"x":1}}}' % ident.encode()
    with pytest.raises(RpcError) as caught:
        read_result(SPEC, 7, answer(body))
    assert (caught.value.code, caught.value.message, caught.value.data) == (-32602, "no", {"x": 1})


@given(st.integers(1, 300))
def test_a_stream_cut_anywhere_gives_its_notifications_in_order_and_then_the_result(step):
    messages = [
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 7, "progress": 1}},
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 9, "progress": 5}},
        {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}},
        {"jsonrpc": "2.0", "method": "notifications/acme", "params": {"k": [1]}},
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 7, "progress": 2}},
        {"jsonrpc": "2.0", "id": 7, "result": {"done": "ä"}},
    ]
    wire = b"".join(b": ping\nevent: message\ndata: %b\n\n" % json.dumps(message).encode() for message in messages)
    talk = RecordingTalk()
    reading = Reading(SPEC, 7, talk, Ears().opening())
    flags = [reading.feed(wire[start : start + step]) for start in range(0, len(wire), step)]
    assert flags[-1] or flags[-2]
    assert json.loads(reading.result()) == {"done": "ä"}
    assert talk.said == [
        ("progress", {"progress": 1}),
        ("notifications/message", {"level": "info", "data": "x"}),
        ("notifications/acme", {"k": [1]}),
        ("progress", {"progress": 2}),
    ]


def test_what_belongs_to_no_call_goes_to_the_outside_and_requests_of_the_server_are_noted():
    ears = Ears()
    reading = Reading(SPEC, 7, None, ears.opening())
    for method, params in [
        ("notifications/tools/list_changed", {}),
        ("notifications/resources/updated", {"uri": "a:b"}),
        ("notifications/message", {"level": "info", "data": "x"}),
        ("notifications/subscriptions/acknowledged", {}),
        ("notifications/bad", []),
    ]:
        message = json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode()
        assert not reading.feed(b"data: " + message + b"\n\n")
    assert not reading.feed(b'data: {"jsonrpc":"2.0","id":1,"method":"roots/list"}\n\n')
    assert ears.events == [
        ListChanged(OfferKind.TOOL),
        ResourceUpdated({"uri": "a:b"}),
        LogLine({"level": "info", "data": "x"}),
    ]
    assert "malformed notification" in ears.notes[0]
    assert "roots/list" in ears.notes[1]


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (b"data: {\n\n", "no JSON-RPC message"),
        (b'data: {"jsonrpc":"2.0","id":8,"result":{}}\n\n', "answered request '8'"),
        (b"data: " + b"x" * 100_001, "larger than 100000 bytes"),
    ],
)
def test_a_stream_that_breaks_the_rules_is_a_bad_answer(wire, text):
    with pytest.raises(BackendError) as caught:
        Reading(SPEC, 7, None, Ears().opening()).feed(wire)
    assert caught.value.kind is FailureKind.BAD_ANSWER
    assert text in caught.value.message


def test_an_error_on_a_stream_is_raised_when_the_result_is_taken():
    reading = Reading(SPEC, 7, None, Ears().opening())
    assert reading.feed(b'data: {"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"no"}}\n\n')
    with pytest.raises(RpcError):
        reading.result()
