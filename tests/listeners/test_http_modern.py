"""The modern era on the wire: the ladder, the methods, JSON or events, subscriptions, disconnects."""

import asyncio
import json

import anyio
import anyio.lowlevel
import pytest
from fake_gateway import FakeGateway
from hypothesis import given, settings
from hypothesis import strategies as st
from listener_wire import BOTH, META, Events, events_of, modern_body, modern_headers, raw_request, serving

from mcp_orchestrator.listeners.envelopes import Request
from mcp_orchestrator.listeners.http_modern import check_request
from mcp_orchestrator.listeners.mcp_subscriptions import wanted_of
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.outcome import Failed
from mcp_orchestrator.plugin_api import ListChanged, LogLine, ResourceUpdated

pytestmark = pytest.mark.anyio


async def test_a_call_is_answered_with_json_under_its_own_id():
    async with serving() as served:
        for key in (7, "seven", 2**80):
            reply = await served.call("echo", {"a": None}, key=key)
            assert reply.status_code == 200
            assert reply.headers["content-type"] == "application/json"
            assert reply.json()["id"] == key
            assert reply.json()["result"]["resultType"] == "complete"
        call = served.gateway.calls[0]
        assert call.client == ClientFace(Era.MODERN, "2026-07-28", {}, {"name": "wire", "version": "1"})
        assert (call.name, call.params["arguments"], call.principal.id) == ("echo", {"a": None}, "anonymous")


async def test_discover_says_what_we_are_and_which_versions_we_serve():
    async with serving() as served:
        result = (await served.modern("server/discover")).json()["result"]
    assert result["supportedVersions"] == ["2026-07-28"]
    assert result["resultType"] == "complete"
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"] == {"name": "fake", "version": "1"}
    assert result["instructions"] == "be kind"
    assert {"ttlMs", "cacheScope", "capabilities"} <= result.keys()


@pytest.mark.parametrize("kind", list(OfferKind))
async def test_lists_come_from_the_gateway_and_wrong_cursors_are_invalid(kind):
    async with serving() as served:
        assert kind.value in (await served.modern(kind.list_method)).json()["result"]
        for cursor in (5, "nonsense"):
            reply = await served.modern(kind.list_method, {"cursor": cursor})
            assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32602)


@pytest.mark.parametrize(
    "method",
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "notifications/x", "no"],
)
async def test_methods_that_this_era_has_not_are_not_found(method):
    async with serving() as served:
        reply = await served.modern(method, {"uri": "u:1"})
        assert reply.status_code == 404
        assert reply.json()["error"]["code"] == -32601
        assert reply.json()["id"] == 1


async def test_gateway_errors_have_the_status_of_their_code():
    async with serving() as served:
        for code, status in ((-32021, 400), (-32602, 400), (-32601, 404), (-32603, 200), (-5, 200)):
            reply = await served.call("fail", {"code": code, "data": {"x": 1}})
            assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
            assert reply.json()["error"]["data"] == {"x": 1}
        refused = (await served.call("refuse")).json()["result"]
        assert (refused["isError"], refused["resultType"]) == (True, "complete")


async def test_params_of_a_wrong_shape_are_invalid():
    async with serving() as served:
        reply = await served.modern("tools/call", {"name": "echo", "arguments": []})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32602)
        reply = await served.modern("tools/call", {})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32602)
        assert served.gateway.calls == []


async def post(served, body, **headers):
    sent = {**modern_headers(body), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await served.client.post(
        served.url, json=body, headers={name: value for name, value in sent.items() if value is not None}
    )


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"mcp_method": "tools/list"}, -32020),
        ({"mcp_method": None}, -32020),
        ({"mcp_method": "TOOLS/CALL"}, -32020),
        ({"mcp_name": "other"}, -32020),
        ({"mcp_name": None}, -32020),
        ({"mcp_name": "=?base64?###?="}, -32020),
        ({"mcp_protocol_version": "2099-01-01"}, -32020),
    ],
)
async def test_headers_that_disagree_with_the_body_are_refused(headers, code):
    async with serving() as served:
        reply = await post(served, modern_body("tools/call", {"name": "echo"}, key="k"), **headers)
        assert (reply.status_code, reply.json()["error"]["code"], reply.json()["id"]) == (400, code, "k")
        assert served.gateway.calls == []


