"""The legacy era on the wire: initialize, sessions, POST, the GET stream, DELETE, questions, batches."""

import asyncio
import gc
import json
import tracemalloc

import anyio
import anyio.lowlevel
import pytest
from fake_gateway import FakeGateway
from listener_wire import BOTH, Events, events_of, initialize, message_of, modern_body, raw_request, request, serving
from mcp import Client
from mcp_types import ElicitResult

from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.core.wire.sse import Parser
from mcp_orchestrator.core.wire.versions import LEGACY_VERSIONS
from mcp_orchestrator.listeners.mcp_eras import legacy_face
from mcp_orchestrator.listeners.sessions import LegacySession, Sessions, new_session_id
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.plugin_api import ListChanged, LogLine, ResourceUpdated, View

pytestmark = pytest.mark.anyio
NEWEST = {"mcp-protocol-version": "2025-11-25"}
ABLE = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {"listChanged": True}}


def call(tool, arguments=None, key=1, **meta):
    return request("tools/call", {"name": tool, "arguments": arguments or {}, "_meta": meta}, key)


def text_of(message):
    return json.loads(message["result"]["content"][0]["text"])


@pytest.mark.parametrize("version", LEGACY_VERSIONS)
async def test_initialize_opens_a_session_of_the_asked_version(version):
    async with serving() as served:
        reply = await served.legacy(initialize(version, ABLE))
        result = message_of(reply)["result"]
        assert result["protocolVersion"] == version
        assert result["serverInfo"] == {"name": "fake", "version": "1"}
        assert result["instructions"] == "be kind"
        session = reply.headers["mcp-session-id"]
        assert len(session) == 32
        face, view, _port = served.gateway.opened[session]
        assert (face.version, face.capabilities, face.session) == (version, ABLE, session)
        assert (view.profile, view.principal.id) == (None, "anonymous")
        header = {"mcp-protocol-version": version}
        assert (await served.legacy(call("echo"), session, **header)).status_code == 200
        assert (await served.legacy(call("echo"), session)).status_code == 200
        assert served.gateway.calls[0].client is face


async def test_an_unknown_version_is_offered_the_newest_one_and_nonsense_is_invalid():
    async with serving() as served:
        assert message_of(await served.legacy(initialize("1999")))["result"]["protocolVersion"] == "2025-11-25"
        wrong = request("initialize", {"protocolVersion": 1})
        reply = await served.legacy(wrong)
        assert message_of(reply)["error"]["code"] == -32602
        assert "mcp-session-id" not in reply.headers
        assert len(served.gateway.opened) == 1


async def test_requests_need_a_session_that_exists():
    async with serving() as served:
        assert (await served.legacy(call("echo"))).status_code == 400
        assert (await served.legacy(call("echo"), "0" * 32)).status_code == 404
        assert (await served.legacy(initialize(), "0" * 32)).status_code == 404
        for method in ("GET", "DELETE"):
            assert (await served.client.request(method, served.url, headers={"accept": BOTH})).status_code == 400
            headers = {"accept": BOTH, "mcp-session-id": "x"}
            assert (await served.client.request(method, served.url, headers=headers)).status_code == 404
        assert (await served.client.put(served.url)).status_code == 405


async def test_an_unknown_version_header_is_refused():
    async with serving() as served:
        session = await served.open()
        reply = await served.legacy(call("echo"), session, **{"mcp-protocol-version": "1999-01-01"})
        assert reply.status_code == 400


async def test_a_modern_request_without_its_header_is_told_so():
    async with serving() as served:
        reply = await served.legacy(modern_body("server/discover", key=4))
        assert (reply.status_code, message_of(reply)["error"]["code"], message_of(reply)["id"]) == (400, -32020, 4)


