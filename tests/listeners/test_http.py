"""The listener itself: paths, both eras at one endpoint, real clients, a busy port, and an end that always comes."""

import asyncio
import socket

import anyio
import anyio.lowlevel
import pytest
from fake_gateway import FakeGateway
from listener_wire import (
    BOTH,
    Events,
    initialize,
    message_of,
    modern_body,
    modern_headers,
    raw_request,
    request,
    serving,
)
from mcp import Client

from mcp_orchestrator.listeners.http import HttpListener
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.snapshot import HttpSpec
from mcp_orchestrator.plugin_api import ListChanged

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
async def test_the_official_client_lists_and_calls_in_either_era(mode):
    async with serving() as served, Client(served.url, mode=mode) as client:
        assert next(tool.name for tool in (await client.list_tools()).tools) == "echo"
        for number in range(5):
            result = await client.call_tool("echo", {"n": number})
            assert result.content[0].text == f'{{"n": {number}}}'
        seen = []

        async def progress(done, _total, _message):
            seen.append(done)

        await client.call_tool("steps", {"count": 5}, progress_callback=progress)
        while len(seen) < 5:
            await anyio.lowlevel.checkpoint()
        assert sorted(seen) == [0, 1, 2, 3, 4]


async def test_both_eras_are_served_at_the_same_path_at_the_same_time():
    async with serving() as served:
        session = await served.open()
        assert message_of(await served.legacy(request("ping"), session)) == {"jsonrpc": "2.0", "id": 1, "result": {}}
        assert (await served.call("echo")).status_code == 200
        assert [call.client.era.value for call in served.gateway.calls] == ["modern"]


async def test_paths_lead_to_profiles_health_or_nowhere():
    async with serving() as served:
        base = served.url
        body = modern_body("tools/call", {"name": "echo"})
        for path, profile in (
            ("", None),
            ("/", None),
            ("/reviewer", "reviewer"),
            ("/reviewer/", "reviewer"),
            ("/reviewer/mcp", "reviewer"),
        ):
            reply = await served.client.post(base + path, json=body, headers=modern_headers(body))
            assert reply.status_code == 200, path
            assert served.gateway.calls[-1].profile == profile
        for path in ("/nobody", "/reviewer/x", "x"):
            reply = await served.client.post(base + path, json=body, headers=modern_headers(body))
            assert reply.status_code == 404
            assert reply.json()["error"]["code"] == -32600
        root = base.removesuffix("/mcp")
        assert (await served.client.get(root + "/healthz")).json() == {"status": "ok"}
        assert (await served.client.get(root + "/")).status_code == 404


async def test_a_path_of_ones_own_is_served():
    async with serving(path="/") as served:
        assert served.url.endswith("/")
        assert (await served.modern("server/discover")).status_code == 200
    async with serving(path="/a/b/") as served:
        assert served.url.endswith("/a/b")
        assert (await served.modern("server/discover")).status_code == 200