async def test_headers_are_read_as_http_says():
    async with serving() as served:
        body = modern_body("tools/call", {"name": "echo"})
        head = modern_headers(body) | {"mcp-name": "  echo \t", "content-type": "application/json"}
        assert (await raw_request(served.url, "POST", head, json.dumps(body).encode()))[0] == 200
        assert (await post(served, body, mcp_name="=?base64?ZWNobw==?=")).status_code == 200
        assert (await post(served, body, accept="application/*, text/*;q=0.5")).status_code == 200
        assert (await post(served, body, accept="*/*")).status_code == 200
        assert (await post(served, body, content_type="application/json; charset=utf-8")).status_code == 200


async def test_a_routing_header_that_comes_twice_is_refused():
    async with serving() as served:
        body = modern_body("tools/call", {"name": "echo"})
        for name in ("mcp-name", "mcp-method", "mcp-protocol-version"):
            headers = [*modern_headers(body).items(), (name, modern_headers(body)[name])]
            reply = await served.client.post(served.url, json=body, headers=headers)
            assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32020)
            assert name in reply.json()["error"]["message"]


async def test_an_unknown_version_is_told_which_are_served():
    async with serving() as served:
        body = modern_body("server/discover", key=9, **{"io.modelcontextprotocol/protocolVersion": "v999"})
        reply = await post(served, body, mcp_protocol_version="v999")
        assert reply.status_code == 400
        assert reply.json()["id"] == 9
        assert reply.json()["error"]["code"] == -32022
        told = {"supported": ["2026-07-28"], "requested": "v999", "kind": "invalid", "retryable": False}
        assert reply.json()["error"]["data"] == told


@pytest.mark.parametrize("left_out", ["protocolVersion", "clientCapabilities"])
async def test_an_incomplete_envelope_is_invalid(left_out):
    async with serving() as served:
        body = modern_body("server/discover", key=3)
        del body["params"]["_meta"][f"io.modelcontextprotocol/{left_out}"]
        reply = await post(served, body)
        assert (reply.status_code, reply.json()["error"]["code"], reply.json()["id"]) == (400, -32602, 3)
        del body["params"]["_meta"]
        assert (await post(served, body)).json()["error"]["code"] == -32602


@given(
    version=st.sampled_from([b"2026-07-28", b"x", None]),
    method=st.sampled_from([b"tools/call", b"x", None]),
    name=st.sampled_from([b"t", b"=?base64?dA==?=", b"x", None]),
    meta=st.sampled_from([META, {}, None, {**META, "io.modelcontextprotocol/clientCapabilities": 1}]),
)
def test_the_ladder_passes_exactly_what_agrees_with_itself(version, method, name, meta):
    pairs = zip((b"mcp-protocol-version", b"mcp-method", b"mcp-name"), (version, method, name), strict=True)
    raw = [(key, value) for key, value in pairs if value is not None]
    verdict = check_request(Request(1, "tools/call", {"name": "t", "_meta": meta}), raw, dict(raw))
    agrees = version == b"2026-07-28" and method == b"tools/call" and name in (b"t", b"=?base64?dA==?=")
    assert isinstance(verdict, ClientFace) is (agrees and meta is META)
    if isinstance(verdict, Failed):
        complete = meta is not None and len(meta) == 3
        assert verdict.code == (-32602 if not complete or agrees else -32020)


async def test_annotated_arguments_must_agree_with_their_headers():
    async with serving() as served:
        body = modern_body("tools/call", {"name": "region", "arguments": {"region": "eu"}})
        assert (await post(served, body, mcp_param_region="eu")).status_code == 200
        for wrong in ({"mcp_param_region": "us"}, {}):
            reply = await post(served, body, **wrong)
            assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32020)
        twice = [*modern_headers(body).items(), ("mcp-param-region", "eu"), ("mcp-param-region", "eu")]
        assert (await served.client.post(served.url, json=body, headers=twice)).json()["error"]["code"] == -32020
        unnamed = modern_body("tools/call", {"arguments": {}})
        assert (await post(served, unnamed)).json()["error"]["code"] == -32602