async def test_a_session_belongs_to_its_profile():
    async with serving() as served:
        session = await served.open(url=served.url + "/reviewer")
        assert (await served.legacy(request("ping"), session)).status_code == 404
        headers = {"accept": BOTH, "mcp-session-id": session}
        reply = await served.client.post(served.url + "/reviewer", json=call("echo"), headers=headers)
        assert reply.status_code == 200
        assert served.gateway.calls[0].profile == "reviewer"


async def test_methods_of_the_session_are_answered_in_place():
    async with serving() as served:
        session = await served.open()
        assert message_of(await served.legacy(request("ping", key="p"), session))["id"] == "p"
        for kind in OfferKind:
            assert kind.value in message_of(await served.legacy(request(kind.list_method), session))["result"]
        for method, code in (
            ("initialize", -32600),
            ("server/discover", -32601),
            ("subscriptions/listen", -32601),
            ("notifications/x", -32601),
            ("vendor/none", -32601),
        ):
            reply = await served.legacy(request(method, {"protocolVersion": "x"}), session)
            assert (reply.status_code, message_of(reply)["error"]["code"]) == (200, code), method
        assert (
            message_of(await served.legacy(modern_body("tools/call", {"name": "echo"}), session))["error"]["code"]
            == -32600
        )
        for method in ("resources/subscribe", "resources/unsubscribe"):
            await served.legacy(request(method, {"uri": "u:1"}), session)
            assert served.gateway.calls[-1].kind.value == "subscription"
            assert served.gateway.calls[-1].client.session == session


async def test_malformed_bodies_are_refused():
    async with serving() as served:
        headers = {"content-type": "application/json"}
        bad = await served.client.post(served.url, content=b"{", headers=headers)
        assert (bad.status_code, bad.json()["error"]["code"]) == (400, -32700)
        bad = await served.legacy({"jsonrpc": "2.0", "id": 1.5, "method": "ping"})
        assert (bad.status_code, bad.json()["error"]["code"]) == (400, -32600)


async def test_accept_may_be_absent_but_not_too_narrow():
    async with serving() as served:
        body = json.dumps(initialize()).encode()
        sent = {"content-type": "application/json"}
        assert (await raw_request(served.url, "POST", sent, body))[0] == 200
        for accept, status in (("*/*", 200), (BOTH, 200), ("application/json", 406), ("text/event-stream", 406)):
            assert (await raw_request(served.url, "POST", {**sent, "accept": accept}, body))[0] == status


async def test_notifications_and_answers_are_accepted():
    async with serving() as served:
        session = await served.open()
        for method in ("notifications/initialized", "notifications/progress", "notifications/roots/list_changed"):
            reply = await served.legacy({"jsonrpc": "2.0", "method": method}, session)
            assert (reply.status_code, reply.content) == (202, b"")
        reply = await served.legacy({"jsonrpc": "2.0", "id": "nobody", "result": {}}, session)
        assert reply.status_code == 202
        await served.gateway.told.wait()
        assert served.gateway.notified == [(session, "notifications/roots/list_changed", {})]


async def test_a_client_that_names_event_streams_is_answered_in_one_event_and_any_other_in_json():
    async with serving() as served:
        reply = await served.legacy(initialize())
        assert reply.headers["content-type"] == "text/event-stream"
        session = reply.headers["mcp-session-id"]
        for body in (
            request("ping"),
            request("tools/list"),
            call("echo"),
            call("fail"),
            call("refuse"),
            call("pretty"),
        ):
            reply = await served.legacy(body, session)
            (event,) = Parser().feed(reply.content)
            assert (reply.headers["content-type"], event.id) == ("text/event-stream", None)
            assert reply.headers["content-length"] == str(len(reply.content))
            plain = await served.legacy(body, session, accept="*/*")
            assert plain.headers["content-type"] == "application/json"
            assert plain.json() == json.loads(event.data)
        assert served.gateway.opened[session][2].streams is None
        plain = await served.legacy(initialize(), accept="*/*")
        assert (plain.json()["id"], len(plain.headers["mcp-session-id"])) == (0, 32)


