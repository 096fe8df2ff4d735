import asyncio
import json
import os

import anyio
import pytest
from http_kit import LEGACY_CLIENT, Conversation, Ears, RecordingTalk, child, reference, spec, tool_call, until
from http_legacy_raw import accept, legacy_server
from http_raw import raw_server

from mcp_orchestrator.backends import mcp_http_legacy
from mcp_orchestrator.backends.mcp_http import HttpBackend
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import Completed, FailureKind
from mcp_orchestrator.plugin_api import ListChanged

pytestmark = pytest.mark.anyio


class Opened(Conversation):
    """A legacy session with a raw server."""

    def __init__(self, script, *, server=None, **settings):
        context = legacy_server(script, **(server or {}))
        super().__init__(context, lambda url: HttpBackend(spec(url, **settings)), LEGACY_CLIENT)

    def asked(self, method):
        return [request for request in self.server.requests if request.body and request.json.get("method") == method]


def is_call(request):
    return request.json.get("method") == "tools/call"


@pytest.mark.parametrize("events", [False, True])
async def test_the_session_and_the_version_are_named_from_the_first_message_on(events):
    async with Opened(lambda r: r.result({"n": 1}), server={"events": events}, headers=[("x-key", "k")]) as opened:
        assert await opened.call(meta={"acme": 1}) == Completed(b'{"n": 1}', Era.LEGACY)
        assert opened.session.agreement.version == "2025-06-18"
        (first,) = opened.asked("initialize")
        assert "mcp-session-id" not in first.headers
        assert "mcp-protocol-version" not in first.headers
        assert first.json["params"]["clientInfo"] == {"name": "gateway", "version": "1"}
        for later in (*opened.asked("notifications/initialized"), *opened.asked("tools/call")):
            assert later.headers["mcp-session-id"] == "s-1"
            assert later.headers["mcp-protocol-version"] == "2025-06-18"
            assert later.headers["x-key"] == "k"
            assert later.headers["accept"] == "application/json, text/event-stream"
        assert opened.asked("tools/call")[0].json["params"] == {"name": "echo", "arguments": {}, "_meta": {"acme": 1}}
    assert opened.server.requests[-1].method == "DELETE"
    assert opened.server.requests[-1].headers["mcp-session-id"] == "s-1"


async def test_a_server_without_sessions_gets_no_session_header_and_no_farewell():
    async with Opened(lambda r: r.result({}), server={"session": None}) as opened:
        await opened.call()
        assert "mcp-session-id" not in opened.asked("tools/call")[0].headers
    assert all(request.method != "DELETE" for request in opened.server.requests)


async def test_questions_on_the_stream_of_a_call_go_to_that_call_and_answers_are_posted():
    answers = {}
    arrived = asyncio.Event()

    async def script(request):
        if not is_call(request):
            answers[request.json["id"]] = request.json["result"]
            accept(request)
            if len(answers) == 2:
                arrived.set()
            return
        name = request.json["params"]["name"]
        request.start_events()
        request.event({"jsonrpc": "2.0", "id": name, "method": "elicitation/create", "params": {"message": name}})
        await arrived.wait()
        request.event({"jsonrpc": "2.0", "id": request.json["id"], "result": {"got": answers[name]}})
        request.end_events()

    async with Opened(script) as opened:
        talks = {name: RecordingTalk() for name in ("a", "b")}
        outcomes = await asyncio.gather(*(opened.call(name, talk=talk) for name, talk in talks.items()))
        for name, talk in talks.items():
            assert talk.questions == [Question("elicitation/create", {"message": name})]
        assert [json.loads(outcome.result)["got"]["action"] for outcome in outcomes] == ["accept", "accept"]


