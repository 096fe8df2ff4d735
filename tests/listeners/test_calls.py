"""Wire requests become calls, or precise refusals."""

import pytest

from mcp_orchestrator.listeners.calls import to_call
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era, Principal
from mcp_orchestrator.model.outcome import Failed

FACE = ClientFace(Era.MODERN, "2026-07-28")
ADA = Principal("local:ada")


@pytest.mark.parametrize(
    ("method", "params", "kind", "name"),
    [
        ("tools/call", {"name": "t", "arguments": {"a": 1}}, CallKind.TOOL, "t"),
        ("prompts/get", {"name": "p", "arguments": {"a": "b"}}, CallKind.PROMPT, "p"),
        ("resources/read", {"uri": "u:1"}, CallKind.RESOURCE, "u:1"),
        ("resources/subscribe", {"uri": "u:1"}, CallKind.SUBSCRIPTION, "u:1"),
        ("resources/unsubscribe", {"uri": "u:1"}, CallKind.SUBSCRIPTION, "u:1"),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}},
            CallKind.COMPLETION,
            "p",
        ),
        (
            "completion/complete",
            {"ref": {"type": "ref/resource", "uri": "u:{x}"}, "argument": {"name": "a", "value": ""}},
            CallKind.COMPLETION,
            "u:{x}",
        ),
        ("tasks/get", {"taskId": "t"}, CallKind.TASK, "t"),
        ("tasks/update", {"taskId": "t", "inputResponses": {}}, CallKind.TASK, "t"),
        ("tasks/cancel", {"taskId": 7}, CallKind.TASK, ""),
        ("tasks/result", {"taskId": "t"}, CallKind.TASK, "t"),
        ("tasks/list", {}, CallKind.TASK, ""),
        ("vendor/thing", {"name": 5, "x": [1]}, CallKind.EXTENSION, ""),
    ],
)
def test_a_method_decides_kind_and_name(method, params, kind, name):
    call = to_call(method, dict(params), FACE, ADA, profile="reviewer")
    assert isinstance(call, Call)
    assert (call.kind, call.name, call.params, call.profile) == (kind, name, params, "reviewer")
    assert call.principal is ADA


def test_meta_leaves_the_parameters_and_keeps_only_what_travels_on():
    meta = {
        "progressToken": 7,
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/logLevel": "debug",
        "traceparent": "00-1",
        "vendor/x": {"y": None},
    }
    call = to_call("tools/call", {"name": "t", "unknown": 1, "_meta": meta}, FACE, ADA, log_level="debug")
    assert isinstance(call, Call)
    assert call.params == {"name": "t", "unknown": 1}
    assert call.meta == {"traceparent": "00-1", "vendor/x": {"y": None}}
    assert call.wants_progress
    assert call.log_level == "debug"


@pytest.mark.parametrize("token", [True, None, 1.5, {}])
def test_a_progress_token_that_is_no_string_or_integer_asks_for_nothing(token):
    call = to_call("tools/call", {"name": "t", "_meta": {"progressToken": token}}, FACE, ADA)
    assert isinstance(call, Call)
    assert not call.wants_progress


def test_null_arguments_mean_the_same_as_none():
    for method in ("tools/call", "prompts/get"):
        call = to_call(method, {"name": "t", "arguments": None}, FACE, ADA)
        assert isinstance(call, Call)
        assert call.params == {"name": "t"}


@pytest.mark.parametrize(
    ("method", "params", "says"),
    [
        ("tools/call", {}, "name must be a string"),
        ("tools/call", {"name": 1}, "name must be a string"),
        ("tools/call", {"name": "t", "arguments": []}, "arguments must be an object"),
        ("tools/call", {"name": "t", "_meta": 1}, "_meta must be an object"),
        ("prompts/get", {"name": None}, "name must be a string"),
        ("prompts/get", {"name": "p", "arguments": "x"}, "arguments must be an object"),
        ("prompts/get", {"name": "p", "arguments": {"a": 1}}, "argument 'a' must be a string"),
        ("resources/read", {"uri": 1}, "resources/read: uri must be a string"),
        ("resources/subscribe", {}, "resources/subscribe: uri must be a string"),
        ("resources/read", {"uri": "u:1", "_meta": {"mcp-orchestrator/range": {"offset": -1}}}, "offset must be"),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}}, "argument must be"),
        ("completion/complete", {"ref": 1, "argument": {"name": "a", "value": "b"}}, "ref must be"),
        ("completion/complete", {"ref": {"type": []}, "argument": {"name": "a", "value": "b"}}, "ref must be"),
        ("completion/complete", {"ref": {"type": "ref/x"}, "argument": {"name": "a", "value": "b"}}, "ref must be"),
        ("completion/complete", {"ref": {"type": "ref/prompt"}, "argument": {"name": "a", "value": "b"}}, "ref must"),
    ],
)
def test_wrong_parameters_are_refused_in_words_that_name_the_member(method, params, says):
    refused = to_call(method, params, FACE, ADA)
    assert isinstance(refused, Failed)
    assert refused.code == -32602
    assert says in refused.message