async def test_bytes_of_a_backend_cannot_forge_an_event():
    async with serving() as served:
        session = await served.open()
        forged = '{"a":1}\n\ndata: {"jsonrpc":"2.0","id":1,"result":{"forged":1}}\n\n'
        reply = await served.legacy(call("smuggle", {"bytes": forged}), session)
        assert len(Parser().feed(reply.content)) == 1


async def test_what_a_run_says_turns_the_reply_into_events():
    async with serving() as served:
        session = await served.open()
        reply = await served.legacy(call("steps", {"count": 3}, progressToken="t"), session)
        events = events_of(reply.content)
        assert [event["params"] for event in events[:-1]] == [{"progress": n, "progressToken": "t"} for n in range(3)]
        assert events[-1]["id"] == 1
        pretty = events_of((await served.legacy(call("pretty", progressToken=1), session)).content)
        assert "result" in pretty[-1]


async def test_the_sessions_log_level_gates_messages_and_travels_with_calls():
    async with serving() as served:
        session = await served.open()
        assert len(events_of((await served.legacy(call("talk"), session)).content)) == 4
        assert (
            message_of(await served.legacy(request("logging/setLevel", {"level": "x"}), session))["error"]["code"]
            == -32602
        )
        assert message_of(await served.legacy(request("logging/setLevel", {"level": "error"}), session))["result"] == {}
        events = events_of((await served.legacy(call("talk"), session)).content)
        assert [event["params"]["level"] for event in events[:-1]] == ["error"]
        assert [one.log_level for one in served.gateway.calls] == [None, "error"]


async def test_a_cancelled_request_still_gets_an_end():
    async with serving() as served:
        session, other = await served.open(), await served.open()
        with anyio.fail_after(5):
            waiting = asyncio.create_task(served.legacy(call("wait", key=5), session))
            await served.gateway.entered.wait()
            cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5, "reason": "no"}}
            await served.legacy(cancel, other)
            assert not served.gateway.over.is_set()
            await served.legacy(cancel, session)
            reply = message_of(await waiting)
        assert (reply["id"], reply["error"]["code"]) == (5, -32800)
        assert served.gateway.runs[0].reason == "no"


async def test_a_client_that_leaves_does_not_cancel():
    async with serving() as served:
        session = await served.open()
        port = int(served.url.split(":")[2].split("/")[0])
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        data = json.dumps(call("wait")).encode()
        head = f"POST /mcp HTTP/1.1\r\nhost: localhost\r\nmcp-session-id: {session}\r\n"
        writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data)
        with anyio.fail_after(5):
            await served.gateway.entered.wait()
            writer.close()
            await writer.wait_closed()
            assert (await served.legacy(request("ping"), session)).status_code == 200
            assert not served.gateway.over.is_set()
            served.gateway.gate.set()
            await served.gateway.over.wait()
        assert served.gateway.runs[0].reason is None


def came_after(served, session, event_id):
    headers = {"accept": "text/event-stream", "mcp-session-id": session, "last-event-id": event_id, **NEWEST}
    return served.client.stream("GET", served.url, headers=headers)


async def test_a_client_that_lost_its_stream_resumes_that_one_and_misses_nothing():
    async with serving() as served:
        session = await served.open()
        body, headers = call("poll", progressToken="t"), {"accept": BOTH, "mcp-session-id": session, **NEWEST}
        with anyio.fail_after(5):
            async with served.client.stream("POST", served.url, json=body, headers=headers) as reply:
                events = Events(reply)
                primed, first, parting = [await events.event() for _ in range(3)]
                assert await events.event() is None  # the server let go
            assert (primed.id, primed.data, primed.retry) == ("1-0", b"", 1000)
            assert (first.id, json.loads(first.data)["params"]["progress"]) == ("1-1", 1)
            assert (parting.id, parting.data, parting.retry) == (None, b"", 10)
            await served.legacy(call("steps", key=2, progressToken="other"), session)
            async with came_after(served, session, "1-0") as reply:  # as if the first message had been lost
                events = Events(reply)
                again, primed = await events.event(), await events.event()
                assert (again, primed.id) == (first, "1-1")
            async with came_after(served, session, "1-1") as reply:
                events = Events(reply)
                assert (await events.event()).id == "1-1"
                served.gateway.gate.set()
                progress, answer = await events.event(), await events.event()
                assert await events.event() is None
            assert (progress.id, answer.id) == ("1-2", "1-3")
            async with came_after(served, session, "1-2") as reply:  # the very last word was lost
                events = Events(reply)
                assert await events.event() == answer
                assert await events.event() is None
        assert served.gateway.runs[0].reason is None
        assert len(served.gateway.runs) == 2


