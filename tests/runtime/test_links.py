"""What a result links to can be read through the gateway."""

import json

import pytest
from engines import MODERN, Ear, whole

from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.runtime.links import Links
from mcp_orchestrator.testing.fake_backend import FakeBackend

pytestmark = pytest.mark.anyio

LEGACY = ClientFace(Era.LEGACY, "2025-11-25", session="s")


def player(*uris, extra=b""):
    """Answers tools with links to these URIs, and reads with the URI that was asked for."""

    async def play(invocation, _talk):
        if invocation.method == "resources/read":
            uri = invocation.params["uri"]
            if uri.endswith("gone"):
                return Failed(FailureKind.BACKEND_ERROR, -32002, "Resource not found", {"uri": uri})
            return Completed(encode({"contents": [{"uri": uri, "text": "text"}]}), Era.LEGACY)
        blocks = [{"type": "resource_link", "uri": uri, "name": "n"} for uri in uris]
        return Completed(encode({"content": blocks, "x": extra.decode()}), Era.LEGACY)

    return play


def backend(name, *uris, listed=(), **more):
    made = FakeBackend(name, play=player(*uris, **more))
    made.resources += [{"uri": uri, "name": "n"} for uri in listed]
    return made


async def links(made, tool):
    outcome = await made.call(tool)
    return [block["uri"] for block in json.loads(outcome.result)["content"]]


async def read(made, uri, client=LEGACY, profile=None):
    call = Call(CallKind.RESOURCE, "resources/read", uri, {"uri": uri}, {}, client, profile=profile)
    return await made.gateway.start(call, Ear()).outcome()


async def contents(made, uri):
    return [each["uri"] for each in json.loads((await read(made, uri)).result)["contents"]]


def asked(backend):
    return [each.params["uri"] for session in backend.sessions for each in session.invocations if "uri" in each.params]


async def test_a_link_to_what_two_servers_list_is_qualified_and_readable(tmp_path):
    one, two = (backend(name, "memo://a", listed=["memo://a"]) for name in ("one", "two"))
    async with whole(tmp_path, one, two) as made:
        assert await links(made, "one__echo") == ["mcp://one/memo://a"]
        assert await links(made, "two__echo") == ["mcp://two/memo://a"]
        assert await contents(made, "mcp://two/memo://a") == ["mcp://two/memo://a"]
        assert (asked(one), asked(two)) == ([], ["memo://a"])


async def test_a_link_to_what_one_server_lists_stays_as_it_is(tmp_path):
    async with whole(tmp_path, backend("one", "memo://a", listed=["memo://a"]), backend("two")) as made:
        assert await links(made, "one__echo") == ["memo://a"]
        assert await contents(made, "memo://a") == ["memo://a"]


async def test_a_link_into_another_servers_list_goes_to_the_server_that_gave_it(tmp_path):
    one, two = backend("one", "memo://a"), backend("two", listed=["memo://a"])
    async with whole(tmp_path, one, two) as made:
        assert await links(made, "one__echo") == ["mcp://one/memo://a"]
        await read(made, "mcp://one/memo://a")
        await read(made, "memo://a")
        assert (asked(one), asked(two)) == (["memo://a"], ["memo://a"])


async def test_a_link_that_no_list_has_names_the_server_that_gave_it_and_needs_no_memory(tmp_path):
    given = {}
    for _start in range(2):
        one, two = backend("one", "odd://1"), backend("two", "odd://2", "odd://1")
        async with whole(tmp_path, one, two) as made:
            assert isinstance(await read(made, "odd://1"), Failed)
            for uri in given.get("two__echo", []):  # those of the process before
                assert await contents(made, uri) == [uri]
                assert asked(two)[-1] == uri.removeprefix("mcp://two/")
            given = {tool: await links(made, tool) for tool in ("one__echo", "two__echo")}
            assert given == {
                "one__echo": ["mcp://one/odd://1"],
                "two__echo": ["mcp://two/odd://2", "mcp://two/odd://1"],
            }


async def test_a_link_is_read_by_nobody_who_may_not_see_its_server(tmp_path):
    one, two, three = backend("one"), backend("two", "odd://1", "https://a.example/x"), backend("three")
    async with whole(tmp_path, one, two, three) as made:
        for uri in await links(made, "two__echo"):
            assert isinstance(await read(made, uri, profile="narrow"), Failed)
        assert (asked(one), asked(two)) == ([], [])


async def test_addresses_of_the_web_are_left_to_the_client(tmp_path):
    one, two = backend("one", "https://a.example/x"), backend("two", "https://a.example/x")
    async with whole(tmp_path, one, two) as made:
        assert await links(made, "one__echo") == await links(made, "two__echo") == ["https://a.example/x"]
        assert await contents(made, "https://a.example/x") == ["https://a.example/x"]
        assert (asked(one), asked(two)) == (["https://a.example/x"], []), "whoever gave it first is asked for it here"


async def test_an_error_about_a_resource_names_it_as_the_client_did(tmp_path):
    async with whole(tmp_path, backend("one"), backend("two")) as made:
        failed = await read(made, "mcp://one/memo://gone")
        assert failed.data == {"uri": "mcp://one/memo://gone"}


async def test_a_long_address_of_the_web_is_not_remembered(tmp_path):
    long = "https://a.example/" + "x" * 3000
    async with whole(tmp_path, backend("one", long), backend("two")) as made:
        assert await links(made, "one__echo") == [long]
        assert made.gateway.links.owner(long) is None


async def test_the_only_server_of_a_view_keeps_its_uris_and_its_very_bytes(tmp_path):
    async with whole(tmp_path, backend("one", "odd://1", "https://a.example", listed=["memo://a"])) as made:
        assert await links(made, "one__echo") == ["odd://1", "https://a.example"]
        assert made.gateway.links.owner("https://a.example") is None


async def test_links_in_a_large_result_can_be_read_too(tmp_path):
    one, two = backend("one", "odd://1", extra=b"x" * 100_000), backend("two")
    async with whole(tmp_path, one, two) as made:
        (uri,) = await links(made, "one__echo")
        assert await contents(made, uri) == [uri]
        assert asked(one) == ["odd://1"]


async def test_what_is_remembered_is_bounded(tmp_path):
    async with whole(tmp_path, backend("one"), backend("two")) as made:
        memory, catalog = Links(most=3), made.gateway.generation.catalog(Era.MODERN, None)
        call = Call(CallKind.TOOL, "tools/call", "one__echo", {}, {}, MODERN)
        target = made.gateway.plan(call).target
        for number in range(5):
            block = {"type": "resource_link", "uri": f"https://a.example/{number}"}
            memory.for_the_way(catalog, call, target, Completed(encode({"content": [block]}), Era.MODERN))
        owners = [memory.owner(f"https://a.example/{number}") for number in range(5)]
        assert owners == [None, None, "one", "one", "one"]