async def test_progress_and_log_lines_come_in_order_and_belong_to_their_call():
    def script(request):
        token = request.json["params"]["_meta"]["progressToken"]
        request.start_events()
        for step in range(20):
            params = {"progressToken": token, "progress": step}
            request.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        request.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}})
        request.event({"jsonrpc": "2.0", "id": request.json["id"], "result": {}})
        request.end_events()

    async with Opened(script) as opened:
        talk = RecordingTalk()
        assert isinstance(await opened.call(talk=talk, wants_progress=True), Completed)
        steps = [("progress", {"progress": step}) for step in range(20)]
        assert talk.said == [*steps, ("notifications/message", {"level": "info", "data": "x"})]


async def test_cancelling_posts_a_notification_and_drops_the_stream():
    asked = asyncio.Event()
    cancelled = []

    async def script(request):
        if is_call(request):
            request.start_events()
            asked.set()
            await request.gone()
        else:
            cancelled.append(request.json)
            accept(request)

    async with Opened(script) as opened:
        call = asyncio.ensure_future(opened.call("slow"))
        with anyio.fail_after(5):
            await asked.wait()
        call.cancel()
        await until(lambda: cancelled)
        (sent,) = opened.asked("tools/call")
        assert cancelled[0]["method"] == "notifications/cancelled"
        assert cancelled[0]["params"]["requestId"] == sent.json["id"]
        await until(lambda: sent.ended)


async def test_a_dropped_stream_is_resumed_where_it_ended():
    resumed = []

    def script(request):
        request.start_events()
        request.event("", event_id="e1")
        request.chunk(b"retry: 10\n\n")
        params = {"level": "info", "data": "before"}
        request.event({"jsonrpc": "2.0", "method": "notifications/message", "params": params}, event_id="e2")
        request.close()

    async def get(request):
        if "last-event-id" not in request.headers:
            request.reply(b"", status="405 Method Not Allowed")
            return
        resumed.append(request.headers["last-event-id"])
        if len(resumed) == 2:
            request.reply(b"", status="503 Service Unavailable")
            return
        request.start_events()
        params = {"level": "info", "data": f"again {len(resumed)}"}
        request.event({"jsonrpc": "2.0", "method": "notifications/message", "params": params}, event_id="e3")
        if len(resumed) == 1:
            request.close()
            return
        (call,) = [r for r in opened.server.requests if r.body and is_call(r)]
        request.event({"jsonrpc": "2.0", "id": call.json["id"], "result": {"end": True}})

    async with Opened(script, server={"get": get}) as opened:
        talk = RecordingTalk()
        outcome = await opened.call(talk=talk)
        assert outcome == Completed(b'{"end": true}', Era.LEGACY)
        # A connection that broke is nobody's wish: the client is not let go of.
        assert [said[1]["data"] for said in talk.said] == ["before", "again 1", "again 3"]
        assert resumed == ["e2", "e3", "e3"]


async def test_a_stream_that_the_server_closes_in_order_lets_the_client_go_too_each_time():
    def script(request):
        request.start_events()
        request.event("", event_id="e1")
        request.chunk(b"retry: 20\n\n")
        request.end_events()

    def get(request):
        if "last-event-id" not in request.headers:
            request.reply(b"", status="405 Method Not Allowed")
            return
        request.start_events()
        if request.headers["last-event-id"] == "e1":
            request.chunk(b"id: e2\nretry: 30\ndata: \n\n")
        else:
            (call,) = [r for r in opened.server.requests if r.body and is_call(r)]
            request.event({"jsonrpc": "2.0", "id": call.json["id"], "result": {"end": True}})
        request.end_events()

    async with Opened(script, server={"get": get}) as opened:
        talk = RecordingTalk()
        assert await opened.call(talk=talk) == Completed(b'{"end": true}', Era.LEGACY)
        assert talk.said == [("let go", 0.02), ("let go", 0.03)]


async def test_a_stream_that_drops_without_ids_died_and_touches_no_other_call():
    release = asyncio.Event()

    async def script(request):
        if request.json["params"]["name"] == "drop":
            request.start_events()
            request.close()
        elif request.json["params"]["name"] == "reset":
            request.close()
        else:
            await release.wait()
            request.result({})

    async with Opened(script) as opened:
        others = [asyncio.ensure_future(opened.call("slow")) for _ in range(3)]
        for name in ("drop", "reset"):
            outcome = await opened.call(name)
            assert (outcome.kind, outcome.retryable) == (FailureKind.DIED, False)
        release.set()
        assert {type(outcome) for outcome in await asyncio.gather(*others)} == {Completed}
        assert opened.session.duplex.ended is None


