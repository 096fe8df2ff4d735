"""Both eras on a pipe: the first request decides, and the other era is told so."""

import json

import anyio
import pytest
from listener_wire import initialize, modern_body, piping, request

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.plugin_api import ListChanged, LogLine, ResourceUpdated

pytestmark = pytest.mark.anyio


def call(tool, arguments=None, key=1, **meta):
    return request("tools/call", {"name": tool, "arguments": arguments or {}, "_meta": meta}, key)


def modern_call(tool, arguments=None, key=1, **meta):
    return modern_body("tools/call", {"name": tool, "arguments": arguments or {}}, key, **meta)


def cancel(key):
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": key}}


async def test_a_modern_connection_answers_and_refuses_the_handshake():
    async with piping() as piped:
        discovered = await piped.ask(modern_body("server/discover"))
        assert discovered["result"]["supportedVersions"] == ["2026-07-28"]
        refused = await piped.ask(initialize())
        assert refused["error"]["code"] == -32022
        told = {"kind": "invalid", "retryable": False, "supported": ["2026-07-28"]}
        assert refused["error"]["data"] == {**told, "requested": "2025-11-25"}
        assert (await piped.ask(request("initialize", {})))["error"]["data"] == told
        for method, code in (
            ("ping", -32601),
            ("logging/setLevel", -32601),
            ("notifications/x", -32601),
            ("no", -32601),
        ):
            assert (await piped.ask(modern_body(method)))["error"]["code"] == code
        assert (await piped.ask(request("tools/list")))["error"]["code"] == -32602
        for kind in OfferKind:
            assert kind.value in (await piped.ask(modern_body(kind.list_method)))["result"]
        assert (await piped.ask(modern_body("tools/list", {"cursor": 1})))["error"]["code"] == -32602
        version = {"io.modelcontextprotocol/protocolVersion": "2031-01-01"}
        assert (await piped.ask(modern_body("tools/list", **version)))["error"]["code"] == -32022
        assert (await piped.ask(modern_body("tools/call", {})))["error"]["code"] == -32602
        assert (await piped.ask(modern_call("echo", {"a": 1})))["result"]["resultType"] == "complete"
        piped.send({"jsonrpc": "2.0", "id": "q1", "result": {}})  # nobody asked; nothing happens
        assert (await piped.ask(modern_call("ask")))["result"]["content"][0]["text"] == "null"
        assert piped.gateway.calls[0].principal.id.startswith("local:")


async def test_a_client_that_gave_its_probe_up_may_still_begin_with_initialize():
    async with piping() as piped:
        piped.gateway.hold_face = anyio.Event()
        piped.send(modern_body("server/discover", key="server-discover-probe-1"))
        piped.send(initialize())
        piped.send(call("echo", {"a": 1}, key=9))
        piped.gateway.hold_face.set()
        answers = {answer["id"]: answer for answer in [await piped.receive() for _ in range(3)]}
        assert answers[0]["result"]["protocolVersion"] == "2025-11-25"
        assert answers[9]["result"]["content"][0]["text"] == '{"a": 1}'
        assert piped.gateway.calls[0].client.era is Era.LEGACY


async def test_a_legacy_connection_needs_initialize_and_refuses_modern_requests():
    async with piping(profile="reviewer") as piped:
        assert (await piped.ask(call("echo")))["error"]["code"] == -32600
        assert (await piped.ask(request("ping")))["result"] == {}
        assert (await piped.ask(request("initialize", {})))["error"]["code"] == -32602
        assert (await piped.ask(initialize("2025-06-18")))["result"]["protocolVersion"] == "2025-06-18"
        assert (await piped.ask(initialize()))["error"]["code"] == -32600
        assert (await piped.ask(modern_call("echo")))["error"]["code"] == -32600
        assert (await piped.ask(request("server/discover")))["error"]["code"] == -32601
        assert (await piped.ask(call("echo", {"a": 1})))["result"]["content"][0]["text"] == '{"a": 1}'
        made = piped.gateway.calls[0]
        assert (made.profile, made.client.session in piped.gateway.opened) == ("reviewer", True)
    assert piped.gateway.closed == [made.client.session]


async def test_a_request_right_behind_initialize_finds_the_session():
    async with piping() as piped:
        piped.gateway.hold_face = anyio.Event()
        piped.send(initialize())
        piped.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert (await piped.ask(call("echo")))["id"] == 1
        piped.gateway.tell(ListChanged(OfferKind.TOOL))
        piped.gateway.hold_face.set()
        assert (await piped.receive())["id"] == 0
        assert (await piped.receive())["method"] == "notifications/tools/list_changed"