async def test_a_busy_port_is_told_with_what_to_do(free_port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        listener = HttpListener(HttpSpec(port=free_port), FakeGateway())
        with pytest.raises(OSError, match=f"127.0.0.1:{free_port}.*in use.*--port"):
            await listener.serve(lambda _url: None)


async def test_an_unknown_host_name_is_told():
    listener = HttpListener(HttpSpec(host="no.such.host.invalid", port=0), FakeGateway())
    with pytest.raises(OSError, match=r"listeners\.http\.host"):
        await listener.serve(lambda _url: None)


async def test_ipv6_is_served_where_there_is_any():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return
    async with serving(host="::1") as served:
        assert "[::1]" in served.url
        assert (await served.modern("server/discover")).status_code == 200


async def test_a_bug_is_answered_and_logged_and_harms_nobody(caplog):
    async with serving() as served:
        reply = await served.modern("boom")
        assert reply.status_code == 500
        assert reply.json()["error"]["code"] == -32603
        assert "bug of the gateway" not in reply.text
        assert (await served.call("echo")).status_code == 200
    assert "request failed" in caplog.text


async def test_stopping_lets_calls_finish_and_ends_streams_with_their_result():
    gateway = FakeGateway()
    async with serving(gateway) as served:
        session = await served.open()
        listening = modern_body("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, key="l")
        get = served.client.stream("GET", served.url, headers={"accept": BOTH, "mcp-session-id": session})
        with anyio.fail_after(5):
            async with served.streaming(listening) as modern_stream, get as legacy_stream:
                modern_events, legacy_events = Events(modern_stream), Events(legacy_stream)
                await modern_events.next()
                call = asyncio.create_task(served.call("wait"))
                await gateway.entered.wait()
                stopping = asyncio.create_task(served.listener.stop(5))
                assert await legacy_events.next() is None
                last = await modern_events.next()
                assert last["id"] == "l"
                assert last["result"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": "l"}
                assert await modern_events.next() is None
                with pytest.raises(ConnectionError):
                    await raw_request(served.url, "GET", {}, path="/healthz")
                assert not stopping.done()
                gateway.gate.set()
                assert (await call).status_code == 200
                await stopping
    assert session in gateway.closed


async def test_a_request_on_an_open_connection_is_refused_while_stopping():
    gateway = FakeGateway()
    async with serving(gateway) as served:
        call = asyncio.create_task(served.call("wait"))
        await gateway.entered.wait()
        served.listener._app.draining = True
        refused = await served.call("echo")
        assert (refused.status_code, refused.headers["connection"]) == (503, "close")
        gateway.gate.set()
        assert (await call).status_code == 200


async def test_stopping_never_waits_longer_than_it_was_told_and_cancels_what_is_left():
    gateway = FakeGateway()
    async with serving(gateway) as served:
        session = await served.open()
        calls = [
            asyncio.create_task(served.call("wait")),
            asyncio.create_task(served.legacy(request("tools/call", {"name": "wait"}), session)),
        ]
        while len(gateway.runs) < 2:
            await anyio.lowlevel.checkpoint()
        with anyio.fail_after(5):
            await served.listener.stop(0.05)
            await asyncio.wait(calls)
            await asyncio.wait([run.task for run in gateway.runs])
        assert all(run.task.cancelled() for run in gateway.runs)
        for call in calls:
            call.exception()


async def test_a_client_that_does_not_read_cannot_hold_the_end_up():
    gateway = FakeGateway()
    async with serving(gateway) as served:
        body = modern_body("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        async with served.streaming(body) as reply:
            events = Events(reply)
            await events.next()
            for _ in range(50):
                for _ in range(900):
                    gateway.tell(ListChanged(OfferKind.TOOL))
                await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(5):
                await served.listener.stop(0.1)


async def test_cancelling_serve_closes_everything():
    gateway = FakeGateway()
    listener = HttpListener(HttpSpec(port=0), gateway)
    started = asyncio.Event()
    task = asyncio.create_task(listener.serve(lambda _url: started.set()))
    with anyio.fail_after(5):
        await started.wait()
        task.cancel()
        await asyncio.wait((task,))
        await listener.stop(1)
    assert task.cancelled()


async def test_a_listener_stopped_before_it_serves_never_begins():
    listener, told = HttpListener(HttpSpec(port=0), FakeGateway()), []
    with anyio.fail_after(5):
        await listener.stop(1)
        await listener.serve(told.append)
    assert told == []
    assert not listener._server.is_serving()


async def test_idle_sessions_are_reaped():
    async with serving(session_idle=0.1) as served:
        session = await served.open()
        with anyio.fail_after(5):
            await served.gateway.ended.wait()
        assert served.gateway.closed == [session]
        assert (await served.legacy(request("ping"), session)).status_code == 404


async def test_a_full_house_refuses_newcomers_for_now():
    async with serving(max_sessions=2, session_idle=1000) as served:
        first, _ = await served.open(), await served.open()
        refused = await served.client.post(served.url, json=initialize(), headers={"accept": BOTH})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
        await served.client.delete(served.url, headers={"mcp-session-id": first})
        assert await served.open()
