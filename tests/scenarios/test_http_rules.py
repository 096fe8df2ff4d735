"""The header rules and statuses of HTTP on the raw wire, on both sides of the gateway, after everything was renamed."""

import base64
import contextlib
import json

import httpx2
import pytest
from gateway_kit import BOTH, MODERN, legacy, modern
from http_kit import until
from http_legacy_raw import legacy_server
from http_raw import raw_server
from whole_gateway import Played, gateway, played_gateway

pytestmark = pytest.mark.anyio

PREFIX = "io.modelcontextprotocol/"
UNAVAILABLE = {"kind": "unavailable", "retryable": True}
META = {PREFIX + "protocolVersion": MODERN, PREFIX + "clientCapabilities": {}}
REGION = {"type": "string", "x-mcp-header": "Region"}
QUERY = {
    "name": "query",
    "inputSchema": {
        "type": "object",
        "properties": {"region": REGION, "count": {"type": "integer", "x-mcp-header": "Count"}},
    },
}


def peer(era, **more):
    return Played(era, tools=(QUERY,), **more)


@contextlib.asynccontextmanager
async def raw_client():
    async with httpx2.AsyncClient(timeout=20, trust_env=False) as http:
        yield http


async def send(url, method, params, **headers):
    """One modern request with exactly these headers besides those of HTTP itself; None leaves one out."""
    given = {"accept": BOTH, "mcp-protocol-version": MODERN, "mcp-method": method}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
    async with raw_client() as http:
        return await http.post(
            url, json=body, headers={name: value for name, value in given.items() if value is not None}
        )


def arrived(played, method):
    return [(params, headers) for name, params, headers in played.seen if name == method]


# What a backend receives.


@pytest.mark.parametrize("client", [modern, legacy])
async def test_a_modern_backend_gets_headers_that_fit_its_own_names(tmp_path, client):
    one, two = peer("modern"), peer("modern")
    async with played_gateway(tmp_path, ("one", one), ("two", two)) as url, client(url) as asking:
        await asking.ask("tools/call", {"name": "one__query", "arguments": {"region": "eu", "count": 7}})
        await asking.ask("prompts/get", {"name": "one__ask"})
        await asking.ask("resources/read", {"uri": "mcp://one/memo://a"})
        for method, key, name in (
            ("tools/call", "name", "query"),
            ("prompts/get", "name", "ask"),
            ("resources/read", "uri", "memo://a"),
        ):
            ((params, headers),) = arrived(one, method)
            assert params[key] == headers["mcp-name"] == name
            assert headers["mcp-method"] == method
            assert headers["mcp-protocol-version"] == params["_meta"][PREFIX + "protocolVersion"] == MODERN
            assert "mcp-session-id" not in headers
            assert headers["accept"] == BOTH
        ((_, headers),) = arrived(one, "tools/call")
        assert (headers["mcp-param-region"], headers["mcp-param-count"]) == ("eu", "7")
        tried = ("initialize",)  # a legacy client is reason enough to try the other era, whose headers are others
        assert all(headers.get("mcp-method") == method for method, _, headers in one.seen if method not in tried)


@pytest.mark.parametrize("client", [modern, legacy])
async def test_a_legacy_backend_gets_its_session_and_version_and_no_modern_header(tmp_path, client):
    one = peer("legacy")
    async with played_gateway(tmp_path, ("one", one)) as url, client(url) as asking:
        await asking.call("one__query", {"region": "eu"})
        ((params, headers),) = arrived(one, "tools/call")
        assert (params["name"], headers["mcp-session-id"], headers["mcp-protocol-version"]) == (
            "query",
            "s1",
            "2025-11-25",
        )
        assert not {"mcp-method", "mcp-name", "mcp-param-region"} & headers.keys()
        assert PREFIX + "protocolVersion" not in params.get("_meta", {})
    deleted = arrived(one, "DELETE")
    assert [headers["mcp-session-id"] for _, headers in deleted] == ["s1"], "a session is ended, once"


async def test_a_name_that_no_header_can_carry_travels_in_base64(tmp_path):
    odd = {"uri": "memo://ä/☃", "name": "odd"}
    one = peer("modern", resources=(odd,))
    async with played_gateway(tmp_path, ("one", one)) as url:
        name = f"=?base64?{base64.b64encode(odd['uri'].encode()).decode()}?="
        response = await send(url, "resources/read", {"uri": odd["uri"]}, mcp_name=name)
        assert response.json()["result"]["contents"][0]["uri"] == odd["uri"]
        ((_, headers),) = arrived(one, "resources/read")
        assert headers["mcp-name"] == name


