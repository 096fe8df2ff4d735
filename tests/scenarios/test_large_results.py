"""Large results through the whole gateway: bounded for the client, whole at an address, for the caller and nobody else."""

import base64
import contextlib
import hashlib
import json
import shlex
import sys
from pathlib import Path

import pytest
from delegation_kit import Desk, House
from gateway_kit import legacy, modern, piped, serving, write_config
from whole_gateway import Played, gateway, over_http, over_stdio, played_gateway

pytestmark = pytest.mark.anyio

CLIENTS = {"modern": modern, "legacy": legacy}
PAIRS = [("modern", "modern"), ("modern", "legacy"), ("legacy", "modern"), ("legacy", "legacy")]
WHOLE = "mcp-orchestrator/result"
RANGE = "mcp-orchestrator/range"
TEXT = "".join(f'line {number} äöü "quoted" \\ \n' for number in range(150_000))
ROWS = [{"id": number, "name": f"row {number}"} for number in range(100_000)]
PICTURE = base64.b64encode(bytes(range(256)) * 4000).decode()
ROWS_SCHEMA = {"type": "object", "properties": {"rows": {"type": "array"}}, "required": ["rows"]}
ALL_ROWS = {"type": "object", "properties": {"rows": {"type": "array", "minItems": 100_000}}, "required": ["rows"]}
PLAIN = {"type": "object"}


def server(era):
    """A server whose tools give far too much."""

    async def text(_given, _say):
        return {"content": [{"type": "text", "text": TEXT}]}

    async def rows(_given, _say):
        return {"content": [{"type": "text", "text": json.dumps({"rows": ROWS})}], "structuredContent": {"rows": ROWS}}

    async def picture(_given, _say):
        image = {"type": "image", "data": PICTURE, "mimeType": "image/png"}
        return {"content": [{"type": "text", "text": "a picture"}, image], "isError": True}

    async def small(_given, _say):
        return {"content": [{"type": "text", "text": "small"}], "structuredContent": {"n": 1}}

    tools = [{"name": name, "inputSchema": PLAIN} for name in ("text", "picture", "small")]
    tools.append({"name": "rows", "inputSchema": PLAIN, "outputSchema": ROWS_SCHEMA})
    tools.append({"name": "all_rows", "inputSchema": PLAIN, "outputSchema": ALL_ROWS})
    played = Played(era, tools=tools)
    played.plays = {"text": text, "rows": rows, "all_rows": rows, "picture": picture, "small": small}
    return played


async def read(client, uri, **range_):
    meta = {RANGE: range_} if range_ else None
    response, _ = await client.ask("resources/read", {"uri": uri}, meta=meta)
    assert "result" in response, response
    return response["result"]["contents"]


async def refused(client, uri):
    response, _ = await client.ask("resources/read", {"uri": uri})
    return response["error"]


def length(result):
    return len(json.dumps(result, separators=(",", ":"), ensure_ascii=False).encode())


@pytest.mark.parametrize(("client", "backend"), PAIRS)
async def test_five_megabytes_of_text_are_bounded_and_read_piece_by_piece_until_nothing_is_missing(
    tmp_path, client, backend
):
    results = {"inline": {"bytes": "64KiB"}, "tools": {"one.nothing": {"bytes": "4KiB"}}}
    async with (
        played_gateway(tmp_path, ("one", server(backend)), results=results) as url,
        CLIENTS[client](url) as made,
    ):
        result = (await made.call("one__text"))["result"]
        assert length(result) <= 65536
        whole = result["_meta"][WHOLE]
        assert whole["uri"].startswith("result://")
        assert "left out" in result["content"][-1]["text"].lower()
        assert whole["uri"] in result["content"][-1]["text"]
        found, _, marker = result["content"][0]["text"].rpartition("[... ")
        assert len(found) > 20_000
        address = marker.split(": ", 1)[1].rstrip("]")
        while address:
            contents = await read(made, address)
            assert length({"contents": contents}) <= 65536
            found += contents[0]["text"]
            address = contents[1]["uri"] if len(contents) > 1 else ""
        assert found == TEXT
        (item,) = await read(made, f"{whole['uri']}/content/0/lines/1000..1002")
        assert item["text"] == "".join(f'line {number} äöü "quoted" \\ \n' for number in (1000, 1001))
        (item,) = await read(made, f"{whole['uri']}/content/0", offset=100, length=50)
        assert item["text"] == TEXT[100:150]
        assert item["_meta"][RANGE]["total"] == len(TEXT)


