"""What real MCP clients and servers were seen to do (2026-11), each through the whole gateway: none of it does any harm.

Quirks that one side alone has to survive have their tests beside that side; `ELSEWHERE` names them, and a test sees
to it that they are there.
"""

import asyncio
import contextlib
import json
import sys
from pathlib import Path

import anyio
import httpx2
import pytest
from gateway_kit import BOTH, MODERN, Events, legacy, modern, piped, unruly, write_config
from http_kit import until
from http_legacy_raw import legacy_server
from whole_gateway import Played, gateway, over_stdio, played_gateway

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
RAW = str(ROOT / "tests" / "peers" / "stdio_raw.py")
PREFIX = "io.modelcontextprotocol/"
META = {PREFIX + "protocolVersion": MODERN, PREFIX + "clientCapabilities": {}}
FOUR = pytest.mark.parametrize(
    ("client", "backend"), [(client, backend) for client in (modern, legacy) for backend in ("modern", "legacy")]
)
TWO_ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
TOOL = {"name": "play", "inputSchema": {"type": "object"}}

ELSEWHERE = {
    "a server answers with ids of another type": "backends/test_mcp_link.py::test_an_id_may_come_back_as_text_or_number",
    "a server answers what nobody asked": "backends/test_mcp_link.py::test_unknown_ids_are_ignored_in_silence",
    "a server floods its log on stdout": "backends/test_mcp_link.py::test_a_flood_of_such_lines_is_counted_and_no_longer_shown",
    "progress after the end of its call": "backends/test_mcp_link.py::test_progress_for_an_unknown_token_is_dropped",
    "a server is asked nothing after it is done": "backends/test_mcp_link.py::test_nothing_is_cancelled_when_the_answer_came_first",
    "initialize must not be cancelled": "backends/test_mcp_link.py::test_initialize_is_never_cancelled_on_the_wire",
    "list pages in a circle": "backends/test_mcp_offers.py::test_pages_in_a_circle_end",
    "one address ends in /mcp twice": "listeners/test_http.py::test_paths_lead_to_profiles_health_or_nowhere",
    "a client gives its probe up": "listeners/test_stdio_eras.py::test_a_client_that_gave_its_probe_up_may_still_begin_with_initialize",
    "a reader that lags": "listeners/test_event_stream.py::test_a_reader_that_lags_loses_the_stream_once_and_nothing_before",
    "a client that leaves in the legacy era": "listeners/test_http_legacy.py::test_a_client_that_leaves_does_not_cancel",
    "our environment stays ours": "backends/test_child.py::test_only_the_allow_list_and_what_is_configured_is_inherited",
    "a child outlives its group": "backends/test_child.py::test_offspring_that_left_the_session_goes_with_a_normal_stop",
    "a gateway killed": "backends/test_reaper.py::test_a_killed_gateway_leaves_no_process_behind",
    "a message of the wrong HTTP status": "backends/test_http_answers.py::test_a_json_rpc_error_is_found_whatever_its_id",
}


