import asyncio
import json
import os

import anyio
import pytest
from http_kit import LEGACY_CLIENT, Conversation, Ears, RecordingTalk, child, spec, tool_call, until
from http_legacy_raw import INITIALIZED
from http_raw import raw_server

from mcp_orchestrator.backends.mcp_http import HttpBackend
from mcp_orchestrator.backends.mcp_sse import SseBackend
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import Completed, FailureKind
from mcp_orchestrator.model.snapshot import TransportKind
from mcp_orchestrator.plugin_api import ListChanged

pytestmark = pytest.mark.anyio


class SseServer:
    """Plays HTTP+SSE: one stream, POSTs accepted; `script(say, message)` answers what is posted after the handshake."""

    def __init__(self, script=None, *, endpoint="/messages?session=1", refuse_post=None):
        self.script = script or (lambda say, message: say({"id": message["id"], "result": {}}))
        self.endpoint = endpoint
        self.refuse_post = refuse_post
        self.stream = None

    def __call__(self, request):
        if request.method == "GET":
            self.stream = request
            request.start_events()
            request.event(self.endpoint, name="endpoint")
            return request.gone()
        if request.target != "/messages?session=1":
            request.reply(b"", status="404 Not Found")
            return None
        message = request.json
        if message.get("method") == "initialize":
            request.reply(b"", status="202 Accepted")
            self.say({"id": message["id"], "result": INITIALIZED})
        elif message.get("method") == "notifications/initialized":
            request.reply(b"", status="202 Accepted")
        elif self.refuse_post is not None and message.get("method") == "tools/call":
            self.refuse_post(request)
        else:
            request.reply(b"", status="202 Accepted")
            self.script(self.say, message)
        return None

    def say(self, message):
        self.stream.event({"jsonrpc": "2.0", **message})


class Opened(Conversation):
    """A session by the older transport with a raw server."""

    def __init__(self, play, **settings):
        def make(url):
            return SseBackend(spec(url.replace("/mcp", "/sse?k=v"), transport=TransportKind.SSE, **settings))

        super().__init__(raw_server(play), make, LEGACY_CLIENT)


async def refused(play, **settings):
    async with raw_server(play) as server:
        backend = SseBackend(spec(server.url, transport=TransportKind.SSE, **settings))
        with pytest.raises(BackendError) as caught, anyio.fail_after(5):
            await backend.open(Ears().opening())
        await backend.aclose()
        return caught.value


async def test_messages_are_posted_to_the_named_address_and_answers_come_by_the_stream():
    async with Opened(SseServer(), headers=[("Authorization", "Bearer t")]) as opened:
        assert opened.session.era is Era.LEGACY
        assert await opened.call() == Completed(b"{}", Era.LEGACY)
        get, initialize, initialized, call = opened.server.requests
        assert (get.method, get.target, get.headers["accept"]) == ("GET", "/sse?k=v", "text/event-stream")
        assert initialize.json["method"] == "initialize"
        assert initialized.json["method"] == "notifications/initialized"
        assert call.target == "/messages?session=1"
        assert "mcp-protocol-version" not in initialize.headers
        assert call.headers["mcp-protocol-version"] == "2025-06-18"
        assert {request.headers["authorization"] for request in opened.server.requests} == {"Bearer t"}