async def test_an_argument_without_a_header_form_or_value_sends_no_header(tmp_path):
    one = peer("modern")
    async with played_gateway(tmp_path, ("one", one)) as url, legacy(url) as old:
        await old.call("one__query", {"count": 3})
        ((_, headers),) = arrived(one, "tools/call")
        assert [name for name in headers if name.startswith("mcp-param-")] == ["mcp-param-count"]


# What a client may send.


@pytest.mark.parametrize(
    ("method", "params", "own"),
    [
        ("tools/call", {"name": "one__query", "arguments": {}}, "query"),
        ("prompts/get", {"name": "one__ask"}, "ask"),
        ("resources/read", {"uri": "mcp://one/memo://a"}, "memo://a"),
    ],
)
async def test_the_name_header_of_a_client_is_the_public_name(tmp_path, method, params, own):
    one, two = peer("modern"), peer("legacy")
    async with played_gateway(tmp_path, ("one", one), ("two", two)) as url:
        public = params.get("name") or params["uri"]
        assert (await send(url, method, params, mcp_name=public)).status_code == 200
        before = len(one.seen)
        for wrong in (own, None, "", f"{public}x", "=?base64?!!?="):
            refused = await send(url, method, params, mcp_name=wrong)
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32020)
        for other in ("tools/list", None, method.upper()):
            refused = await send(url, method, params, mcp_name=public, mcp_method=other)
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32020)
        assert len(one.seen) == before, "nothing of it reached the backend"


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_parameter_headers_of_a_client_must_fit_its_arguments_whatever_the_backend_speaks(tmp_path, era):
    one = peer(era)
    async with played_gateway(tmp_path, ("one", one)) as url:
        params = {"name": "one__query", "arguments": {"region": "eu", "count": 7}}
        good = await send(
            url, "tools/call", params, mcp_name="one__query", mcp_param_region="eu", mcp_param_count="7.0"
        )
        assert good.status_code == 200, good.text
        for wrong in ({"mcp_param_region": "us"}, {"mcp_param_count": "8"}, {"mcp_param_region": None}):
            headers = {"mcp_param_region": "eu", "mcp_param_count": "7", **wrong}
            refused = await send(url, "tools/call", params, mcp_name="one__query", **headers)
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32020)
        assert len(arrived(one, "tools/call")) == 1


async def test_a_version_nobody_speaks_is_refused_with_those_that_are_spoken(tmp_path):
    async with played_gateway(tmp_path, ("one", peer("modern"))) as url, raw_client() as http:
        meta = {**META, PREFIX + "protocolVersion": "2031-01-01"}
        body = {"jsonrpc": "2.0", "id": 5, "method": "tools/list", "params": {"_meta": meta}}
        headers = {"accept": BOTH, "mcp-protocol-version": "2031-01-01", "mcp-method": "tools/list"}
        refused = await http.post(url, json=body, headers=headers)
        assert refused.status_code == 400
        error = refused.json()["error"]
        told = {key: error["data"][key] for key in ("supported", "requested")}
        assert (error["code"], told) == (-32022, {"supported": [MODERN], "requested": "2031-01-01"})
        assert refused.json()["id"] == 5
        offered = await http.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "1999-01-01", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}},
            headers={"accept": BOTH})  # fmt: skip
        assert '"protocolVersion":"2025-11-25"' in offered.text


async def test_a_backend_that_shares_no_version_with_us_is_told_to_the_caller_in_words(tmp_path):
    def play(request):
        request.error(-32022, "no", {"supported": ["2031-01-01"]}, status="400 Bad Request")

    async with raw_server(play) as server, gateway(tmp_path, {"one": {"type": "http", "url": server.url}}) as (_, url):
        async with modern(url) as client:
            error = (await client.call("one__x"))["error"]
            assert "2031-01-01" in error["message"] or "one" in error["message"]
        assert not [request for request in server.requests if request.json["method"] == "tools/call"]


