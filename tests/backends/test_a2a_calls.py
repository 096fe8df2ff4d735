import json

import anyio
import pytest
from a2a_fake import agent
from http_raw import raw_server

from mcp_orchestrator.backends.a2a_calls import NOT_CANCELABLE, TASK_NOT_FOUND, A2aCalls, pool_of
from mcp_orchestrator.backends.a2a_card import Interface
from mcp_orchestrator.backends.http_pool import Endpoint
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

pytestmark = pytest.mark.anyio


async def asked(script, use, *, binding="JSONRPC", version="1.0", tenant="", user="", **spec):
    with anyio.fail_after(10):
        async with raw_server(script) as server:
            url = server.url.replace("://", f"://{user}@") if user else server.url
            own = agent(url, **spec).spec
            pool = pool_of(own, Endpoint.parse(url))
            try:
                result = await use(A2aCalls(own, Interface(url, binding, version, tenant), pool))
            finally:
                await pool.aclose()
            return result, server.requests


def replying(value, **how):
    return lambda request: request.reply(json.dumps(value).encode(), **how)


async def test_json_rpc_carries_method_tenant_and_version():
    _, (request,) = await asked(
        replying({"jsonrpc": "2.0", "id": 1, "result": {}}), lambda calls: calls.look("a/b"), tenant="t1"
    )
    assert request.json == {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "a/b", "tenant": "t1"}}
    assert request.headers["a2a-version"] == "1.0"


async def test_http_json_has_the_task_and_the_tenant_in_its_path():
    _, (request,) = await asked(replying({}), lambda calls: calls.cancel("a/b"), binding="HTTP+JSON", tenant="t 1")
    assert (request.method, request.target) == ("POST", "/mcp/t%201/tasks/a%2Fb:cancel")
    _, (request,) = await asked(replying({}), lambda calls: calls.look("x"), binding="HTTP+JSON")
    assert (request.method, request.target, request.body) == ("GET", "/mcp/tasks/x", b"")


async def test_messages_have_the_form_of_their_version():
    def both(calls):
        return calls.message([{"text": "x"}, {"data": [1]}], "c", "", {"k": 1})

    async def use(calls):
        return both(calls)

    new, _ = await asked(replying({}), use)
    old, _ = await asked(replying({}), use, version="0.3")
    assert (new["role"], new["parts"], new["contextId"], "taskId" in new) == (
        "ROLE_USER",
        [{"text": "x"}, {"data": [1]}],
        "c",
        False,
    )
    assert (old["role"], old["kind"]) == ("user", "message")
    assert old["parts"] == [{"kind": "text", "text": "x"}, {"kind": "data", "data": {"value": [1]}}]


async def test_credentials_in_the_address_are_sent_unless_headers_have_their_own():
    _, (request,) = await asked(replying({}), lambda calls: calls.look("x"), user="ada:pw")
    assert request.headers["authorization"] == "Basic YWRhOnB3"
    _, (request,) = await asked(
        replying({}), lambda calls: calls.look("x"), user="ada:pw", headers=[("Authorization", "Bearer t0ken")]
    )
    assert request.headers["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize(
    ("binding", "error", "how", "code"),
    [
        ("JSONRPC", {"code": -32001, "message": "no"}, {}, TASK_NOT_FOUND),
        ("JSONRPC", {"code": -32603, "data": [{"reason": "TASK_NOT_CANCELABLE"}]}, {}, NOT_CANCELABLE),
        ("HTTP+JSON", {"code": 404, "message": "no"}, {"status": "404 Not Found"}, TASK_NOT_FOUND),
        (
            "HTTP+JSON",
            {"code": 409, "details": [{"reason": "TASK_NOT_CANCELABLE"}]},
            {"status": "409 Conflict"},
            NOT_CANCELABLE,
        ),
        ("HTTP+JSON", {"code": "odd"}, {"status": "400 Bad Request"}, 400),
    ],
)
async def test_errors_of_either_binding_have_the_codes_of_json_rpc(binding, error, how, code):
    with pytest.raises(BackendError) as caught:
        await asked(replying({"error": error}, **how), lambda calls: calls.cancel("x"), binding=binding)
    assert (caught.value.code, caught.value.kind) == (code, FailureKind.BACKEND_ERROR)


@pytest.mark.parametrize("body", [b"", b"hello", b"[1]", b"null"])
async def test_an_answer_that_is_no_object_is_a_bad_answer(body):
    with pytest.raises(BackendError) as caught:
        await asked(lambda request: request.reply(body), lambda calls: calls.look("x"))
    assert caught.value.kind is FailureKind.BAD_ANSWER


async def test_a_stream_may_be_answered_in_one_piece_and_events_end_when_no_more_is_wanted():
    heard = []

    def hear(value, raw):
        heard.append(value)
        return value == {"last": 1}

    await asked(replying({"jsonrpc": "2.0", "id": 1, "result": {"one": 1}}), lambda calls: calls.subscribe("x", hear))

    def stream(request):
        request.start_events()
        for result in ({"first": 1}, {"last": 1}):
            request.event({"jsonrpc": "2.0", "id": 1, "result": result})

    await asked(stream, lambda calls: calls.subscribe("x", hear))
    assert heard == [{"one": 1}, {"first": 1}, {"last": 1}]


async def test_an_error_in_a_stream_and_an_event_that_is_too_large_end_it(monkeypatch):
    def broken(request):
        request.start_events()
        request.event({"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "boom"}})

    with pytest.raises(BackendError, match="boom"):
        await asked(broken, lambda calls: calls.subscribe("x", lambda *_: False))
    monkeypatch.setattr("mcp_orchestrator.backends.a2a_calls.MOST_BYTES", 100)

    def flood(request):
        request.start_events()
        request.event({"text": "x" * 500})

    with pytest.raises(BackendError, match="sent too much"):
        await asked(flood, lambda calls: calls.subscribe("x", lambda *_: False))


async def test_a_header_that_cannot_be_sent_is_named_without_its_value():
    with pytest.raises(BackendError, match="X-Key") as caught:
        await asked(replying({}), lambda calls: calls.look("x"), headers=[("X-Key", "bad\nvalue")])
    assert "value" not in caught.value.message.replace("values", "")