async def test_a_stream_that_cannot_be_resumed_died():
    def script(request):
        request.start_events()
        request.event("", event_id="e1")
        request.chunk(b"retry: 1\n\n")
        request.end_events()

    async with Opened(script) as opened:
        outcome = await opened.call()
        assert outcome.kind is FailureKind.DIED
        assert "did not resume" in outcome.message


async def test_a_session_that_the_server_has_ended_fails_what_runs_and_replays_nothing():
    waiting = asyncio.Event()

    async def script(request):
        if request.json["params"]["name"] == "slow":
            waiting.set()
            await request.gone()
        else:
            request.reply(b"", status="404 Not Found")

    async with Opened(script) as opened:
        slow = asyncio.ensure_future(opened.call("slow"))
        await waiting.wait()
        late = await opened.call("late")
        assert (late.kind, late.retryable) == (FailureKind.UNAVAILABLE, True)
        assert "ended the session" in late.message
        died = await slow
        assert (died.kind, died.retryable) == (FailureKind.DIED, False)
        with anyio.fail_after(5):
            assert "ended the session (HTTP 404)" in await opened.session.wait_closed()
        assert (await opened.call("later")).kind is FailureKind.UNAVAILABLE
        assert len(opened.asked("tools/call")) == 2
    assert all(request.method != "DELETE" for request in opened.server.requests)


async def test_the_get_stream_brings_changes_and_is_opened_again_with_the_last_event():
    gets = []

    async def get(request):
        gets.append(request)
        request.start_events()
        if len(gets) == 1:
            request.chunk(b"retry: 5\n\n")
            request.event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}, event_id="g1")
            request.close()
        else:
            await request.gone()

    async with Opened(lambda r: r.result({}), server={"get": get}) as opened:
        await until(lambda: len(gets) == 2)
        assert opened.ears.events == [ListChanged(OfferKind.TOOL)]
        assert "last-event-id" not in gets[0].headers
        assert gets[1].headers["last-event-id"] == "g1"
        assert gets[0].headers["accept"] == "text/event-stream"
        assert gets[0].headers["mcp-session-id"] == "s-1"


async def test_a_404_on_the_get_stream_ends_the_session():
    async with Opened(lambda r: r.result({}), server={"get": lambda r: r.reply(b"", status="404 Not Found")}) as opened:
        with anyio.fail_after(5):
            assert "HTTP 404" in await opened.session.wait_closed()


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (lambda r: r.reply(b"{"), "bad_answer", "something else"),
        (lambda r: r.reply(b'{"jsonrpc":"2.0","id":999,"result":{}}'), "bad_answer", "something else"),
        (lambda r: r.reply(b"", status="202 Accepted"), "bad_answer", "HTTP 202"),
        (lambda r: r.reply(b"<p>", kind="text/html"), "bad_answer", "text/html"),
        (lambda r: r.reply(b"", status="401 Unauthorized"), "unavailable", "sign-in"),
        (lambda r: r.error(-32602, "no such tool", status="400 Bad Request"), "backend_error", "no such tool"),
        (lambda r: r.reply(b"{}", extra="content-encoding: gzip\r\n"), "bad_answer", "compressed"),
    ],
)
async def test_a_lie_fails_its_own_call_only(reply, kind, words):
    def script(request):
        if request.json["params"]["name"] == "lie":
            reply(request)
        else:
            request.result({})

    async with Opened(script) as opened:
        outcome = await opened.call("lie")
        assert outcome.kind.value == kind
        assert words in outcome.message
        assert isinstance(await opened.call(), Completed)


