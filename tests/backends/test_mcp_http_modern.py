import asyncio
import json

import anyio
import pytest
from http_kit import (
    DISCOVERY,
    LEGACY_CLIENT,
    MODERN_CLIENT,
    Conversation,
    Ears,
    RecordingTalk,
    reference,
    spec,
    tool_call,
    until,
)
from http_raw import raw_server

from mcp_orchestrator.backends.mcp_http import HttpBackend
from mcp_orchestrator.core.wire.headers import param_headers, x_mcp_header_map
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.plugin_api import ListChanged, ResourceUpdated

pytestmark = pytest.mark.anyio
PREFIX = "io.modelcontextprotocol/"


class Opened(Conversation):
    """A modern session with a raw server that plays `script` for everything but discovery."""

    def __init__(self, script, discovery=None, **settings):
        def play(request):
            if request.json["method"] == "server/discover":
                request.result({**DISCOVERY, **(discovery or {})})
                return None
            return script(request)

        super().__init__(raw_server(play), lambda url: HttpBackend(spec(url, **settings)), MODERN_CLIENT)


async def test_a_call_is_one_post_with_the_headers_and_the_meta_of_the_revision():
    async with Opened(lambda request: request.result({"ok": True}), headers=[("Authorization", "Bearer t")]) as opened:
        invocation = tool_call(
            "wétter",
            meta={"traceparent": "00-1-2-01", "acme": 1},
            log_level="debug",
            wants_progress=True,
            headers={"Mcp-Param-Region": "eu"},
            region="eu",
        )
        outcome = await opened.session.invoke(invocation, RecordingTalk())
        assert outcome == Completed(b'{"ok": true}', Era.MODERN, checked=True)
        request = opened.server.requests[-1]
        body = request.json
        assert (request.method, request.target) == ("POST", "/mcp")
        assert request.headers | {"host": ""} == {
            "host": "",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "tools/call",
            "mcp-name": "=?base64?d8OpdHRlcg==?=",
            "mcp-param-region": "eu",
            "authorization": "Bearer t",
            "content-length": str(len(request.body)),
        }
        assert body["params"] == {
            "name": "wétter",
            "arguments": {"region": "eu"},
            "_meta": {
                "traceparent": "00-1-2-01",
                "acme": 1,
                f"{PREFIX}protocolVersion": "2026-07-28",
                f"{PREFIX}clientInfo": {"name": "ada", "version": "7"},
                f"{PREFIX}clientCapabilities": {"elicitation": {}},
                f"{PREFIX}logLevel": "debug",
                "progressToken": body["id"],
            },
        }


async def test_configuration_cannot_contradict_the_headers_of_the_protocol():
    headers = [("Mcp-Method", "x"), ("content-type", "text/plain"), ("X-Team", "a")]
    async with Opened(lambda request: request.result({}), headers=headers) as opened:
        await opened.call()
        sent = opened.server.requests[-1].headers
        assert (sent["mcp-method"], sent["content-type"], sent["x-team"]) == ("tools/call", "application/json", "a")


async def test_a_megabyte_passes_uncut_and_unparsed():
    result = {"content": [{"type": "text", "text": "x" * 1_000_000}]}
    async with Opened(lambda request: request.result(result)) as opened:
        outcome = await opened.call()
        assert json.loads(outcome.result) == result
        assert outcome.checked is False


async def test_progress_and_log_lines_of_a_stream_arrive_in_order_before_the_result():
    def script(request):
        token = request.json["params"]["_meta"]["progressToken"]
        request.start_events()
        for step in range(50):
            params = {"progressToken": token, "progress": step}
            request.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        request.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}})
        request.event({"jsonrpc": "2.0", "id": request.json["id"], "result": {"n": 1}})
        request.end_events()

    async with Opened(script) as opened:
        talk = RecordingTalk()
        for _ in range(2):
            assert (await opened.call(talk=talk, wants_progress=True)).result == b'{"n": 1}'
        expected = [("progress", {"progress": step}) for step in range(50)]
        assert talk.said == [*expected, ("notifications/message", {"level": "info", "data": 1})] * 2
        assert opened.server.connections == 1


async def test_an_event_of_more_than_a_mebibyte_passes_and_one_beyond_the_limit_does_not():
    def script(request):
        size = request.json["params"]["arguments"]["size"]
        request.start_events()
        request.event({"jsonrpc": "2.0", "id": request.json["id"], "result": {"text": "x" * size}})
        request.end_events()

    async with Opened(script, max_result_bytes=2_000_000) as opened:
        assert len((await opened.call(size=1_150_000)).result) > 1_150_000
        outcome = await opened.call(size=2_100_000)
        assert outcome.kind is FailureKind.BAD_ANSWER
        assert "maxResultBytes" in outcome.message


