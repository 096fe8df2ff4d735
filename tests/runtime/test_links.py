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


async def test_a_link_that_no_list_has_is_read_from_whoever_gave_it(tmp_path):
    one, two = backend("one", "odd://1"), backend("two", "odd://2", "odd://1")
    async with whole(tmp_path, one, two) as made:
        assert isinstance(await read(made, "odd://1"), Failed)
        assert await links(made, "one__echo") == ["odd://1"]
        assert await links(made, "two__echo") == ["odd://2", "mcp://two/odd://1"], "the second is not the first's"
        for uri in ("odd://1", "odd://2", "mcp://two/odd://1"):
            assert await contents(made, uri) == [uri]
        assert (asked(one), asked(two)) == (["odd://1"], ["odd://2", "odd://1"])


async def test_a_remembered_link_is_read_by_nobody_who_may_not_see_its_server(tmp_path):
    one, two, three = backend("one"), backend("two", "odd://1"), backend("three")
    async with whole(tmp_path, one, two, three) as made:
        await links(made, "two__echo")
        assert isinstance(await read(made, "odd://1", profile="narrow"), Failed)
        assert isinstance(await read(made, "mcp://two/odd://1", profile="narrow"), Failed)
        assert (asked(one), asked(two)) == ([], [])


async def test_addresses_of_the_web_are_left_to_the_client(tmp_path):
    one, two = backend("one", "https://a.example/x"), backend("two", "https://a.example/x")
    async with whole(tmp_path, one, two) as made:
        assert await links(made, "one__echo") == await links(made, "two__echo") == ["https://a.example/x"]


async def test_an_error_about_a_resource_names_it_as_the_client_did(tmp_path):
    async with whole(tmp_path, backend("one"), backend("two")) as made:
        failed = await read(made, "mcp://one/memo://gone")
        assert failed.data == {"uri": "mcp://one/memo://gone"}


async def test_a_long_link_is_qualified_instead_of_remembered(tmp_path):
    long = "odd://" + "x" * 3000
    async with whole(tmp_path, backend("one", long), backend("two")) as made:
        assert await links(made, "one__echo") == [f"mcp://one/{long}"]


async def test_the_only_server_of_a_view_keeps_its_uris_and_its_very_bytes(tmp_path):
    async with whole(tmp_path, backend("one", "odd://1", listed=["memo://a"])) as made:
        assert await links(made, "one__echo") == ["odd://1"]
        assert made.gateway.links.owner("odd://1") is None


async def test_a_large_result_is_not_read_where_no_uri_is_shared(tmp_path):
    large = b"x" * 100_000
    one, two = backend("one", "odd://1", extra=large), backend("two")
    async with whole(tmp_path, one, two) as made:
        await links(made, "one__echo")
        assert made.gateway.links.owner("odd://1") is None


async def test_what_is_remembered_is_bounded(tmp_path):
    async with whole(tmp_path, backend("one"), backend("two")) as made:
        memory, catalog = Links(most=3), made.gateway.generation.catalog(Era.MODERN, None)
        call = Call(CallKind.TOOL, "tools/call", "one__echo", {}, {}, MODERN)
        target = made.gateway.plan(call).target
        for number in range(5):
            block = {"type": "resource_link", "uri": f"odd://{number}"}
            memory.for_the_way(catalog, call, target, Completed(encode({"content": [block]}), Era.MODERN))
        assert [memory.owner(f"odd://{number}") for number in range(5)] == [None, None, "one", "one", "one"]