async def test_older_clients_get_ids_but_are_not_let_go_of():
    async with serving() as served:
        session = await served.open("2025-06-18")
        served.gateway.gate.set()
        reply = await served.legacy(call("poll", progressToken="t"), session, **{"mcp-protocol-version": "2025-06-18"})
        assert [event.id for event in Parser().feed(reply.content)] == ["1-1", "1-2", "1-3"]


@pytest.mark.parametrize("event_id", ["1-0", "7-1", "0-1", "nonsense"])
async def test_a_stream_that_is_not_known_any_more_cannot_be_resumed(event_id):
    async with serving() as served:
        session = await served.open()
        async with came_after(served, session, event_id) as reply:
            assert reply.status_code == 400  # not 404, which would tell the client to begin a new session


async def test_the_stream_outside_of_requests_is_resumed_even_while_the_old_connection_looks_alive():
    async with serving() as served:
        session = await served.open()
        port = served.gateway.opened[session][2]
        with anyio.fail_after(5):
            async with get(served, session) as old:
                events = Events(old)
                assert (await events.event()).id == "0-0"
                port.notify("notifications/vendor", {"n": 1})
                assert (await events.event()).id == "0-1"
                async with came_after(served, session, "0-0") as new:
                    assert await events.event() is None
                    events = Events(new)
                    assert (await events.next())["params"] == {"n": 1}
                    port.notify("notifications/vendor", {"n": 2})
                    assert (await events.next())["params"] == {"n": 2}
            while port.main is not None:
                await anyio.lowlevel.checkpoint()
            port.notify("notifications/vendor", {"n": 3})
            served.gateway.tell(ListChanged(OfferKind.TOOL))
            async with came_after(served, session, "0-2") as new:
                events = Events(new)
                assert (await events.next())["params"] == {"n": 3}
                assert (await events.next())["method"] == "notifications/tools/list_changed"
            while port.main is not None:
                await anyio.lowlevel.checkpoint()
            async with get(served, session) as fresh:  # without an id there is nothing to catch up with
                assert (await Events(fresh).event()).data == b""


async def test_the_official_client_comes_back_for_the_rest_of_a_call():
    async with serving() as served, Client(served.url, mode="legacy") as client:
        heard = []

        async def progress(done, _total, _text):
            heard.append(done)
            if done == 1:
                served.gateway.gate.set()

        with anyio.fail_after(10):
            result = await client.call_tool("poll", {"n": 1}, progress_callback=progress)
        assert json.loads(result.content[0].text) == {"n": 1}
        assert heard == [1, 2]


async def test_delete_ends_the_stream_outside_of_requests():
    async with serving() as served:
        session = await served.open()
        with anyio.fail_after(5):
            async with get(served, session) as reply:
                events = Events(reply)
                await events.event()
                await served.client.delete(served.url, headers={"mcp-session-id": session})
                assert await events.event() is None


