"""HTTP servers that refuse, drop, dribble, redirect, compress, flood and lie: each harms its own calls alone."""

import asyncio
import gzip
import json

import anyio
import pytest
from gateway_kit import legacy, modern, resident, serving, unruly, until
from http_raw import raw_server

pytestmark = pytest.mark.anyio

EFFECTS = "it may have had effects and was not repeated"
INFO = {"name": "raw", "version": "1"}
WAYS = (
    "fine", "drop", "drop-in-body", "drop-in-stream", "500", "500-text", "401", "404", "429", "redirect", "gzip", "html",
    "no-type", "empty", "202", "204", "not-json", "wrong-id", "text-result", "batch", "too-long", "too-long-chunked",
    "head-bomb", "not-http", "slow", "endless-comments", "endless-progress", "silent-stream", "stream-lies", "until-close",
)  # fmt: skip


class Server:
    """One server, both eras. `calls` counts what it was asked to do, by way."""

    def __init__(self, era):
        self.era = era
        self.calls = {}
        self.gone = asyncio.Event()

    async def __call__(self, request):  # noqa: PLR0911 - a table of methods
        if request.method == "DELETE":
            return request.reply(b"")
        if request.method == "GET":
            return request.reply(b"", status="405 Method Not Allowed")
        message = request.json
        method, is_modern = message["method"], "mcp-method" in request.headers
        if is_modern != (self.era == "modern"):
            return request.reply(b"", status="400 Bad Request")
        if "id" not in message:
            return request.reply(b"", status="202 Accepted")
        if method == "server/discover":
            meta = {"io.modelcontextprotocol/serverInfo": INFO}
            return request.result({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "_meta": meta})
        if method == "initialize":
            version = message["params"]["protocolVersion"]
            return request.result({"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": INFO})
        if method == "tools/list":
            return request.result({"tools": [{"name": way, "inputSchema": {"type": "object"}} for way in WAYS]})
        way = message["params"]["name"]
        self.calls[way] = self.calls.get(way, 0) + 1
        return await self.act(way, request)

    async def act(self, way, request):  # noqa: PLR0911 - a table of ways
        key = request.json["id"]
        body = json.dumps({"jsonrpc": "2.0", "id": key, "result": {"content": [], "resultType": "complete"}}).encode()
        if way in REPLIES:
            return REPLIES[way](request, body)
        if way == "drop":
            return request.close()
        if way == "drop-in-body":
            request.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n" + body)
            return request.close()
        if way == "until-close":
            request.write(b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + body)
            return request.close()
        if way == "slow":
            request.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n")
            while not request.writer.is_closing():
                request.write(b" ")
                await asyncio.sleep(0.02)
            return None
        if way == "too-long-chunked":
            request.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(400):
                request.chunk(b'"' + b"x" * 10_000)
                await request.writer.drain()
            return None
        return await self.stream(way, request, key)

    async def stream(self, way, request, key):
        request.start_events()
        progress = {
            "progressToken": request.json["params"].get("_meta", {}).get("progressToken", "none"),
            "progress": 1,
        }
        note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": progress}
        if way == "drop-in-stream":
            request.event(note)
            request.close()
            return
        if way == "stream-lies":
            request.event("{not json")
            request.event({"jsonrpc": "2.0", "id": 10**9, "result": {}})
            request.end_events()
            return
        if way == "silent-stream":
            await request.gone()
            return
        data = b": x\n\n" * 500 if way == "endless-comments" else b"data: %b\n\n" % json.dumps(note).encode() * 50
        try:
            while not request.writer.is_closing():
                request.chunk(data)
                await request.writer.drain()
                await asyncio.sleep(0)
        finally:
            self.gone.set()