async def test_an_event_of_more_than_a_mebibyte_passes_and_one_beyond_the_limit_fails_its_call():
    def script(request):
        request.start_events()
        size = request.json["params"]["arguments"]["size"]
        request.event({"jsonrpc": "2.0", "id": request.json["id"], "result": {"text": "x" * size}})
        request.end_events()

    async with Opened(script, max_result_bytes=2_000_000) as opened:
        assert len((await opened.call(size=1_150_000)).result) > 1_150_000
        assert (await opened.call(size=2_100_000)).kind is FailureKind.BAD_ANSWER
        assert isinstance(await opened.call(size=1), Completed)


async def test_notifications_of_the_client_are_posted():
    def script(request):
        accept(request)

    async with Opened(script) as opened:
        await opened.session.notify("notifications/roots/list_changed", {})
        await until(lambda: opened.asked("notifications/roots/list_changed"))


async def test_a_server_that_ignores_the_farewell_is_left_soon(monkeypatch):
    monkeypatch.setattr(mcp_http_legacy, "FAREWELL", 0.05)
    said = []

    async def mute(request):
        said.append(request)
        await request.gone()

    async with Opened(lambda r: r.result({}), server={"delete": mute}) as opened:
        with anyio.fail_after(5):
            await opened.session.close()
        assert len(said) == 1


async def test_an_initialize_that_is_refused_says_why():
    def refuse(request):
        if request.json["method"] == "server/discover":
            request.error(-32601, "what?")
        else:
            request.error(-32603, "no room")

    async with raw_server(refuse) as server:
        backend = HttpBackend(spec(server.url))
        with pytest.raises(BackendError) as caught:
            await backend.open(Ears().opening())
        assert "no room" in caught.value.message
        await backend.aclose()


async def test_the_reference_server_in_the_legacy_era(free_port):
    async with reference(free_port):
        backend = HttpBackend(spec(f"http://127.0.0.1:{free_port}/mcp"))
        session = await backend.open(Ears().opening(Era.LEGACY))
        offers = await session.offers()
        assert (offers.version, len(offers.tools), len(offers.prompts)) == ("2025-11-25", 28, 5)
        talk = RecordingTalk()

        def call(name, **options):
            return session.invoke(tool_call(name, client=LEGACY_CLIENT, **options), talk)

        assert isinstance(await call("test_tool_with_progress", wants_progress=True), Completed)
        assert [said[1]["progress"] for said in talk.said] == [0, 50, 100]
        assert b"action=accept" in (await call("test_elicitation", message="hi")).result
        # The server closes the stream of this call on purpose and expects to be polled (2025-11-25).
        assert isinstance(await call("test_reconnection"), Completed)
        talks = [RecordingTalk() for _ in range(8)]
        await asyncio.gather(
            *(
                session.invoke(tool_call("test_elicitation", client=LEGACY_CLIENT, message=str(n)), talk)
                for n, talk in enumerate(talks)
            )
        )
        assert [talk.questions[0].params["message"] for talk in talks] == [str(n) for n in range(8)]
        await session.close()
        await backend.aclose()


@pytest.mark.real
async def test_the_typescript_everything_server(npm_server, free_port):
    environment = {**os.environ, "PORT": str(free_port)}
    argv = npm_server("server-everything", "streamableHttp")
    async with child(*argv, port=free_port, env=environment):
        backend = HttpBackend(spec(f"http://127.0.0.1:{free_port}/mcp"))
        session = await backend.open(Ears().opening())
        assert session.era is Era.LEGACY
        assert {tool["name"] for tool in (await session.offers()).tools} >= {"echo", "trigger-elicitation-request"}
        talk = RecordingTalk()
        outcome = await session.invoke(tool_call("echo", client=LEGACY_CLIENT, message="hi"), talk)
        assert json.loads(outcome.result)["content"][0]["text"] == "Echo: hi"
        outcome = await session.invoke(tool_call("trigger-elicitation-request", client=LEGACY_CLIENT), talk)
        assert isinstance(outcome, Completed)
        assert "elicitation/create" in {question.method for question in talk.questions}
        await session.close()
        await backend.aclose()