async def test_delete_ends_the_session_and_its_runs():
    async with serving() as served:
        session = await served.open()
        with anyio.fail_after(5):
            waiting = asyncio.create_task(served.legacy(call("wait"), session))
            await served.gateway.entered.wait()
            reply = await served.client.delete(served.url, headers={"mcp-session-id": session})
            assert reply.status_code == 200
            assert message_of(await waiting)["error"]["code"] == -32800
        assert served.gateway.closed == [session]
        assert served.gateway.watchers == []
        assert (await served.legacy(request("ping"), session)).status_code == 404


def get(served, session, accept=BOTH):
    headers = {"accept": accept, "mcp-session-id": session, **NEWEST}
    return served.client.stream("GET", served.url, headers=headers)


async def test_the_get_stream_tells_what_changed_and_there_is_one_per_session():
    async with serving() as served:
        session = await served.open()
        gateway = served.gateway
        for event in (
            ListChanged(OfferKind.TOOL),
            ListChanged(OfferKind.TOOL),
            ResourceUpdated({"uri": "u:1"}),
            ResourceUpdated({"uri": "u:1", "n": 2}),
            LogLine({"level": "error"}),
        ):
            gateway.tell(event)
        async with get(served, session, "application/json") as narrow:
            assert narrow.status_code == 406
        with anyio.fail_after(5):
            async with get(served, session) as reply:
                assert (reply.status_code, reply.headers["content-type"]) == (200, "text/event-stream")
                events = Events(reply)
                waited = [await events.next(), await events.next()]
                assert [one["method"] for one in waited] == [
                    "notifications/tools/list_changed",
                    "notifications/resources/updated",
                ]
                assert waited[1]["params"] == {"uri": "u:1", "n": 2}
                async with get(served, session) as second:
                    assert second.status_code == 409
                gateway.tell(ListChanged(OfferKind.PROMPT))
                gateway.tell(LogLine({"level": "error", "data": 1}))
                gateway.opened[session][2].notify("notifications/vendor", {"x": 1})
                got = [await events.next() for _ in range(3)]
                assert [one["method"] for one in got] == [
                    "notifications/prompts/list_changed",
                    "notifications/message",
                    "notifications/vendor",
                ]
            while gateway.opened[session][2].main is not None:
                await anyio.lowlevel.checkpoint()
            async with get(served, session) as again:
                assert again.status_code == 200


@pytest.mark.parametrize(
    ("method", "params", "answer"),
    [
        ("elicitation/create", {"message": "?", "requestedSchema": {}}, {"action": "accept", "content": {"a": 1}}),
        ("elicitation/create", {"mode": "url", "url": "https://x", "elicitationId": "1"}, {"action": "decline"}),
        ("sampling/createMessage", {"messages": [], "maxTokens": 1}, {"role": "assistant"}),
        ("roots/list", {}, {"roots": []}),
    ],
)
async def test_a_question_goes_out_on_the_reply_of_the_call_and_its_answer_comes_by_post(method, params, answer):
    async with serving() as served:
        session = await served.open(capabilities=ABLE)
        headers = {"accept": BOTH, "mcp-session-id": session}
        body = call("ask", {"method": method, "params": params})
        with anyio.fail_after(5):
            async with served.client.stream("POST", served.url, json=body, headers=headers) as reply:
                events = Events(reply)
                question = await events.next()
                assert (question["method"], question["params"]) == (method, params)
                assert isinstance(question["id"], str)
                sent = await served.legacy({"jsonrpc": "2.0", "id": question["id"], "result": answer}, session)
                assert sent.status_code == 202
                assert text_of(await events.next())["result"] == answer


async def test_an_error_is_an_answer_too_and_an_undeclared_ability_is_never_asked_for():
    async with serving() as served:
        session = await served.open(capabilities={"roots": {}})
        headers = {"accept": BOTH, "mcp-session-id": session}
        with anyio.fail_after(5):
            body = call("ask", {"method": "roots/list", "params": {}})
            async with served.client.stream("POST", served.url, json=body, headers=headers) as reply:
                events = Events(reply)
                question = await events.next()
                error = {"code": -1, "message": "never"}
                await served.legacy({"jsonrpc": "2.0", "id": question["id"], "error": error}, session)
                assert text_of(await events.next()) == {"result": None, "code": -1, "message": "never"}
            reply = await served.legacy(call("ask"), session)
            assert text_of(message_of(reply)) is None


