"""Resources, prompts, completion and apps of several servers through the whole gateway, for clients of both eras."""

import base64
import json
import os

import pytest
from gateway_kit import legacy, modern
from whole_gateway import Played, played_gateway

from mcp_orchestrator.core.wire.jsonrpc import encode

pytestmark = pytest.mark.anyio

BOTH_ERAS = pytest.mark.parametrize("client", [modern, legacy])
PAIRS = pytest.mark.parametrize(("client", "backend"), [(c, b) for c in (modern, legacy) for b in ("modern", "legacy")])
RICH = {
    "uri": "memo://rich",
    "name": "rich",
    "title": "Rich",
    "size": 2**53 + 1,
    "mimeType": "image/png",
    "icons": [{"src": "https://i.example/a.png", "sizes": ["48x48"], "theme": "dark"}],
    "annotations": {"audience": ["user"], "priority": 0.25, "lastModified": "2026-11-24T00:00:00Z"},
    "_meta": {"vendor": {"deep": [None, 1.5, "ä"]}},
    "x-unknown": None,
}
TEMPLATE = {"uriTemplate": "memo://{id}/part{?page}", "name": "part", "annotations": {"priority": 1}, "icons": []}
UI = "io.modelcontextprotocol/ui"
HTML = "text/html;profile=mcp-app"


def app(name, uri="ui://chart", **ui):
    return {"name": name, "inputSchema": {"type": "object"}, "_meta": {"ui": {"resourceUri": uri, **ui}}}


@PAIRS
async def test_definitions_of_resources_and_templates_pass_untouched(tmp_path, client, backend):
    one = Played(backend, resources=(RICH,), templates=(TEMPLATE,))
    async with played_gateway(tmp_path, ("one", one)) as url, client(url) as asking:
        assert (await asking.ask("resources/list"))[0]["result"]["resources"] == [RICH]
        assert (await asking.ask("resources/templates/list"))[0]["result"]["resourceTemplates"] == [TEMPLATE]


@PAIRS
async def test_big_binary_contents_pass_untouched_shared_uri_or_not(tmp_path, client, backend):
    blob = base64.b64encode(os.urandom(3_000_000)).decode()
    contents = {"mimeType": "application/octet-stream", "blob": blob, "_meta": {"etag": None}, "size": 3_000_000}

    class Big(Played):
        async def answer(self, method, params, talk, say, key=None):
            if method == "resources/read":
                return self.complete({"contents": [{"uri": params["uri"], **contents}]})
            return await super().answer(method, params, talk, say, key)

    one, two = Big(backend), Big(backend, resources=(*Big(backend).resources, RICH))
    async with played_gateway(tmp_path, ("one", one), ("two", two)) as url, client(url) as asking:
        for uri in ("mcp://one/memo://a", "mcp://two/memo://a", "memo://rich"):
            result = (await asking.ask("resources/read", {"uri": uri}))[0]["result"]
            assert result["contents"] == [{"uri": uri, **contents}]


@PAIRS
async def test_completion_finds_the_prompt_or_template_by_its_public_name(tmp_path, client, backend):
    one, two = (Played(backend, templates=(TEMPLATE,)) for _ in range(2))
    async with played_gateway(tmp_path, ("one", one), ("two", two)) as url, client(url) as asking:
        argument = {"name": "id", "value": "a"}
        for public, own in (
            (
                {"type": "ref/prompt", "name": "two__ask", "title": "kept"},
                {"type": "ref/prompt", "name": "ask", "title": "kept"},
            ),
            (
                {"type": "ref/resource", "uri": "mcp://two/memo://{id}/part{?page}"},
                {"type": "ref/resource", "uri": "memo://{id}/part{?page}"},
            ),
        ):
            response, _ = await asking.ask("completion/complete", {"ref": public, "argument": argument})
            assert [json.loads(value) for value in response["result"]["completion"]["values"]] == [own]
        assert "completion/complete" not in one.methods()


@PAIRS
async def test_what_a_result_links_to_can_be_read_through_us(tmp_path, client, backend):
    one, two = Played(backend), Played(backend)
    async with played_gateway(tmp_path, ("one", one), ("two", two)) as url, client(url) as asking:
        for uri in ("memo://a", "odd://unlisted", "memo://unlisted"):
            for name in ("two", "one"):
                result = (await asking.call(f"{name}__link", {"uri": uri}))["result"]
                (link,) = result["content"]
                assert link == {"type": "resource_link", "name": "l", "size": 7, "uri": link["uri"]}
                read = (await asking.ask("resources/read", {"uri": link["uri"]}))[0]["result"]
                assert read["contents"] == [{"uri": link["uri"], "text": f"text of {uri}"}]
                backend_of = {"one": one, "two": two}[name]
                assert backend_of.seen[-1][0] == "resources/read", (name, link)
        prompt = (await asking.ask("prompts/get", {"name": "two__ask"}))[0]["result"]
        assert prompt["messages"][0]["content"]["resource"] == {"uri": "mcp://two/memo://a", "text": "t"}


@PAIRS
async def test_links_of_small_and_of_large_results_can_be_read_after_a_restart_of_the_gateway(
    tmp_path, client, backend
):
    plain = {"type": "object"}

    def servers():
        made = [(name, Played(backend, tools=({"name": "large", "inputSchema": plain},))) for name in ("one", "two")]
        for _, server in made:
            server.plays["large"] = large
        return made

    async def large(_given, _say):
        text = {"type": "text", "text": "x" * 300_000}
        return {"content": [text, {"type": "resource_link", "name": "l", "uri": "odd://in/a/large/one"}]}

    async with played_gateway(tmp_path, *servers()) as url, client(url) as asking:
        small = (await asking.call("two__link", {"uri": "odd://in/a/small/one"}))["result"]["content"]
        found = [small[0]["uri"], (await asking.call("two__large"))["result"]["content"][1]["uri"]]
    again = servers()
    async with played_gateway(tmp_path, *again) as url, client(url) as asking:
        for uri in found:
            read = (await asking.ask("resources/read", {"uri": uri}))[0]["result"]["contents"]
            own = uri.removeprefix("mcp://two/")
            assert read == [{"uri": uri, "text": f"text of {own}"}]
            assert again[1][1].seen[-1][1]["uri"] == own