async def test_cancelling_a_call_closes_its_connection_and_no_other():
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(request):
        if request.json["params"]["name"] == "slow":
            asked.set()
            await request.gone()
            gone.set()
        else:
            request.result({})

    async with Opened(script) as opened:
        slow = asyncio.ensure_future(opened.call("slow"))
        with anyio.fail_after(5):
            await asked.wait()
            assert isinstance(await opened.call("fast"), Completed)
            slow.cancel()
            await gone.wait()
        assert slow.cancelled()
        assert isinstance(await opened.call("fast"), Completed)


@pytest.mark.parametrize(
    ("status", "extra", "kind", "words", "sent"),
    [
        ("401 Unauthorized", 'www-authenticate: Bearer realm="docs"\r\n', "unavailable", "sign-in for 'docs'", False),
        ("403 Forbidden", "", "unavailable", "refuses access", False),
        ("404 Not Found", "", "unavailable", "check the server's `url`", False),
        ("405 Method Not Allowed", "", "unavailable", "`type`", False),
        ("429 Too Many Requests", "retry-after: 7\r\n", "unavailable", "retry after 7", False),
        ("503 Service Unavailable", "", "unavailable", "at the moment", False),
        ("500 Internal Server Error", "", "backend_error", "may have had effects", True),
        ("418 Teapot", "", "backend_error", "HTTP 418", False),
        ("307 Temporary Redirect", "location: /new?x=1\r\n", "unavailable", "redirects to /new (", False),
    ],
)
async def test_every_status_becomes_words_without_secrets(status, extra, kind, words, sent):
    def script(request):
        request.reply(b"You sent Bearer hush-hush\nsorry", status=status, kind="text/plain", extra=extra)

    headers = [("Authorization", "Bearer hush-hush")]
    async with Opened(script, headers=headers) as opened:
        outcome = await opened.call()
        assert isinstance(outcome, Failed)
        assert (outcome.kind.value, outcome.retryable) == (kind, not sent)
        assert words in outcome.message
        assert "hush" not in outcome.message
        assert outcome.data["httpStatus"] == int(status[:3])
        if status[0] in "45":
            assert "You sent <secret> sorry" in outcome.message


async def test_a_json_rpc_error_is_passed_on_whatever_the_status():
    def script(request):
        request.error(-32021, "missing", {"requiredCapabilities": {}}, status="400 Bad Request")

    async with Opened(script) as opened:
        outcome = await opened.call()
        data = {"requiredCapabilities": {}}
        assert outcome == Failed(FailureKind.BACKEND_ERROR, -32021, "missing", data, retryable=False)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (lambda request: request.reply(b"<html>", kind="text/html"), "text/html"),
        (lambda request: request.reply(b"{", kind="application/json"), "malformed JSON"),
        (lambda request: request.reply(b'{"jsonrpc":"2.0","id":99,"result":{}}'), "instead of"),
        (lambda request: request.reply(b"", status="202 Accepted"), "HTTP 202"),
    ],
)
async def test_lies_are_bad_answers_and_the_session_goes_on(reply, words):
    def script(request):
        if request.json["params"]["name"] == "lie":
            reply(request)
        else:
            request.result({})

    async with Opened(script) as opened:
        outcome = await opened.call("lie")
        assert outcome.kind is FailureKind.BAD_ANSWER
        assert words in outcome.message
        assert isinstance(await opened.call("truth"), Completed)


async def test_one_dropped_post_does_not_touch_the_other_calls():
    release = asyncio.Event()
    waiting = 0

    async def script(request):
        nonlocal waiting
        if request.json["params"]["name"] == "drop":
            request.close()
            return
        waiting += 1
        await release.wait()
        request.result({})

    async with Opened(script) as opened:
        others = [asyncio.ensure_future(opened.call("slow")) for _ in range(5)]
        await until(lambda: waiting == 5)
        outcome = await opened.call("drop")
        assert (outcome.kind, outcome.retryable) == (FailureKind.DIED, False)
        release.set()
        assert {type(outcome) for outcome in await asyncio.gather(*others)} == {Completed}


async def test_a_server_that_is_gone_is_unavailable_and_the_call_may_be_repeated():
    async with Opened(lambda request: request.result({}, extra="connection: close\r\n")) as opened:
        url = opened.server.url
    backend = HttpBackend(spec(url))
    with pytest.raises(BackendError) as caught:
        await backend.open(Ears().opening())
    assert (caught.value.kind, caught.value.sent) == (FailureKind.UNAVAILABLE, False)
    assert "connection refused" in caught.value.message