REPLIES = {
    "fine": lambda request, body: request.reply(body),
    "500": lambda request, _body: request.reply(b'{"oops": 1}', status="500 Internal Server Error"),
    "500-text": lambda request, _body: request.reply(b"the database is gone", status="500 Oh", kind="text/plain"),
    "401": lambda request, _body: request.reply(b"", status="401 No", extra='www-authenticate: Bearer realm="r"\r\n'),
    "404": lambda request, _body: request.reply(b"", status="404 Not Found"),
    "429": lambda request, _body: request.reply(b"", status="429 Slow", extra="retry-after: 7\r\n"),
    "redirect": lambda request, _body: request.reply(b"", status="307 Moved", extra="location: http://127.0.0.1:1/new\r\n"),
    "gzip": lambda request, body: request.reply(gzip.compress(body), extra="content-encoding: gzip\r\n"),
    "html": lambda request, _body: request.reply(b"<html>", kind="text/html"),
    "no-type": lambda request, body: request.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)),
    "empty": lambda request, _body: request.reply(b""),
    "202": lambda request, _body: request.reply(b"", status="202 Accepted"),
    "204": lambda request, _body: request.write(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "not-json": lambda request, body: request.reply(body[:-2]),
    "wrong-id": lambda request, _body: request.reply(b'{"jsonrpc":"2.0","id":123456,"result":{}}'),
    "text-result": lambda request, _body: request.reply(
        b'{"jsonrpc":"2.0","id":%d,"result":"text"}' % request.json["id"]
    ),
    "batch": lambda request, _body: request.reply(b"[]"),
    "too-long": lambda request, _body: request.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n{"
    ),
    "head-bomb": lambda request, _body: request.write(b"HTTP/1.1 200 OK\r\n" + b"x-filler: 1234567890\r\n" * 10_000),
    "not-http": lambda request, _body: request.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
}  # fmt: skip

