"""Big resources pass whole within the limit, are refused beyond it in words that name it, and can be read in parts."""

import asyncio
import base64
import contextlib

import pytest
from gateway_kit import legacy, modern, piped, write_config
from played import big
from whole_gateway import Played, gateway, over_http, over_stdio, played_gateway

pytestmark = pytest.mark.anyio

SIZE = 50_000_000
RANGE = "mcp-orchestrator/range"
CLIENTS = {"modern": modern, "legacy": legacy}
PAIRS = [("modern", "modern"), ("modern", "legacy"), ("legacy", "modern"), ("legacy", "legacy")]


@contextlib.asynccontextmanager
async def between(directory, backend, transport, **limits):
    async with contextlib.AsyncExitStack() as stack:
        block = (
            await stack.enter_async_context(over_http(Played(backend))) if transport == "http" else over_stdio(backend)
        )
        _, url = await stack.enter_async_context(gateway(directory, {"one": block}, backends={"one": limits}))
        yield url


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize(("client", "backend"), PAIRS)
async def test_fifty_megabytes_of_text_and_of_bytes_pass_unharmed(tmp_path, client, backend, transport):
    kind = "text" if (client == backend) is (transport == "http") else "blob"
    async with between(tmp_path, backend, transport, maxResultBytes="128MiB") as url, CLIENTS[client](url) as made:
        uri = f"big://{kind}/{SIZE}"
        response, _ = await made.ask("resources/read", {"uri": uri})
        assert response["result"]["contents"] == [{"uri": uri, **big(kind, SIZE)}]


async def test_fifty_megabytes_pass_to_a_client_on_a_pipe(tmp_path):
    limits = {"one": {"maxResultBytes": "128MiB"}}
    config = write_config(tmp_path, {"one": over_stdio("legacy")}, backends=limits)
    async with piped(config) as client, asyncio.timeout(60):
        await client.initialize()
        uri = f"big://blob/{SIZE // 2}"  # a line of this is what the test's own reader takes
        response = await client.ask("resources/read", {"uri": uri})
        assert response["result"]["contents"] == [{"uri": uri, **big("blob", SIZE // 2)}]


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize(("client", "backend"), PAIRS)
async def test_what_is_larger_than_the_limit_is_refused_in_words_that_name_it_and_harms_nothing_else(
    tmp_path, client, backend, transport
):
    async with between(tmp_path, backend, transport, maxResultBytes="1MiB") as url, CLIENTS[client](url) as made:
        for kind in ("text", "blob"):
            error = (await made.ask("resources/read", {"uri": f"big://{kind}/2000000"}))[0]["error"]
            assert "maxResultBytes" in error["message"]
            assert "1048576" in error["message"]
        assert "result" in (await made.ask("resources/read", {"uri": "memo://a"}))[0]


@pytest.mark.parametrize(("client", "backend"), PAIRS)
async def test_a_resource_can_be_read_in_parts(tmp_path, client, backend):
    size, step = 1_000_000, 400_000
    async with (
        played_gateway(tmp_path, ("one", Played(backend)), ("two", Played(backend))) as url,
        CLIENTS[client](url) as made,
    ):
        for kind, decoded in (("text", str), ("blob", base64.b64decode)):
            uri, found, lengths = f"mcp://two/big://{kind}/{size}", [], []
            while sum(lengths) < size:
                meta = {RANGE: {"offset": sum(lengths), "length": step}}
                result = (await made.ask("resources/read", {"uri": uri}, meta=meta))[0]["result"]
                (item,) = result["contents"]
                assert item["uri"] == uri
                said = item["_meta"][RANGE]
                assert said["total"] == size
                lengths.append(said["length"])
                found.append(decoded(item[kind]))
            assert lengths == [400_000, 400_000, 200_000]
            assert found[0][:0].join(found) == decoded(big(kind, size)[kind])
        for wrong, says in (({"offset": "0"}, "whole number"), ({"item": 1}, "the resource has 1")):
            refused = (await made.ask("resources/read", {"uri": uri}, meta={RANGE: wrong}))[0]["error"]
            assert refused["code"] == -32602
            assert says in refused["message"]