@pytest.mark.parametrize(("client", "backend"), PAIRS)
async def test_of_a_hundred_thousand_items_the_first_are_shown_and_all_can_be_selected(tmp_path, client, backend):
    async with (
        played_gateway(tmp_path, ("one", server(backend)), results={"inline": {"items": 100, "bytes": "32KiB"}}) as url,
        CLIENTS[client](url) as made,
    ):
        result = (await made.call("one__rows"))["result"]
        assert result["structuredContent"] == {"rows": ROWS[:100]}
        uri = result["_meta"][WHOLE]["uri"]
        contents = await read(made, f"{uri}/structured/rows/77777..77780")
        assert json.loads(contents[0]["text"]) == ROWS[77777:77780]
        assert contents[0]["_meta"][RANGE] == {"offset": 77777, "length": 3, "total": 100_000, "unit": "items"}
        assert json.loads((await read(made, f"{uri}/structured/rows/99999/name"))[0]["text"].join('""')) == "row 99999"
        first, more = await read(made, f"{uri}/structured/rows/500..")
        assert json.loads(first["text"]) == ROWS[500:600]
        assert more["uri"] == f"{uri}/structured/rows/600.."


async def test_a_structured_content_that_would_not_fit_its_schema_any_more_is_left_out_and_that_is_said(tmp_path):
    async with (
        played_gateway(tmp_path, ("one", server("modern")), results={"inline": {"items": 100}}) as url,
        modern(url) as made,
    ):
        result = (await made.call("one__all_rows"))["result"]
        assert "structuredContent" not in result
        uri = result["_meta"][WHOLE]["uri"]
        assert {"uri": f"{uri}/structured", "what": result["_meta"][WHOLE]["leftOut"][0]["what"]} in result["_meta"][
            WHOLE
        ]["leftOut"]
        assert f"{uri}/structured" in result["content"][-1]["text"]


@pytest.mark.parametrize(("client", "backend"), PAIRS)
async def test_a_picture_becomes_a_link_at_which_it_is_found_whole_and_an_error_stays_one(tmp_path, client, backend):
    async with (
        played_gateway(tmp_path, ("one", server(backend)), results={"inline": {"bytes": "16KiB"}}) as url,
        CLIENTS[client](url) as made,
    ):
        result = (await made.call("one__picture"))["result"]
        assert result["isError"] is True
        text, link, _note = result["content"]
        assert text == {"type": "text", "text": "a picture"}
        assert (link["type"], link["mimeType"]) == ("resource_link", "image/png")
        (item,) = await read(made, link["uri"])
        assert (item["blob"], item["mimeType"]) == (PICTURE, "image/png")


async def test_the_bounds_of_profiles_and_tools_hold_where_they_are_meant(tmp_path):
    sections = {
        "results": {"tools": {"one.picture": {"bytes": "8MiB"}, "one.text": {"lines": 5}}},
        "profiles": {"tight": {"include": ["one.*"], "results": {"bytes": "8KiB"}}, "wide": {}},
    }
    async with played_gateway(tmp_path, ("one", server("modern")), **sections) as url, modern(url) as wide:
        assert "_meta" not in (await wide.call("one__rows"))["result"]
        assert "_meta" not in (await wide.call("one__picture"))["result"]
        assert (await wide.call("one__text"))["result"]["content"][0]["text"].count("\n") == 5
        async with modern(f"{url}/tight") as tight:
            for tool in ("rows", "picture", "text"):
                result = (await tight.call(f"one__{tool}"))["result"]
                assert length(result) <= 8192
                (item, *_) = await read(tight, result["_meta"][WHOLE]["uri"] + "/content/0/0..5")
                assert len(item["text"]) == 5