@BOTH_ERAS
async def test_an_app_is_read_from_the_server_whose_tool_it_shows_and_calls_its_tools_by_their_own_names(
    tmp_path, client
):
    one = Played("modern", tools=(app("chart"), app("refresh", visibility=["app"])), resources=())
    two = Played("legacy", tools=(app("map"),), resources=())
    three = Played("legacy", tools=(app("globe", "ui://globe"),), resources=())
    shows = {"extensions": {UI: {"mimeTypes": [HTML]}}}
    async with (
        played_gateway(tmp_path, ("one", one), ("two", two), ("three", three)) as url,
        client(url, capabilities=shows) as asking,
        client(url) as plain,
    ):
        for_models = [tool["name"] for tool in (await plain.ask("tools/list"))[0]["result"]["tools"]]
        assert "one__chart" in for_models
        assert "one__refresh" not in for_models  # whoever shows no apps would offer it to its model
        tools = {
            tool["name"]: tool["_meta"]["ui"]
            for tool in (await asking.ask("tools/list"))[0]["result"]["tools"]
            if "_meta" in tool
        }
        assert tools == {
            "one__chart": {"resourceUri": "mcp://one/ui://chart"},
            "one__refresh": {"resourceUri": "mcp://one/ui://chart", "visibility": ["app"]},
            "two__map": {"resourceUri": "mcp://two/ui://chart"},
            "three__globe": {"resourceUri": "ui://globe"},
        }
        for name, ui in tools.items():
            read = (await asking.ask("resources/read", {"uri": ui["resourceUri"]}))[0]["result"]["contents"]
            backend = {"one": one, "two": two, "three": three}[name.partition("__")[0]]
            own = (
                ui["resourceUri"].rpartition("mcp://")[2].partition("/")[2]
                if "mcp:" in ui["resourceUri"]
                else "ui://globe"
            )
            assert read == [{"uri": ui["resourceUri"], "text": f"text of {own}"}]
            assert backend.seen[-1][1]["uri"] == own
        assert "result" in await asking.call("refresh")
        assert (one.seen[-1][0], one.seen[-1][1]["name"]) == ("tools/call", "refresh")
        ambiguous = (await asking.call("report"))["error"]
        assert ambiguous["code"] == -32602
        assert all(name in ambiguous["message"] for name in ("one__report", "two__report", "three__report"))


@pytest.mark.parametrize("backend", ["modern", "legacy"])
async def test_servers_are_told_that_apps_can_be_shown_so_that_they_list_them(tmp_path, backend):
    one = Played(backend)
    async with played_gateway(tmp_path, ("one", one)) as url, modern(url) as asking:
        await asking.call("one__report")
        if backend == "legacy":
            told = next(params["capabilities"] for method, params, _ in one.seen if method == "initialize")
        else:
            meta = next(params["_meta"] for method, params, _ in one.seen if method == "tools/list")
            told = meta["io.modelcontextprotocol/clientCapabilities"]
        assert told["extensions"] == {UI: {"mimeTypes": [HTML]}}


async def test_the_contents_of_an_app_keep_what_the_host_needs(tmp_path):
    meta = {"ui": {"csp": {"connectDomains": ["https://a.example"]}, "prefersBorder": True}}

    class Apps(Played):
        async def answer(self, method, params, talk, say, key=None):
            if method == "resources/read":
                return self.complete(
                    {"contents": [{"uri": params["uri"], "mimeType": HTML, "text": "<!doctype html>", "_meta": meta}]}
                )
            return await super().answer(method, params, talk, say, key)

    backends = [(name, Apps("modern", tools=(app("chart"),))) for name in ("one", "two")]
    async with played_gateway(tmp_path, *backends) as url, legacy(url) as asking:
        read = (await asking.ask("resources/read", {"uri": "mcp://one/ui://chart"}))[0]["result"]["contents"]
        assert read == [{"uri": "mcp://one/ui://chart", "mimeType": HTML, "text": "<!doctype html>", "_meta": meta}]


@BOTH_ERAS
async def test_cursors_lead_through_the_lists_of_all_servers_even_over_a_restart(tmp_path, client):
    many = [{"uri": f"memo://{n}", "name": f"{n}"} for n in range(1500)]
    first, second = many[:700], many[700:]

    async def page(url, cursor):
        async with client(url) as asking:
            return (await asking.ask("resources/list", {"cursor": cursor} if cursor else {}))[0]

    async with played_gateway(
        tmp_path, ("one", Played("modern", resources=first)), ("two", Played("legacy", resources=second))
    ) as url:
        begin = (await page(url, None))["result"]
        cursor = begin["nextCursor"]
        again = (await page(url, None))["result"]["nextCursor"]
        refused = await page(url, cursor[:-4] + ("AAA=" if cursor[-4:] != "AAA=" else "BBB="))
        assert refused["error"]["code"] == -32602
    async with played_gateway(
        tmp_path, ("one", Played("modern", resources=first)), ("two", Played("legacy", resources=second))
    ) as url:
        rest = (await page(url, cursor))["result"]
    assert cursor == again
    assert "nextCursor" not in rest
    assert begin["resources"] + rest["resources"] == many
    assert encode(begin["resources"][0]) == encode(many[0])