async def test_a_question_nobody_answers_expires_and_is_withdrawn():
    async with serving(question_expiry=0.02) as served:
        session = await served.open(capabilities=ABLE)
        with anyio.fail_after(5):
            events = events_of((await served.legacy(call("ask"), session)).content)
        assert [event.get("method") for event in events] == ["elicitation/create", "notifications/cancelled", None]
        assert events[1]["params"]["requestId"] == events[0]["id"]
        assert text_of(events[2])["result"] == {"action": "cancel"}


async def test_a_question_outside_of_any_call_needs_the_get_stream():
    async with serving() as served:
        session = await served.open(capabilities=ABLE)
        port = served.gateway.opened[session][2]
        with anyio.fail_after(5):
            assert await port.ask(Question("roots/list", {})) is None
            async with get(served, session) as reply:
                asking = asyncio.create_task(port.ask(Question("roots/list", {})))
                question = await (events := Events(reply)).next()
                await served.legacy({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}}, session)
                assert (await asking).result == {"roots": []}
                pending = asyncio.create_task(port.ask(Question("roots/list", {})))
                await events.next()
                await served.client.delete(served.url, headers={"mcp-session-id": session})
                assert await pending is None


async def test_the_official_client_answers_questions_in_the_legacy_era():

    async def answer(_context, _params):
        return ElicitResult(action="accept", content={"name": "ada"})

    async with serving() as served, Client(served.url, mode="legacy", elicitation_callback=answer) as client:
        params = {"message": "?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}
        with anyio.fail_after(10):
            result = await client.call_tool("ask", {"params": params})
        assert json.loads(result.content[0].text)["result"] == {"action": "accept", "content": {"name": "ada"}}


async def test_batches_belong_to_one_version():
    async with serving() as served:
        old, new = await served.open("2025-03-26"), await served.open()
        batch = [
            call("echo", {"n": 1}, key=1),
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            request("ping", key=2),
            {"jsonrpc": "2.0", "id": 3},
            initialize(),
        ]
        reply = await served.legacy(batch, old)
        assert reply.headers["content-type"] == "application/json"
        answers = reply.json()
        assert [one["id"] for one in answers] == [1, 2, None, 0]
        assert text_of(answers[0]) == {"n": 1}
        assert answers[3]["error"]["code"] == -32600
        assert (await served.legacy(batch, new)).status_code == 400
        assert (await served.legacy([], old)).status_code == 400
        assert (await served.legacy(batch)).status_code == 400
        quiet = await served.legacy([{"jsonrpc": "2.0", "method": "notifications/initialized"}], old)
        assert (quiet.status_code, quiet.content) == (202, b"")
        streamed = await served.legacy([call("steps", key=1, progressToken=1), request("ping", key=2)], old)
        events = events_of(streamed.content)
        assert {one["id"] for one in events if "id" in one} == {1, 2}
        assert sum(1 for one in events if "method" in one) == 3


async def test_sessions_cost_little_while_idle():

    class Silent(FakeGateway):
        def watch(self, view, session, hear):
            self.watchers.append(hear)
            return lambda: self.watchers.remove(hear)

        def session_opened(self, client, view, port):
            pass

    gateway, view = Silent(), View(Era.LEGACY)
    wire = encode(initialize(capabilities=ABLE)["params"])
    sessions = Sessions(10_000, 1800, lambda: 0.0)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(500):
        session = LegacySession(legacy_face(decode(wire), new_session_id()), view, gateway)
        sessions.add(session)
        session.begin()
    gc.collect()
    each = (tracemalloc.get_traced_memory()[0] - before) / 500
    tracemalloc.stop()
    assert each < 3000, each