async def test_a_result_within_the_bound_and_every_result_without_one_pass_untouched(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    async with played_gateway(first, ("one", server("modern"))) as url, modern(url) as made:
        plain = [(await made.call(f"one__{tool}"))["result"] for tool in ("small", "rows")]
        assert plain[1]["structuredContent"] == {"rows": ROWS}
        assert (await made.ask("resources/templates/list"))[0]["result"]["resourceTemplates"] == []
    bounds = {"inline": {"bytes": "64KiB", "items": 20, "lines": 20}}
    async with played_gateway(second, ("one", server("modern")), results=bounds) as url, modern(url) as made:
        assert (await made.call("one__small"))["result"] == plain[0]
        templates = (await made.ask("resources/templates/list"))[0]["result"]["resourceTemplates"]
        assert [one["uriTemplate"] for one in templates] == ["result://{run}{/path*}"]
        listed = (await made.ask("resources/list"))[0]["result"]["resources"]
        assert not [one for one in listed if one["uri"].startswith("result:")]


async def test_resources_and_prompts_are_bounded_as_well(tmp_path):
    played = server("modern")

    async def answer(method, params, talk, say, key=None):
        if method == "prompts/get":
            messages = [{"role": "user", "content": {"type": "text", "text": TEXT[:400_000]}}]
            return played.complete({"messages": messages})
        return await Played.answer(played, method, params, talk, say, key)

    played.answer = answer
    async with (
        played_gateway(tmp_path, ("one", played), results={"inline": {"bytes": "8KiB"}}) as url,
        modern(url) as made,
    ):
        contents = await read(made, "big://text/300000")
        assert length({"contents": contents}) <= 8192
        note = contents[-1]["text"]
        uri = note.split("is the resource ")[1].split(";")[0]
        (whole, *_) = await read(made, f"{uri}/contents/0", offset=0)
        assert len(whole["text"]) == 300_000
        (part,) = await read(made, "big://text/300000", offset=0, length=100_000)
        assert part["_meta"][RANGE]["length"] == 100_000
        prompt = (await made.ask("prompts/get", {"name": "one__ask"}))[0]["result"]
        assert length(prompt) <= 8192
        assert prompt["messages"][0]["content"]["text"].startswith(TEXT[:1000])
        uri = prompt["_meta"][WHOLE]["uri"]
        (item, *_) = await read(made, f"{uri}/messages/0/399990..")
        assert item["text"] == TEXT[399_990:400_000]


async def test_what_is_kept_survives_a_restart_and_is_gone_when_its_time_is_over(tmp_path):
    async with contextlib.AsyncExitStack() as stack:
        servers = {"one": await stack.enter_async_context(over_http(server("modern")))}
        bounds = {"inline": {"bytes": "8KiB"}}
        async with gateway(tmp_path, servers, results=bounds) as (_, url), modern(url) as made:
            whole = (await made.call("one__text"))["result"]["_meta"][WHOLE]
        async with gateway(tmp_path, servers, results={**bounds, "keep": 1}) as (app, url), modern(url) as made:
            (item,) = await read(made, whole["uri"], offset=0)
            assert len(item["text"].encode()) == whole["bytes"]
            assert hashlib.sha256(item["text"].encode()).hexdigest() == whole["sha256"]
            late = (await made.call("one__text"))["result"]["_meta"][WHOLE]["uri"]
            now = app.engine.now
            app.engine.now = lambda: now() + 2
            error = await refused(made, late)
            assert "not found" in error["message"]
            assert await read(made, whole["uri"])


async def test_nobody_but_the_caller_reads_a_result(tmp_path, monkeypatch):
    async with contextlib.AsyncExitStack() as stack:
        servers = {"one": await stack.enter_async_context(over_http(server("modern")))}
        app, url = await stack.enter_async_context(gateway(tmp_path, servers, results={"inline": {"bytes": "8KiB"}}))
        made = await stack.enter_async_context(modern(url))
        uri = (await made.call("one__text"))["result"]["_meta"][WHOLE]["uri"]
        assert await read(made, uri)
        plan = app.gateway.plan

        def as_eve(call, *more, **named):
            call.principal = type(call.principal)("token:eve", "token")
            return plan(call, *more, **named)

        monkeypatch.setattr(app.gateway, "plan", as_eve)
        stolen, missing = await refused(made, uri), await refused(made, "result://ffffffffff000001")
        assert stolen["code"] == missing["code"]
        assert stolen["message"].replace(uri, "X") == missing["message"].replace("result://ffffffffff000001", "X")


async def test_a_path_that_leads_nowhere_is_refused_with_how_far_it_led(tmp_path):
    async with (
        played_gateway(tmp_path, ("one", server("modern")), results={"inline": {"items": 5}}) as url,
        modern(url) as made,
    ):
        uri = (await made.call("one__rows"))["result"]["_meta"][WHOLE]["uri"]
        error = await refused(made, f"{uri}/structured/rows/100000/id")
        assert f"{uri}/structured/rows is there" in error["message"]
        assert error["data"]["uri"].startswith(uri)


async def test_a_result_that_cannot_be_kept_is_handed_on_whole(tmp_path):
    bounds = {"inline": {"bytes": "8KiB"}, "space": "1MiB"}
    async with played_gateway(tmp_path, ("one", server("modern")), results=bounds) as url, modern(url) as made:
        assert (await made.call("one__text"))["result"]["content"] == [{"type": "text", "text": TEXT}]
        assert WHOLE in (await made.call("one__picture", {}))["result"].get("_meta", {WHOLE: 1})


AS_AGENT = """
import json, os, urllib.request
server = json.loads(os.environ["OPENING"])["mcpServers"][0]
headers = {one["name"]: one["value"] for one in server["headers"]}
PREFIX = "io.modelcontextprotocol/"

def ask(method, name, **params):
    meta = {PREFIX + "protocolVersion": "2026-07-28", PREFIX + "clientInfo": {"name": "a", "version": "1"},
            PREFIX + "clientCapabilities": {}}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    sent = {**headers, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": name}
    request = urllib.request.Request(server["url"], json.dumps(body).encode(), sent)
    return json.loads(urllib.request.urlopen(request).read())["result"]

uri = "big://text/300000"
first = ask("resources/read", uri, uri=uri)["contents"]
kept = first[-1]["text"].split("is the resource ")[1].split(";")[0]
last = ask("resources/read", kept + "/contents/0/299990..", uri=kept + "/contents/0/299990..")["contents"][0]["text"]
print(json.dumps({"shown": len(first[0]["text"]), "kept": kept, "last": last, "long": "y" * 50000}))
"""


async def test_an_agent_is_bounded_like_a_client_and_reads_its_own_results_and_what_it_says_is_bounded_for_its_caller(
    tmp_path,
):
    house = House(tmp_path).shell("worker")
    config = house.config({"one": over_stdio("modern")}, results={"inline": {"bytes": "8KiB"}})
    async with serving(tmp_path, config=config) as running, modern(running.url) as client:
        task = shlex.join([sys.executable, "-c", AS_AGENT])
        result = await Desk(client).tool("delegate", agent="worker", task=task)
        assert length(result) <= 8192
        (item,) = await read(client, result["_meta"][WHOLE]["uri"] + "/structured/text", offset=0)
        said = json.loads(item["text"])
        assert 1000 < said["shown"] < 8192
        assert said["last"] == "".join(("0123456789 äöü\n" * 20001)[299_990:300_000])
        assert len(said["long"]) == 50_000
        error = await refused(client, f"{said['kept']}/contents/0")
        assert "no such result" in error["message"], "what an agent read is the agent's"
        status = await Desk(client).tool("run_status", run=result["structuredContent"]["run"])
        assert length(status) <= 8192


TASK_SERVER = str(Path(__file__).parents[1] / "peers" / "task_server.py")
TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_the_result_of_a_task_is_bounded_where_it_is_fetched(tmp_path, era):
    server = {"command": sys.executable, "args": [TASK_SERVER, era]}
    async with (
        serving(tmp_path, {"one": server}, results={"inline": {"bytes": "8KiB"}}) as running,
        modern(running.url, capabilities=TASKS) as client,
    ):
        label = "x" * 30_000
        task = (await client.call("one__slow_compute", {"seconds": 0, "label": label}))["result"]["taskId"]
        shown = {"status": "working"}
        while shown["status"] == "working":
            request = client.request("tasks/get", {"taskId": task})
            request["headers"]["mcp-name"] = task
            shown = (await client.http.post(client.url, **request)).json()["result"]
        assert shown["status"] == "completed"
        assert length(shown) <= 8192 + 600, "the fields of the task itself come on top"
        assert shown["result"]["content"][0]["text"].count("x") > 2000
        left = shown["result"]["_meta"][WHOLE]["leftOut"][0]["uri"]
        (item, *_) = await read(client, left, offset=0)
        head = shown["result"]["content"][0]["text"].rpartition("[... ")[0]
        assert label in head + item["text"]


@pytest.mark.parametrize("client", [modern, legacy])
async def test_a_model_that_reads_no_resources_has_a_tool_for_it_in_every_profile_that_does_not_leave_it_out(
    tmp_path, client
):
    profiles = {"small": {"include": ["one.text"]}, "bare": {"exclude": ["result_read"]}}
    sections = {"results": {"inline": {"bytes": "8KiB"}}, "profiles": profiles}
    async with played_gateway(tmp_path, ("one", server("modern")), **sections) as url, client(f"{url}/small") as made:
        tools = (await made.ask("tools/list"))[0]["result"]["tools"]
        assert {one["name"] for one in tools} == {"one__text", "result_read"}
        uri = (await made.call("one__text"))["result"]["_meta"][WHOLE]["uri"]
        result = (await made.call("result_read", {"uri": f"{uri}/content/0/lines/7..8"}))["result"]
        assert result["content"] == [{"type": "text", "text": TEXT.splitlines(keepends=True)[7]}]
        result = (await made.call("result_read", {"uri": f"{uri}/content/0"}))["result"]
        assert length(result) <= 8192
        assert "more characters follow" in result["content"][1]["text"]
        result = (await made.call("result_read", {"uri": "result://nothing"}))["result"]
        assert result["isError"] is True
        async with client(f"{url}/bare") as bare:
            names = {one["name"] for one in (await bare.ask("tools/list"))[0]["result"]["tools"]}
            assert "one__text" in names
            assert "result_read" not in names, "a profile may leave it out"
            assert await read(bare, f"{uri}/content/0/0..5")


async def test_what_a_policy_takes_out_is_neither_shown_nor_kept(tmp_path):
    policies = [{"id": "no-rows", "match": {"tool": ["one.text"]}, "effect": "redact", "phases": ["result"],
                 "redact": {"expressions": ["line [0-9]+"]}}]  # fmt: skip
    async with (
        played_gateway(
            tmp_path, ("one", server("modern")), results={"inline": {"bytes": "8KiB"}}, policies=policies
        ) as url,
        modern(url) as made,
    ):
        result = (await made.call("one__text"))["result"]
        assert "line 1" not in result["content"][0]["text"]
        (item,) = await read(made, result["_meta"][WHOLE]["uri"], offset=0)
        assert "äöü" in item["text"]
        assert "line 1" not in item["text"]


async def test_a_logical_tool_is_bounded_by_its_own_name(tmp_path):
    tools = {"much": {"description": "d", "inputSchema": PLAIN, "providers": [{"tool": "one.text"}]}}
    bounds = {"tools": {"much": {"bytes": "8KiB"}}}
    async with (
        played_gateway(tmp_path, ("one", server("modern")), results=bounds, tools=tools) as url,
        modern(url) as made,
    ):
        result = (await made.call("much"))["result"]
        assert length(result) <= 8192
        (item, *_) = await read(made, result["_meta"][WHOLE]["uri"] + "/content/0/0..6")
        assert item["text"] == "line 0"
        assert (await made.call("one__text"))["result"]["content"][0]["text"] == TEXT


async def test_a_client_on_a_pipe_has_the_same(tmp_path):
    config = write_config(tmp_path, {"one": over_stdio("legacy")}, results={"inline": {"bytes": "8KiB"}})
    async with piped(config) as client:
        await client.initialize()
        response = await client.ask("resources/read", {"uri": "big://text/300000"})
        note = response["result"]["contents"][-1]["text"]
        uri = note.split("is the resource ")[1].split(";")[0]
        response = await client.ask("resources/read", {"uri": f"{uri}/contents/0/15..26"})
        assert response["result"]["contents"][0]["text"] == "0123456789 "