FAILURES = {
    # way: (kind, code or None for whatever, words)
    "drop": ("died", -32000, EFFECTS),
    "drop-in-body": ("died", -32000, EFFECTS),
    "drop-in-stream": ("died", -32000, EFFECTS),
    "500": ("backend_error", -32603, "HTTP 500"),
    "500-text": ("backend_error", -32603, "the database is gone"),
    "401": ("unavailable", -32603, "sign-in for 'r'"),
    "404": ("unavailable", -32603, "HTTP 404"),
    "429": ("unavailable", -32603, "retry after 7"),
    "redirect": ("unavailable", -32603, "redirects to http://127.0.0.1:1/new"),
    "gzip": ("bad_answer", -32603, "compressed (gzip)"),
    "html": ("bad_answer", -32603, "text/html"),
    "no-type": ("bad_answer", -32603, "no content type"),
    "empty": ("bad_answer", -32603, "backend web"),
    "202": ("bad_answer", -32603, "202"),
    "204": ("bad_answer", -32603, "backend web"),
    "not-json": ("bad_answer", -32603, "JSON"),
    "wrong-id": ("bad_answer", -32603, "backend web"),
    "text-result": ("bad_answer", -32603, "JSON object"),
    "batch": ("bad_answer", -32603, "backend web"),
    "too-long": ("bad_answer", -32603, "maxResultBytes"),
    "too-long-chunked": ("bad_answer", -32603, "maxResultBytes"),
    "head-bomb": ("bad_answer", -32603, "head of more than"),
    "not-http": ("bad_answer", -32603, "not well-formed HTTP"),
    "slow": ("timeout", -32001, EFFECTS),
    "endless-comments": ("timeout", -32001, EFFECTS),
    "silent-stream": ("timeout", -32001, EFFECTS),
    "stream-lies": ("bad_answer", -32603, "backend web"),
}


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_wrong_answer_over_http_ends_its_own_call_with_an_error_that_says_what_was_wrong(tmp_path, era):
    script = Server(era)
    expected = FAILURES | ({} if era == "modern" else {"stream-lies": ("died", -32000, EFFECTS)})
    async with raw_server(script) as raw:
        servers = {"web": {"type": "http", "url": raw.url}, "good": unruly()}
        backends = {"web": {"timeout": "1s", "maxResultBytes": "1MiB"}}
        async with serving(tmp_path, servers, backends=backends) as gateway, modern(gateway.url) as client:
            assert "result" in await client.call("web__fine")
            before = resident(gateway.pid)
            for way, (kind, code, words) in expected.items():
                with anyio.fail_after(10):
                    response, good = await asyncio.gather(client.call(f"web__{way}"), client.call("good__count"))
                error = response["error"]
                assert (way, error["code"]) == (way, code)
                assert words in error["message"], way
                assert error["data"].get("kind", "backend_error") == kind, way
                assert "result" in good
                assert "result" in await client.call("web__fine")
            assert "result" in await client.call("web__until-close")
            assert {way for way, count in script.calls.items() if count != 1} == {"fine"}
            assert resident(gateway.pid) < before + 60
            failed = {run.started["target"]: run.ended["kind"] for run in gateway.runs(status="failed")}
            assert failed == {way: kind for way, (kind, _, _) in expected.items()}


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_an_event_stream_that_never_ends_holds_nobody_up_and_is_closed_when_time_is_up(tmp_path, era):
    script = Server(era)
    async with raw_server(script) as raw:
        servers = {"web": {"type": "http", "url": raw.url}, "good": unruly()}
        async with (
            serving(tmp_path, servers, backends={"web": {"timeout": "1s"}}) as gateway,
            modern(gateway.url) as client,
        ):
            assert "result" in await client.call("web__fine")
            before, served = resident(gateway.pid), 0
            endless = asyncio.create_task(client.call("web__endless-comments"))
            while not endless.done():
                with anyio.fail_after(10):
                    assert "result" in await client.call("good__count")
                served += 1
            assert (await endless)["error"]["data"]["kind"] == "timeout"
            assert served > 12
            with anyio.fail_after(10):
                await script.gone.wait()
            assert resident(gateway.pid) < before + 60


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_server_that_is_down_at_the_start_serves_once_it_is_up(tmp_path, era, free_port):
    servers = {"web": {"type": "http", "url": f"http://127.0.0.1:{free_port}/mcp"}, "good": unruly()}
    async with serving(tmp_path, servers) as gateway, modern(gateway.url) as new, legacy(gateway.url) as old:
        with anyio.fail_after(10):
            assert "result" in await new.call("good__count")
        error = (await new.call("web__fine"))["error"]
        assert "connection refused" in error["message"]
        assert error["data"] == {"kind": "unavailable", "retryable": True}
        for _turn in range(2):  # it comes, goes, and comes again
            async with raw_server(Server(era), port=free_port):
                with anyio.fail_after(20):
                    while "error" in await new.call("web__fine"):  # noqa: ASYNC110 - once its pause is over
                        await asyncio.sleep(0.1)
                assert "result" in await old.call("web__fine")
                assert "web__fine" in {tool["name"] for tool in (await old.ask("tools/list"))[0]["result"]["tools"]}
            error = (await new.call("web__fine"))["error"]
            assert "web" in error["message"]
            assert "result" in await new.call("good__count")


async def test_many_calls_in_flight_on_a_server_that_goes_away_all_end(tmp_path):
    script = Server("modern")
    servers = {"good": unruly()}
    async with raw_server(script) as raw:
        servers["web"] = {"type": "http", "url": raw.url}
        async with serving(tmp_path, servers) as gateway, modern(gateway.url) as client:
            assert "result" in await client.call("web__fine")
            calls = [asyncio.create_task(client.call("web__silent-stream")) for _ in range(32)]
            await until(lambda: script.calls.get("silent-stream") == 32)
            raw.drop()
            with anyio.fail_after(10):
                for response in await asyncio.gather(*calls):
                    assert response["error"]["code"] == -32000
                    assert EFFECTS in response["error"]["message"]
                    assert response["error"]["data"] == {"kind": "died", "retryable": False}
                assert "result" in await client.call("web__fine")
                assert "result" in await client.call("good__count")
            assert script.calls["silent-stream"] == 32