@pytest.mark.parametrize("body", [b"[]", b"[{}]", b"1", b"null", b'{"jsonrpc":"2.0","id":true,"method":"ping"}'])
async def test_a_body_that_is_no_single_message_is_refused(body):
    async with serving() as served:
        headers = {"accept": BOTH, "mcp-protocol-version": "2026-07-28", "content-type": "application/json"}
        reply = await served.client.post(served.url, content=body, headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"], reply.json()["id"]) == (400, -32600, None)
        reply = await served.client.post(served.url, content=b'{"jsonrpc":', headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"], reply.json()["id"]) == (400, -32700, None)
        answer = {"jsonrpc": "2.0", "id": 1, "result": {}}
        assert (await served.client.post(served.url, json=answer, headers=headers)).status_code == 400


async def test_notifications_are_taken_at_a_served_version_only():
    async with serving() as served:
        body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        headers = {"accept": BOTH, "mcp-protocol-version": "2026-07-28"}
        reply = await served.client.post(served.url, json=body, headers=headers)
        assert (reply.status_code, reply.content) == (202, b"")
        reply = await served.client.post(served.url, json=body, headers={**headers, "mcp-protocol-version": "x"})
        assert (reply.status_code, reply.json()["error"]["code"], reply.json()["id"]) == (400, -32022, None)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "text/html", ""])
async def test_a_client_must_read_both_forms_of_a_reply(accept):
    async with serving() as served:
        assert (await post(served, modern_body("server/discover"), accept=accept)).status_code == 406


async def test_other_http_methods_are_told_what_is_allowed():
    async with serving() as served:
        for method in ("GET", "DELETE", "PUT", "OPTIONS"):
            reply = await served.client.request(method, served.url, headers={"mcp-protocol-version": "2026-07-28"})
            assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


async def test_progress_turns_the_reply_into_events_in_order():
    async with serving() as served:
        reply = await served.call("steps", {"count": 50}, progressToken=5)
        events = events_of(reply.content)
        assert reply.headers["content-type"] == "text/event-stream"
        assert [event["params"]["progress"] for event in events[:-1]] == list(range(50))
        assert {event["params"]["progressToken"] for event in events[:-1]} == {5}
        assert events[-1]["result"]["resultType"] == "complete"
        assert (await served.call("steps")).headers["content-type"] == "application/json"


async def test_log_lines_need_the_requests_own_level():
    async with serving() as served:
        assert (await served.call("talk")).headers["content-type"] == "application/json"
        events = events_of((await served.call("talk", **{"io.modelcontextprotocol/logLevel": "warning"})).content)
        assert [event["params"]["level"] for event in events[:-1]] == ["warning", "error"]
        assert served.gateway.calls[1].log_level == "warning"


async def test_results_that_break_lines_stay_one_event_or_become_an_error():
    async with serving() as served:
        events = events_of((await served.call("pretty", progressToken=1)).content)
        assert events[-1]["result"] == {"content": [], "resultType": "complete"}
        smuggled = '{"a":1}\n\ndata: {"jsonrpc":"2.0","id":1,"result":{}}'
        reply = await served.call("smuggle", {"bytes": smuggled})
        assert reply.headers["content-type"] == "application/json"


async def test_a_megabyte_arrives_whole():
    async with serving() as served:
        reply = await served.call("big", {"size": 1_000_000})
        assert len(reply.json()["result"]["content"][0]["text"]) == 1_000_000


async def test_modern_clients_are_not_asked():
    async with serving() as served:
        meta = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
        reply = await served.call("ask", **meta)
        assert json.loads(reply.json()["result"]["content"][0]["text"]) is None


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_client_that_leaves_cancels_its_run(streaming):
    async with serving() as served:
        body = modern_body("tools/call", {"name": "wait"}, progressToken=1)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.split(":")[2].split("/")[0]))
        data = json.dumps(body).encode()
        head = "".join(f"{name}: {value}\r\n" for name, value in modern_headers(body).items())
        length = f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        with anyio.fail_after(5):
            writer.write(f"POST /mcp HTTP/1.1\r\nhost: localhost\r\n{head}{length}".encode() + data)
            await served.gateway.entered.wait()
            if streaming:
                port_of(served).notify("notifications/progress", {"progress": 1})
                await reader.readuntil(b"progressToken")
            writer.close()
            await served.gateway.over.wait()
        assert served.gateway.runs[0].reason == "client disconnected"