async def test_statuses_of_the_modern_endpoint(tmp_path):
    async with played_gateway(tmp_path, ("one", peer("modern"))) as url, raw_client() as http:
        for method in ("GET", "DELETE", "PUT"):
            refused = await http.request(method, url, headers={"mcp-protocol-version": MODERN, "accept": BOTH})
            assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        assert (await send(url, "no/such", {})).status_code == 404
        assert (await send(url, "ping", {})).json()["error"]["code"] == -32601
        body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        told = await http.post(
            url, json=body, headers={"mcp-protocol-version": MODERN, "accept": BOTH, "mcp-method": body["method"]}
        )
        assert (told.status_code, told.content) == (202, b"")


async def test_statuses_of_the_legacy_endpoint(tmp_path):
    async with played_gateway(tmp_path, ("one", peer("legacy"))) as url, legacy(url) as old, raw_client() as http:
        told = await old.post({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"})
        assert (told.status_code, told.content) == (202, b"")
        answered = await old.post({"jsonrpc": "2.0", "id": "q9", "result": {}})
        assert answered.status_code == 202
        assert (await http.put(url, json={})).status_code == 405
        without = await http.post(
            url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers={"accept": BOTH}
        )
        assert without.status_code == 400
        assert (await http.delete(url, headers=old.headers)).status_code == 200
        gone = await old.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        assert gone.status_code == 404
        assert (await http.get(url, headers={**old.headers, "accept": "text/event-stream"})).status_code == 404
        assert (await http.delete(url, headers=old.headers)).status_code == 404


# Odd answers of backends.


async def test_a_legacy_backend_that_forgot_the_session_gets_a_new_one_for_the_next_call(tmp_path):
    one = peer("legacy")
    async with played_gateway(tmp_path, ("one", one)) as url, legacy(url) as old:
        await old.call("one__end")
        # The listening stream of the lost session may tell of its end before or after the next call finds out.
        answers = [await old.call("one__report") for _ in range(3)]
        assert [answer["error"]["data"] for answer in answers if "error" in answer] in ([], [UNAVAILABLE])
        assert [headers["mcp-session-id"] for _, headers in arrived(one, "tools/call")][-1] != "s1"


@pytest.mark.parametrize("status", ["405 Method Not Allowed", "404 Not Found", "500 Internal Server Error"])
async def test_a_refused_farewell_or_listening_stream_harms_nothing(tmp_path, status):
    def script(request):
        method = request.json["method"]
        if method == "tools/list":
            request.result({"tools": [{"name": "t", "inputSchema": {"type": "object"}}]})
        else:
            request.result({"content": []})

    def refuse(request):
        request.reply(b"", status=status)

    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(legacy_server(script, delete=refuse))
        _, url = await stack.enter_async_context(gateway(tmp_path, {"one": {"type": "http", "url": server.url}}))
        client = await stack.enter_async_context(modern(url))
        assert "result" in await client.call("one__t")
    assert [request.method for request in server.requests][-1] == "DELETE"


async def test_every_message_to_a_legacy_backend_says_which_revision_was_agreed(tmp_path):
    one = peer("legacy")
    async with played_gateway(tmp_path, ("one", one)) as url, legacy(url, capabilities={"roots": {}}) as old:
        await old.call("one__report")
        await old.post({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"})
        await until(lambda: arrived(one, "notifications/roots/list_changed"))
        later = [
            (method, headers) for method, _, headers in one.seen if method not in ("server/discover", "initialize")
        ]
        assert all(headers["mcp-protocol-version"] == "2025-11-25" for _, headers in later)
        assert all("mcp-session-id" in headers for _, headers in later)


async def test_the_answer_of_a_call_is_json_or_events_and_says_the_same(tmp_path):
    one = peer("modern")

    async def talk(_given, say):
        say("notifications/message", {"level": "error", "data": "x"})
        return {"content": [{"type": "text", "text": "t"}]}

    one.plays["query"] = talk
    async with played_gateway(tmp_path, ("one", one)) as url, modern(url) as client:
        plain, notes = await client.ask("tools/call", {"name": "one__query"})
        told, heard = await client.ask("tools/call", {"name": "one__query"}, meta={PREFIX + "logLevel": "debug"})
        assert plain == told
        assert (notes, [json.dumps(note["params"]) for note in heard]) == ([], ['{"level": "error", "data": "x"}'])