async def test_calls_run_side_by_side_with_questions_progress_and_changes():
    waiting = {}

    def script(say, message):
        if message.get("method") == "tools/call":
            token = message["params"]["_meta"]["progressToken"]
            say({"method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
            say({"method": "notifications/tools/list_changed"})
            waiting["q"] = message["id"]
            say({"id": "q", "method": "roots/list"})
        else:
            say({"id": waiting["q"], "result": {"got": message["result"]}})

    async with Opened(SseServer(script)) as opened:
        talk = RecordingTalk()
        outcome = await opened.call(talk=talk, wants_progress=True)
        assert json.loads(outcome.result)["got"]["action"] == "accept"
        assert talk.said == [("progress", {"progress": 1})]
        assert talk.questions == [Question("roots/list", {})]
        assert opened.ears.events == [ListChanged(OfferKind.TOOL)]


async def test_a_cancelled_call_is_told_to_the_server():
    messages = []
    server = SseServer(lambda _say, message: messages.append(message))
    async with Opened(server) as opened:
        call = asyncio.ensure_future(opened.call())
        await until(lambda: messages)
        call.cancel()
        await until(lambda: len(messages) == 2)
        assert messages[1]["method"] == "notifications/cancelled"
        assert messages[1]["params"]["requestId"] == messages[0]["id"]


async def test_a_stream_that_ends_ends_the_session_and_what_runs_died():
    def end(_say, _message):
        server.stream.close()

    server = SseServer(end)
    async with Opened(server) as opened:
        outcome = await opened.call()
        assert (outcome.kind, outcome.retryable) == (FailureKind.DIED, False)
        with anyio.fail_after(5):
            assert "closed its event stream" in await opened.session.wait_closed()
        assert (await opened.call()).kind is FailureKind.UNAVAILABLE


async def test_a_refused_post_fails_its_own_call_only():
    refuse = [lambda r: r.reply(b"", status="401 Unauthorized"), lambda r: r.error(-32602, "no", status="400 Bad")]

    def next_refusal(request):
        refuse.pop(0)(request)

    async with Opened(SseServer(refuse_post=next_refusal)) as opened:
        assert "sign-in" in (await opened.call()).message
        assert (await opened.call()).code == -32602
        assert opened.session.duplex.ended is None


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1/messages", "https://example.org/m", "ftp://x", "//evil/x"])
async def test_an_address_of_another_origin_is_refused_and_nothing_is_sent_there(endpoint):
    error = await refused(SseServer(endpoint=endpoint))
    assert error.kind is FailureKind.BAD_ANSWER
    assert "endpoint" in error.message


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (lambda r: r.reply(b"", status="404 Not Found"), "check the server's `url`"),
        (lambda r: r.reply(b"{}"), "is its `type` http?"),
        (lambda r: r.close(), "before it answered"),
    ],
)
async def test_what_offers_no_stream_is_told(reply, words):
    error = await refused(reply)
    assert words in error.message


async def test_a_stream_without_an_address_is_given_up_in_time():
    async def mute(request):
        request.start_events()
        await request.gone()

    error = await refused(mute, start_timeout=0.1)
    assert error.kind is FailureKind.UNAVAILABLE
    assert "within 0.1 s" in error.message


async def test_an_event_beyond_the_limit_ends_the_session():
    def script(say, message):
        say({"id": message["id"], "result": {"x": "y" * 20_000}})

    async with Opened(SseServer(script), max_result_bytes=10_000) as opened:
        assert (await opened.call()).kind is FailureKind.DIED
        assert "maxResultBytes" in await opened.session.wait_closed()


async def test_the_modern_era_is_refused_without_asking():
    backend = SseBackend(spec("http://127.0.0.1:1/sse", transport=TransportKind.SSE))
    assert backend.eras == (Era.LEGACY,)
    with pytest.raises(BackendError) as caught:
        await backend.open(Ears().opening(Era.MODERN))
    assert caught.value.code == -32022


@pytest.mark.real
@pytest.mark.parametrize("kind", [SseBackend, HttpBackend])
async def test_the_typescript_everything_server(kind, npm_server, free_port):
    environment = {**os.environ, "PORT": str(free_port)}
    async with child(*npm_server("server-everything", "sse"), port=free_port, env=environment):
        backend = kind(spec(f"http://127.0.0.1:{free_port}/sse"))
        ears = Ears()
        session = await backend.open(ears.opening())
        assert "echo" in {tool["name"] for tool in (await session.offers()).tools}
        outcome = await session.invoke(tool_call("echo", client=LEGACY_CLIENT, message="hi"), RecordingTalk())
        assert json.loads(outcome.result)["content"][0]["text"] == "Echo: hi"
        assert any("`type: sse`" in note for note in ears.notes) is (kind is HttpBackend)
        await session.close()
        await backend.aclose()