async def test_requests_that_cannot_be_written_are_refused_before_they_are_sent():
    async with Opened(lambda request: request.result({})) as opened:
        count = len(opened.server.requests)
        client = LEGACY_CLIENT
        for invocation in (
            Invocation("r", "bad method\r\n", {}, {}, client),
            Invocation("r", "tools/call", {"name": "x"}, {}, client, headers={"Mcp-Param-X": "a\r\nb: c"}),
            Invocation("r", "tools/call", {"name": "x", "arguments": {"a": "\ud800"}}, {}, client),
        ):
            outcome = await opened.session.invoke(invocation, RecordingTalk())
            assert outcome.kind is FailureKind.INVALID
        assert len(opened.server.requests) == count


async def test_changes_are_heard_by_one_listening_request_that_is_opened_again_when_it_drops():
    listening = []

    async def script(request):
        listening.append(request)
        request.start_events()
        request.event({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {}})
        if len(listening) > 1:
            await request.gone()

    capabilities = {"tools": {"listChanged": True}, "prompts": {"listChanged": True}, "resources": {}}
    async with Opened(script, {"capabilities": capabilities}) as opened:
        await until(lambda: listening)
        params = listening[0].json["params"]
        assert params["notifications"] == {"toolsListChanged": True, "promptsListChanged": True}
        assert params["_meta"][f"{PREFIX}protocolVersion"] == "2026-07-28"
        listening[0].event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        await until(lambda: opened.ears.events == [ListChanged(OfferKind.TOOL)])
        listening[0].close()
        await until(lambda: len(listening) == 2)
        assert opened.ears.events[1:] == [ListChanged(OfferKind.TOOL), ListChanged(OfferKind.PROMPT)]


async def test_a_subscription_widens_the_listening_request():
    listening = []

    async def script(request):
        listening.append(request)
        request.start_events()
        await request.gone()

    async with Opened(script, {"capabilities": {"resources": {"subscribe": True}}}) as opened:
        for method in ("resources/subscribe", "resources/unsubscribe"):
            invocation = Invocation("r", method, {"uri": "file:///a"}, {}, LEGACY_CLIENT)
            assert isinstance(await opened.session.invoke(invocation, RecordingTalk()), Completed)
            if method == "resources/subscribe":
                await until(lambda: listening)
                assert listening[0].json["params"]["notifications"] == {"resourceSubscriptions": ["file:///a"]}
                params = {"uri": "file:///a"}
                listening[0].event({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params})
                await until(lambda: opened.ears.events == [ResourceUpdated({"uri": "file:///a"})])
        await until(lambda: listening[0].ended)
        assert len(listening) == 1


async def test_a_server_that_turns_legacy_ends_the_session():
    def script(request):
        request.error(-32600, "Missing session ID", status="400 Bad Request")

    legacy = False

    def play(request):
        if request.json["method"] == "server/discover" and not legacy:
            request.result(DISCOVERY)
        else:
            script(request)

    async with raw_server(play) as server:
        backend = HttpBackend(spec(server.url))
        session = await backend.open(Ears().opening())
        closed = asyncio.ensure_future(session.wait_closed())
        legacy = True
        outcome = await session.invoke(tool_call("x"), RecordingTalk())
        assert outcome.code == -32600
        with anyio.fail_after(5):
            assert "no longer speaks MCP 2026-07-28" in await closed
        await session.close()
        await backend.aclose()


async def test_the_reference_server_in_the_modern_era(free_port):
    async with reference(free_port):
        backend = HttpBackend(spec(f"http://127.0.0.1:{free_port}/mcp"))
        ears = Ears()
        session = await backend.open(ears.opening())
        assert session.era is Era.MODERN
        offers = await session.offers()
        assert (len(offers.tools), len(offers.resources), len(offers.templates), len(offers.prompts)) == (28, 3, 1, 5)
        assert offers.server_info["name"] == "reference"
        talk = RecordingTalk()
        outcome = await session.invoke(tool_call("test_tool_with_progress", wants_progress=True), talk)
        assert isinstance(outcome, Completed)
        assert [said[1]["progress"] for said in talk.said] == [0, 50, 100]

        schema = next(tool for tool in offers.tools if tool["name"] == "test_x_mcp_header")["inputSchema"]
        headers = param_headers(x_mcp_header_map(schema), {"region": "ü"})
        outcome = await session.invoke(tool_call("test_x_mcp_header", headers=headers, region="ü"), talk)
        assert json.loads(outcome.result)["content"][0]["text"] == "region=ü"
        assert (await session.invoke(tool_call("test_x_mcp_header", region="ü"), talk)).code == -32020
        assert json.loads((await session.invoke(tool_call("nothing"), talk)).result)["isError"]
        assert (
            b"input_required"
            in (await session.invoke(tool_call("test_input_required_result_elicitation"), talk)).result
        )
        await session.close()
        await backend.aclose()
