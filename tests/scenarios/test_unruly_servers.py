"""Servers that hang, flood, lie and list nonsense: each harms its own calls alone, and what is told is precise."""

import asyncio

import anyio
import pytest
from gateway_kit import modern, resident, serving, unruly

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pair(tmp_path):
    """A gateway in front of an unruly server of each era and a sound one, with short limits for the unruly ones."""
    limits = {"timeout": "1s", "maxResultBytes": "1MiB"}
    servers = {"bad": unruly("--era", "modern"), "old": unruly("--era", "legacy"), "good": unruly()}
    backends = {"bad": limits, "old": limits}
    async with serving(tmp_path, servers, backends=backends) as gateway, modern(gateway.url) as client:
        await client.call("good__count")
        yield gateway, client


async def still_fine(client):
    with anyio.fail_after(10):
        assert "result" in await client.call("good__count")


BAD_ANSWERS = {
    "not-json": "malformed JSON",
    "list": "not a JSON object",
    "text": "not a JSON object",
    "null": "not a JSON object",
    "number": "not a JSON object",
    "true": "not a JSON object",
    "no-result": "not a JSON object",
    "nul": "not a JSON object in UTF-8",
    "deep": "malformed JSON",
}


@pytest.mark.parametrize("server", ["bad", "old"])
async def test_a_lie_ends_its_own_call_with_an_error_that_says_what_was_wrong(pair, server):
    gateway, client = pair
    for lie, words in BAD_ANSWERS.items():
        with anyio.fail_after(10):
            error = (await client.call(f"{server}__lie", {"lie": lie}))["error"]
        assert words in error["message"], lie
        assert server in error["message"]
        assert error["data"] == {"kind": "bad_answer", "retryable": False}
    refused = (await client.call(f"{server}__lie", {"lie": "both"}))["error"]
    assert (refused["code"], refused["message"]) == (-1, "both")
    assert "just a text" in (await client.call(f"{server}__lie", {"lie": "odd-error"}))["error"]["message"]
    assert (await client.call(f"{server}__lie", {"lie": "asks"}))["result"]["asked"] is True
    assert (await client.call(f"{server}__late"))["result"]["turn"] == 1
    await still_fine(client)
    assert {run.ended["kind"] for run in gateway.runs(backend=server, status="failed")} == {
        "bad_answer",
        "backend_error",
    }


@pytest.mark.parametrize("server", ["bad", "old"])
async def test_a_call_that_is_not_answered_ends_when_its_time_is_up(pair, server):
    gateway, client = pair
    for tool, arguments in (("hang", {}), ("lie", {"lie": "wrong-id"})):
        with anyio.fail_after(10):
            error = (await client.call(f"{server}__{tool}", arguments))["error"]
        assert error["code"] == -32001
        assert error["message"] == (
            f"server '{server}' gave no answer within 1 s; it may have had effects and was not repeated"
        )
        assert "result" in await client.call(f"{server}__count")
    await still_fine(client)
    assert [run.ended["kind"] for run in gateway.runs(backend=server, status="failed")] == ["timeout", "timeout"]


@pytest.mark.parametrize("server", ["bad", "old"])
@pytest.mark.parametrize("last", [False, True], ids=["id-first", "id-last"])
async def test_an_answer_beyond_the_limit_ends_its_own_call_and_no_other(pair, server, last):
    gateway, client = pair
    other = asyncio.create_task(client.call(f"{server}__count", {"delay": 0.5}))
    for size in (1_200_000, 12_000_000 if last else 40_000_000):
        with anyio.fail_after(20):
            error = (await client.call(f"{server}__giant", {"bytes": size, "last": last}))["error"]
        assert "maxResultBytes" in error["message"]
        assert error["data"] == {"kind": "bad_answer", "retryable": False}
    assert "result" in await other
    assert "result" in await client.call(f"{server}__count")
    assert "result" in await client.call(f"{server}__giant", {"bytes": 900_000})
    await still_fine(client)
    assert resident(gateway.pid) < 200


async def test_a_line_without_end_ends_the_session_and_the_next_call_gets_another(pair):
    _, client = pair
    with anyio.fail_after(20):
        error = (await client.call("bad__giant", {"bytes": 40_000_000, "last": True}))["error"]
    assert error["code"] == -32000
    assert "a line of more than" in error["message"]
    assert "result" in await client.call("bad__count")
    await still_fine(client)


@pytest.mark.parametrize("server", ["bad", "old"])
async def test_a_flood_neither_fills_memory_nor_holds_up_other_servers(pair, server):
    gateway, client = pair
    before = resident(gateway.pid)
    for kind in ("text", "log", "progress", "lists", "stray", "asks", "pings"):
        params = {"name": f"{server}__flood", "arguments": {"kind": kind, "seconds": 0.6}}
        flood = asyncio.create_task(client.ask("tools/call", params, 7, {"progressToken": "t"}))
        served = 0
        while not flood.done():
            await still_fine(client)
            served += 1
        assert served > 12, kind  # unbridled, such a flood lets two or three calls through
        await flood
        with anyio.fail_after(10):
            assert "result" in await client.call(f"{server}__count"), kind
    assert resident(gateway.pid) < before + 60
    # Thousands of announcements are one change now and then.
    assert len(gateway.events("catalog.changed")) < 20


async def test_a_flood_of_standard_error_is_harmless_and_its_end_is_kept(pair, run_program):
    gateway, client = pair
    before = resident(gateway.pid)
    for width in (70, 2_000_000):
        flood = asyncio.create_task(client.call("bad__stderr", {"seconds": 0.5, "width": width}))
        while not flood.done():
            await still_fine(client)
        assert "result" in await flood
    assert resident(gateway.pid) < before + 60
    shown = run_program("backends", "show", "bad", "--format", "json", config=gateway.config)
    assert "came too fast" in shown.stdout