def port_of(served):
    return served.gateway.ports[-1]


async def test_many_calls_at_once_get_their_own_answers():
    async with serving() as served, anyio.create_task_group() as group:

        async def one(number):
            reply = await served.call("echo", {"n": number}, key=number)
            assert reply.json()["id"] == number
            assert json.loads(reply.json()["result"]["content"][0]["text"]) == {"n": number}

        for number in range(100):
            group.start_soon(one, number)


async def test_a_subscription_is_acknowledged_then_hears_only_what_it_asked_for():
    async with serving() as served:
        wanted = {"toolsListChanged": True, "promptsListChanged": False, "resourceSubscriptions": ["u:1"], "x": 1}
        body = modern_body("subscriptions/listen", {"notifications": wanted}, key="sub")
        with anyio.fail_after(5):
            async with served.streaming(body) as reply:
                assert reply.headers["content-type"] == "text/event-stream"
                events = Events(reply)
                first = await events.next()
                assert first["method"] == "notifications/subscriptions/acknowledged"
                assert first["params"]["notifications"] == {"toolsListChanged": True, "resourceSubscriptions": ["u:1"]}
                for event in (
                    ListChanged(OfferKind.PROMPT),
                    ListChanged(OfferKind.RESOURCE),
                    LogLine({"level": "error"}),
                    ResourceUpdated({"uri": "u:2"}),
                    ResourceUpdated({"uri": "u:1"}),
                    ListChanged(OfferKind.TOOL),
                ):
                    served.gateway.tell(event)
                heard = [await events.next(), await events.next()]
                assert [one["method"] for one in heard] == [
                    "notifications/resources/updated",
                    "notifications/tools/list_changed",
                ]
                for one in (first, *heard):
                    assert one["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": "sub"}
                subscribed = served.gateway.calls[0]
                assert (subscribed.method, subscribed.name) == ("resources/subscribe", "u:1")
                session = subscribed.client.session
            while session not in served.gateway.closed:
                await anyio.lowlevel.checkpoint()
        assert served.gateway.watchers == []


@pytest.mark.parametrize("wanted", [None, [], {"toolsListChanged": 1}, {"resourceSubscriptions": [1]}])
async def test_a_malformed_subscription_is_invalid(wanted):
    async with serving() as served:
        reply = await served.modern("subscriptions/listen", {"notifications": wanted})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32602)


async def test_subscriptions_are_bounded_in_number():
    async with serving(max_sessions=1) as served:
        body = modern_body("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        with anyio.fail_after(5):
            async with served.streaming(body) as reply:
                events = Events(reply)
                await events.next()
                refused = await served.client.post(served.url, json=body, headers=modern_headers(body))
                assert refused.json()["error"]["code"] == -32603


async def test_a_subscriber_that_stops_reading_is_ended_and_heard_no_more():
    gateway = FakeGateway()
    async with serving(gateway) as served:
        body = modern_body("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        with anyio.fail_after(5):
            async with served.streaming(body) as reply:
                events = Events(reply)
                await events.next()
                for _ in range(3000):  # in one turn of the loop: nothing is read in between
                    gateway.tell(ListChanged(OfferKind.TOOL))
                assert gateway.watchers == []
                seen = 0
                while (event := await events.next())["method" if "method" in event else "id"] != 1:
                    seen += 1
                assert event["result"]["resultType"] == "complete"
                assert seen == 1024


@settings(max_examples=25)
@given(st.lists(st.sampled_from([True, False, None]), min_size=3, max_size=3))
def test_what_is_acknowledged_is_what_was_asked(flags):

    names = ("toolsListChanged", "promptsListChanged", "resourcesListChanged")
    asked = {name: flag for name, flag in zip(names, flags, strict=True) if flag is not None}
    assert wanted_of(Request(1, "subscriptions/listen", {"notifications": asked})) == {
        name: True for name, flag in asked.items() if flag
    }