@pytest.mark.parametrize("place", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_the_other_quirks_have_their_tests_beside_the_side_that_survives_them(place):
    file, _, name = place.partition("::")
    assert f"def {name}(" in (ROOT / "tests" / file).read_text()


def player(era, play):
    made = Played(era, tools=(TOOL,))
    made.plays["play"] = play
    return made


async def nothing(_given, _say):
    return {"content": []}


def request(era, method, params=None, key=1):
    meta = {"_meta": META} if era == "modern" else {}
    return {"id": key, "method": method, "params": {**(params or {}), **meta}}


async def opened(client, era):
    if era == "legacy":
        await client.initialize()


# Clients.


@TWO_ERAS
async def test_a_cancel_after_every_finished_call_cancels_nothing(tmp_path, era):
    config = write_config(tmp_path, {"one": over_stdio(era)})
    async with piped(config) as client:
        await opened(client, era)
        for key in (1, 2, "2", "a", 1):  # a finished id may come again
            message = request(era, "tools/call", {"name": "one__say", "arguments": {"levels": []}}, key)
            assert (await client.start(message["method"], message["params"], key))["id"] == key
            client.send({"method": "notifications/cancelled", "params": {"requestId": key, "reason": "AbortError"}})
        message = request(era, "tools/call", {"name": "one__report"}, "report")
        report = await client.start(message["method"], message["params"], "report")
        seen = [method for method, _, _ in report["result"]["structuredContent"]["seen"]]
        assert "notifications/cancelled" not in seen
        assert seen.count("tools/call") == 6


@pytest.mark.parametrize("backend", ["modern", "legacy"])
async def test_a_cancel_after_every_finished_call_over_http(tmp_path, backend):
    one = player(backend, nothing)
    async with played_gateway(tmp_path, ("one", one)) as url, legacy(url) as client:
        for key in (1, 2, "2"):
            assert (await client.call("one__play", key=key))["id"] == key
            told = await client.post(
                {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": key}}
            )
            assert told.status_code == 202
        assert "result" in await client.call("one__play")
        assert "notifications/cancelled" not in one.methods()


@TWO_ERAS
async def test_ids_that_differ_only_in_kind_are_different_requests_at_the_same_time(tmp_path, era):
    keys = [1, "1", 0, "", -5, "ä☃", 2**53, "q1"]
    config = write_config(tmp_path, {"one": unruly("--era", era)})
    async with piped(config) as client:
        await opened(client, era)
        calls = []
        for number, key in enumerate(keys):
            message = request(era, "tools/call", {"name": "one__count", "arguments": {"n": number, "delay": 0.2}}, key)
            calls.append(client.start(message["method"], message["params"], key))
        with anyio.fail_after(20):
            answers = [await call for call in calls]
        assert [answer["result"]["structuredContent"]["n"] for answer in answers] == list(range(len(keys)))


@TWO_ERAS
async def test_a_second_request_with_an_id_in_use_is_refused_and_the_first_goes_on(tmp_path, era):
    config = write_config(tmp_path, {"one": unruly("--era", era)})
    async with piped(config) as client:
        await opened(client, era)
        message = request(era, "tools/call", {"name": "one__count", "arguments": {"n": 1, "delay": 0.3}}, 7)
        client.send(message)
        client.send(message)

        async def answer():
            while "id" not in (found := await client.heard.get()):
                pass
            return found

        with anyio.fail_after(20):
            first, second = await answer(), await answer()
        assert (first["id"], first["error"]["code"]) == (7, -32602)
        assert second["result"]["structuredContent"]["n"] == 1


async def test_stateless_requests_may_all_have_the_same_id(tmp_path):
    async def echo(given, _say):
        return {"content": [], "structuredContent": given}

    async with played_gateway(tmp_path, ("one", player("modern", echo))) as url, modern(url) as client:
        answers = await asyncio.gather(*(client.call("one__play", {"n": n}) for n in range(20)))
        assert [answer["result"]["structuredContent"]["n"] for answer in answers] == list(range(20))


async def test_notifications_before_initialize_and_requests_before_initialized_harm_nothing(tmp_path):
    config = write_config(tmp_path, {"one": over_stdio("legacy")})
    async with piped(config) as client:
        client.send({"method": "notifications/initialized"})
        client.send({"method": "notifications/roots/list_changed"})
        client.send({"method": "notifications/cancelled", "params": {"requestId": 3}})
        info = {"name": "hasty", "version": "1"}
        params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info}
        greeting = client.start("initialize", params, "init")
        listed = client.start("tools/list", {}, "list")  # behind it at once, and `initialized` never comes
        assert (await greeting)["result"]["protocolVersion"] == "2025-06-18"
        assert (await listed)["result"]["tools"][0]["name"] == "one__report"
        assert "result" in await client.ask("tools/call", {"name": "one__report"}, "call")


async def test_a_session_that_never_says_initialized_is_served_over_http(tmp_path):
    async with played_gateway(tmp_path, ("one", Played("legacy"))) as url, modern(url) as client:
        params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
        opening = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        greeted = await client.http.post(url, json=opening, headers={"accept": BOTH})
        headers = {"accept": BOTH, "mcp-session-id": greeted.headers["mcp-session-id"]}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        assert '"tools":[' in (await client.http.post(url, json=body, headers=headers)).text


@pytest.mark.parametrize("length", [10_000, 3_000_000])
async def test_a_huge_cursor_of_a_client_is_refused_quickly(tmp_path, length):
    async with played_gateway(tmp_path, ("one", Played("modern"))) as url, modern(url) as client:
        with anyio.fail_after(5):
            answer, _ = await client.ask("tools/list", {"cursor": "A" * length})
        assert answer["error"]["code"] == -32602
        assert len(answer["error"]["message"]) < 300


async def test_batches_are_answered_in_the_one_revision_that_has_them_and_refused_in_all_others(tmp_path):
    batch = [
        {"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {"name": "one__report"}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "ping"},
        {"nonsense": True},
    ]
    async with played_gateway(tmp_path, ("one", Played("legacy"))) as url:
        async with legacy(url, version="2025-03-26") as old:
            answers = _messages(await old.post(batch))
            assert {answer["id"]: "result" in answer for answer in answers} == {"a": True, 2: True, None: False}
        async with legacy(url) as newer:
            assert (await newer.post(batch)).json()["error"]["code"] == -32600
            assert "result" in await newer.call("one__report")
        async with modern(url) as client:
            headers = {"accept": BOTH, "mcp-protocol-version": MODERN, "mcp-method": "tools/call"}
            assert (await client.http.post(url, json=batch, headers=headers)).status_code == 400


def _messages(reply):
    if reply.headers["content-type"].startswith("text/event-stream"):
        data = [
            json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ") and line[6:].strip()
        ]
        return [message for each in data for message in (each if isinstance(each, list) else [each])]
    return reply.json()


@TWO_ERAS
async def test_the_first_answer_comes_before_clients_give_up_though_a_server_is_silent(tmp_path, era):
    """Claude Code 2.1 waits 2.9 s for the answer to its probe, Codex 0.169 about 1 s for the whole start."""
    servers = {"slow": unruly("--mode", "silent"), "one": over_stdio(era)}
    config = write_config(tmp_path, servers, limits={"listWait": "30s"})
    async with piped(config) as client, asyncio.timeout(10):  # the start of the program itself included
        if era == "modern":
            message = request(era, "server/discover", key="server-discover-probe-1")
            answer = await client.start(message["method"], message["params"], "server-discover-probe-1")
        else:
            answer = await client.initialize()
        assert "result" in answer
        message = request(era, "tools/call", {"name": "one__report"}, 5)
        assert "result" in await client.start(message["method"], message["params"], 5)


# Servers.


@FOUR
async def test_progress_all_arrives_in_order_and_never_together_with_the_result(tmp_path, client, backend):
    """Qwen Code 0.24.4 drops a server whose last progress it reads together with the result."""
    token, steps = "t-ä", 50
    one = Played(backend, tools=(TOOL,))

    async def burst(_given, say):
        meta = one.seen[-1][1]["_meta"]
        for step in range(steps):
            say("notifications/progress", {"progressToken": meta["progressToken"], "progress": step, "total": steps})
        return {"content": []}

    one.plays["play"] = burst
    async with played_gateway(tmp_path, ("one", one)) as url, client(url) as asking:
        params = {"name": "one__play", "arguments": {}, "_meta": {"progressToken": token}}
        heard, at = [], []
        async with _stream(asking, "tools/call", params) as following:
            while (message := await following()) is not None:
                heard.append(message)
                at.append(asyncio.get_running_loop().time())
                if "method" not in message:
                    break
        assert [message["params"]["progress"] for message in heard[:-1]] == list(range(steps))
        assert {message["params"]["progressToken"] for message in heard[:-1]} == {token}
        assert "result" in heard[-1]
        assert at[-1] - at[-2] > 0.01


def _stream(client, method, params):
    if hasattr(client, "stream"):
        meta = params.pop("_meta")
        return client.stream(method, params, meta=meta)
    return _legacy_stream(client, method, params)


@contextlib.asynccontextmanager
async def _legacy_stream(client, method, params):
    body = {"jsonrpc": "2.0", "id": 99, "method": method, "params": params}
    async with client.http.stream("POST", client.url, json=body, headers=client.headers) as reply:
        yield Events(reply).next


@FOUR
async def test_an_event_of_more_than_a_megabyte_comes_through(tmp_path, client, backend):
    text = "ä" * 550_000

    async def big(_given, say):
        say("notifications/message", {"level": "emergency", "data": "first"})  # so that the answer is a stream
        return {"content": [{"type": "text", "text": text}]}

    async with played_gateway(tmp_path, ("one", player(backend, big))) as url, client(url) as asking:
        answer = await asking.call("one__play")
        assert answer["result"]["content"] == [{"type": "text", "text": text}]


@pytest.mark.parametrize("backend", ["modern", "legacy"])
async def test_one_dropped_post_takes_no_other_call_along(tmp_path, backend):
    gate, waiting = asyncio.Event(), []

    async def slow(given, _say):
        waiting.append(given)
        await gate.wait()
        return {"content": [], "structuredContent": given}

    one = player(backend, slow)
    async with played_gateway(tmp_path, ("one", one)) as url, modern(url) as new, legacy(url) as old:
        calls = [asyncio.ensure_future(client.call("one__play", {"n": n})) for n, client in enumerate((new, old) * 3)]
        await until(lambda: len(waiting) == len(calls))

        async def drop(_given, _say):
            raise ConnectionResetError

        one.plays["report"] = drop
        failed = await new.call("one__report")
        assert failed["error"]["data"] == {"kind": "died", "retryable": False}
        gate.set()
        answers = await asyncio.gather(*calls)
        assert [answer["result"]["structuredContent"]["n"] for answer in answers] == list(range(6))
        assert one.methods().count("tools/call") == 7


@TWO_ERAS
async def test_a_server_that_logs_to_stdout_is_understood_all_the_same(tmp_path, era):
    block = {"command": sys.executable, "args": [RAW, "--era", era]}
    async with gateway(tmp_path, {"one": block}) as (app, url), modern(url) as client:
        assert "result" in await client.call("one__noise")
        assert "result" in await client.call("one__noise")
        shown = list(app.gateway.generation.supervisors["one"].stderr)
        assert "stdout: Listening on stdio" in shown


async def test_a_server_that_logs_thousands_of_lines_at_its_start_is_understood(tmp_path):
    async with gateway(tmp_path, {"one": unruly("--mode", "chatty-start")}) as (_, url), modern(url) as client:
        assert (await client.call("one__count", {"n": 1}))["result"]["structuredContent"]["n"] == 1


async def test_a_server_that_speaks_before_it_was_initialized_is_understood(tmp_path):
    block = {"command": sys.executable, "args": [RAW, "--era", "legacy", "--early"]}
    async with gateway(tmp_path, {"one": block}) as (_, url), modern(url) as client:
        assert "result" in await client.call("one__echo")


async def test_a_server_that_never_answers_a_probe_is_spoken_to_in_the_other_era(tmp_path):
    block = {"command": sys.executable, "args": [RAW, "--era", "legacy", "--ignore-discover"]}
    async with gateway(tmp_path, {"one": block}) as (app, url), modern(url) as client:
        with anyio.fail_after(15):
            assert "result" in await client.call("one__echo")
        assert [
            era.value for era, works in app.gateway.generation.supervisors["one"].eras.verdicts.items() if works
        ] == ["legacy"]


async def test_a_server_that_answers_twice_is_heard_once(tmp_path):
    async with gateway(tmp_path, {"one": unruly()}) as (_, url), modern(url) as client:
        for _ in range(3):
            assert (await client.call("one__late"))["result"]["turn"] == 1


async def test_a_server_that_answers_in_an_array_is_understood(tmp_path):
    block = {"command": sys.executable, "args": [RAW]}
    async with gateway(tmp_path, {"one": block}) as (_, url), modern(url) as client:
        assert (await client.call("one__batch"))["result"]["batch"] is True


async def test_a_server_with_huge_cursors_is_walked_to_the_end(tmp_path):
    class Pages(Played):
        async def answer(self, method, params, talk, say, key=None):
            if method != "tools/list":
                return await super().answer(method, params, talk, say, key)
            number = int(params["cursor"][:1]) if "cursor" in params else 0
            page = {"tools": [{"name": f"t{number}", "inputSchema": {"type": "object"}}]}
            return self.complete(page | ({"nextCursor": f"{number + 1}" + "x" * 1_000_000} if number < 3 else {}))

    async with played_gateway(tmp_path, ("one", Pages("modern"))) as url, modern(url) as client:
        tools = (await client.ask("tools/list"))[0]["result"]["tools"]
        assert [tool["name"] for tool in tools] == ["one__t0", "one__t1", "one__t2", "one__t3"]


async def test_a_server_that_answers_an_id_as_text_is_understood(tmp_path):
    def script(posted):
        method = posted.json["method"]
        found = {"tools": [TOOL]} if method == "tools/list" else {"content": []}
        posted.reply(json.dumps({"jsonrpc": "2.0", "id": str(posted.json["id"]), "result": found}).encode())

    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(legacy_server(script))
        _, url = await stack.enter_async_context(gateway(tmp_path, {"one": {"type": "http", "url": server.url}}))
        client = await stack.enter_async_context(legacy(url))
        assert (await client.call("one__play"))["result"] == {"content": []}


# The end.


async def test_open_streams_on_both_sides_do_not_hold_the_end_up(tmp_path):
    backends = ("one", Played("modern")), ("two", Played("legacy"))
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as clients:
        async with played_gateway(tmp_path, *backends) as url:
            new, old = await clients.enter_async_context(modern(url)), await clients.enter_async_context(legacy(url))
            old.end = _nothing
            wanted = {"notifications": {"toolsListChanged": True}}
            listening = await clients.enter_async_context(new.stream("subscriptions/listen", wanted, key="l"))
            hearing = await clients.enter_async_context(old.listening())
            await new.call("one__report")
            await old.call("two__report")
            drained = [asyncio.ensure_future(_drain(stream)) for stream in (listening, hearing)]
            began = loop.time()
        assert loop.time() - began < 4
        first, _ = await asyncio.gather(*drained)
        assert first[-1]["id"] == "l"
        assert first[-1]["result"]["resultType"] == "complete"


async def _nothing():
    """The client leaves without a word."""


async def _drain(following):
    found = []
    with contextlib.suppress(httpx2.HTTPError):
        while (message := await following()) is not None:
            found.append(message)
    return found