async def test_a_batch_right_behind_initialize_finds_the_session_too():
    async with piping() as piped:
        piped.gateway.hold_face = anyio.Event()
        piped.send(initialize("2025-03-26"))
        assert [one["id"] for one in await piped.ask([call("echo", key=1), request("ping", key=2)])] == [1, 2]
        piped.gateway.hold_face.set()
        assert (await piped.receive())["id"] == 0


@pytest.mark.parametrize("modern", [True, False])
async def test_a_cancelled_request_gets_no_answer_and_others_go_on(modern):
    make = modern_call if modern else call
    async with piping() as piped:
        if not modern:
            await piped.ask(initialize())
        with anyio.fail_after(5):
            piped.send(make("wait", key=5))
            await piped.gateway.entered.wait()
            piped.send(cancel([]))
            piped.send(cancel("5"))
            assert (await piped.ask(make("echo", key=6)))["id"] == 6
            assert not piped.gateway.over.is_set()
            piped.send(cancel(5))
            await piped.gateway.over.wait()
            assert (await piped.ask(make("echo", key=7)))["id"] == 7


@pytest.mark.parametrize("modern", [True, False])
async def test_what_a_run_says_comes_before_its_result(modern):
    make = modern_call if modern else call
    async with piping() as piped:
        if not modern:
            await piped.ask(initialize())
        piped.send(make("steps", {"count": 3}, progressToken="t"))
        got = [await piped.receive() for _ in range(4)]
        assert [one["params"] for one in got[:3]] == [{"progress": n, "progressToken": "t"} for n in range(3)]
        assert "result" in got[3]


async def test_nothing_a_backend_says_can_break_a_line():
    evil = '{"x":1}\n{"jsonrpc":"2.0","id":99,"result":{}}'
    async with piping() as piped:
        answer = await piped.ask(modern_call("smuggle", {"bytes": evil}))
        assert (answer["id"], answer["error"]["code"]) == (1, -32603)
        pretty = await piped.ask(modern_call("smuggle", {"bytes": '{\n"x":\r\n1}'}))
        assert pretty["result"] == {"x": 1}
        assert (await piped.ask(modern_call("echo", key=2)))["id"] == 2


async def test_a_subscription_on_a_pipe_is_heard_until_it_is_cancelled():
    async with piping() as piped:
        listen = modern_body("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, key="l")
        acknowledged = await piped.ask(listen)
        assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
        assert (await piped.ask(listen))["error"]["code"] == -32602
        assert (await piped.ask(modern_body("subscriptions/listen", {}, key="m")))["error"]["code"] == -32602
        for event in (ListChanged(OfferKind.PROMPT), ResourceUpdated({"uri": "u"}), ListChanged(OfferKind.TOOL)):
            piped.gateway.tell(event)
        heard = await piped.receive()
        assert heard["method"] == "notifications/tools/list_changed"
        assert heard["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": "l"}
        piped.send(cancel("l"))
        assert (await piped.ask(modern_call("echo")))["id"] == 1
        assert piped.gateway.watchers == []


async def test_subscriptions_end_with_their_result_when_the_listener_stops():
    async with piping() as piped:
        await piped.ask(modern_body("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, key="l"))
        await piped.listener.stop(1)
        assert (await piped.receive())["id"] == "l"
        assert await piped.receive() is None


async def test_a_legacy_client_is_asked_on_the_pipe_and_hears_events_there():
    async with piping() as piped:
        await piped.ask(initialize(capabilities={"elicitation": {}, "roots": {}}))
        question = await piped.ask(call("ask"))
        assert question["method"] == "elicitation/create"
        answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}}
        assert json.loads((await piped.ask(answer))["result"]["content"][0]["text"])["result"] == {"action": "decline"}
        piped.gateway.tell(LogLine({"level": "info"}))
        assert (await piped.receive())["method"] == "notifications/message"
        await piped.ask(request("logging/setLevel", {"level": "error"}))
        piped.gateway.tell(LogLine({"level": "info"}))
        piped.gateway.tell(ListChanged(OfferKind.RESOURCE))
        assert (await piped.receive())["method"] == "notifications/resources/list_changed"
        piped.send({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"})
        with anyio.fail_after(5):
            await piped.gateway.told.wait()


async def test_batches_are_answered_in_one_line_where_the_version_has_them():
    batch = [call("echo", key=1), request("ping", key=2), {"jsonrpc": "2.0", "method": "notifications/initialized"}]
    async with piping() as piped:
        assert (await piped.ask(batch))["error"]["code"] == -32600
        await piped.ask(initialize("2025-03-26"))
        assert [one["id"] for one in await piped.ask(batch)] == [1, 2]
        piped.send([batch[2]])
        assert (await piped.ask([]))["error"]["code"] == -32600
    async with piping() as piped:
        await piped.ask(initialize("2025-11-25"))
        assert (await piped.ask(batch))["error"]["code"] == -32600
