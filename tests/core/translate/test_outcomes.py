"""Within an era results pass byte for byte; across eras only what the specifications differ in changes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.translate.outcomes import http_status, to_client
from mcp_orchestrator.core.wire.jsonrpc import NULL
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, ToolRefusal

MODERN = ClientFace(Era.MODERN, "2026-07-28")
LEGACY = ClientFace(Era.LEGACY, "2025-11-25")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
KEYS = st.text().filter(lambda key: key not in {"resultType", "ttlMs", "cacheScope", "structuredContent"})


def member(outcome, client, method="tools/call"):
    return json.loads(b"{" + to_client(outcome, method, client) + b"}")


@given(st.binary())
def test_within_an_era_the_bytes_are_the_bytes(body):
    for client in (MODERN, LEGACY):
        assert to_client(Completed(body, client.era), "tools/call", client) == b'"result":' + body


@given(st.dictionaries(KEYS, JSON, max_size=5))
def test_across_eras_every_field_survives_and_the_result_type_comes_and_goes(result):
    body = json.dumps(result).encode("utf-8", "surrogatepass")
    try:
        json.loads(body).items()
        body.decode("utf-8")
    except UnicodeDecodeError:
        return
    there = member(Completed(body, Era.LEGACY), MODERN)
    assert there == {"result": {**result, "resultType": "complete"}}
    back = member(Completed(json.dumps(there["result"]).encode(), Era.MODERN), LEGACY)
    assert back == {"result": result}


def test_a_legacy_read_gets_the_cache_fields_that_modern_clients_require():
    result = member(Completed(b'{"contents":[]}', Era.LEGACY), MODERN, "resources/read")["result"]
    assert result == {"contents": [], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def test_structured_content_that_is_no_object_reaches_legacy_clients_as_text():
    body = b'{"content":[],"structuredContent":[1,2],"resultType":"complete"}'
    assert member(Completed(body, Era.MODERN), LEGACY)["result"] == {"content": [{"type": "text", "text": "[1,2]"}]}


def test_questions_are_not_passed_to_a_client_that_cannot_read_them():
    body = b'{"resultType":"input_required","inputRequests":{}}'
    assert "error" in member(Completed(body, Era.MODERN), LEGACY)


@pytest.mark.parametrize("kind", ['"weird"', '"task"', "5", "null", '""'])
def test_a_result_of_a_kind_that_nobody_knows_does_not_seem_complete_to_a_legacy_client(kind):
    body = b'{"content":[],"resultType":%b}' % kind.encode()
    error = member(Completed(body, Era.MODERN), LEGACY)["error"]
    assert error["code"] == -32603
    assert kind in error["message"]
    assert member(Completed(body, Era.MODERN), MODERN)["result"] == {"content": [], "resultType": json.loads(kind)}


def test_a_backends_error_passes_untouched():
    failed = Failed(FailureKind.BACKEND_ERROR, -32099, "no", {"deep": [None]})
    assert member(failed, MODERN) == {"error": {"code": -32099, "message": "no", "data": {"deep": [None]}}}
    bare = Failed(FailureKind.BACKEND_ERROR, -32099, "no")
    assert member(bare, LEGACY) == {"error": {"code": -32099, "message": "no"}}


def test_a_legacy_not_found_has_the_modern_code_for_modern_clients():
    failed = Failed(FailureKind.BACKEND_ERROR, -32002, "Resource not found", {"uri": "a://b"})
    assert member(failed, MODERN, "resources/read")["error"]["code"] == -32602
    assert member(failed, LEGACY, "resources/read")["error"]["code"] == -32002


def test_our_own_failures_say_whether_repeating_is_safe():
    failed = Failed(FailureKind.UNAVAILABLE, -32603, "down", retryable=True)
    assert member(failed, MODERN)["error"]["data"] == {"kind": "unavailable", "retryable": True}


def test_a_refusal_is_a_tool_result_that_the_model_can_read():
    assert member(ToolRefusal("bad"), LEGACY)["result"] == {
        "content": [{"type": "text", "text": "bad"}],
        "isError": True,
    }
    assert member(ToolRefusal("bad"), MODERN)["result"]["resultType"] == "complete"


@pytest.mark.parametrize(
    ("code", "status"), [(-32601, 404), (-32602, 400), (-32700, 400), (-32022, 400), (-32603, 200), (-32000, 200)]
)
def test_error_codes_have_their_http_status(code, status):
    assert http_status(Failed(FailureKind.INVALID, code, "")) == status


def test_a_result_is_a_200():
    assert http_status(Completed(b"{}", Era.MODERN)) == 200


def test_our_own_failures_say_their_kind_beside_what_else_is_known():
    failed = Failed(FailureKind.UNAVAILABLE, -32603, "m", {"httpStatus": 429}, retryable=True)
    assert member(failed, MODERN)["error"]["data"] == {"kind": "unavailable", "retryable": True, "httpStatus": 429}
    theirs = Failed(FailureKind.BACKEND_ERROR, 1, "m", {"a": 1})
    assert member(theirs, MODERN)["error"]["data"] == {"a": 1}


def test_a_null_that_a_server_wrote_as_data_is_kept():
    assert member(Failed(FailureKind.BACKEND_ERROR, 1, "m", NULL), MODERN)["error"] == {
        "code": 1,
        "message": "m",
        "data": None,
    }
