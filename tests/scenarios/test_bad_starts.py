"""Servers that start slowly, wrongly or never, and lists that are too long, endless or nonsense."""

import asyncio
import signal

import anyio
import pytest
from gateway_kit import legacy, marked, modern, new_mark, resident, serving, unruly, until

pytestmark = pytest.mark.anyio


async def names(client):
    found, cursor = [], {}
    while True:
        result = (await client.ask("tools/list", cursor))[0]["result"]
        found += [tool["name"] for tool in result["tools"]]
        if "nextCursor" not in result:
            return found
        cursor = {"cursor": result["nextCursor"]}


@pytest.mark.parametrize("start", ["lazy", "eager"])
async def test_servers_that_do_not_come_up_hold_nobody_up_and_say_why(tmp_path, start):
    modes = {
        "dies": "ended (exit code 1) while starting",
        "silent": "did not answer within 2 s of its start",
        "wrong-version": "1999-01-01",
        "absent": "is not on the PATH",
    }
    servers = {mode: unruly("--mode", mode) for mode in modes} | {"good": unruly()}
    servers["absent"] = {"command": "no-such-program-anywhere"}
    backends = {mode: {"start": start, "startTimeout": "2s"} for mode in modes}
    async with serving(tmp_path, servers, backends=backends) as gateway, modern(gateway.url) as client:
        with anyio.fail_after(10):
            assert "good__count" in await names(client)
            assert "result" in await client.call("good__count")
        failed = {}
        await until(
            lambda: (
                failed.update(
                    {event.data["backend"]: event.data["error"] for event in gateway.events("backend.failed")}
                )
                or failed.keys() >= modes.keys()
            )
        )
        for mode, words in modes.items():
            assert words in failed[mode], mode
            error = (await client.call(f"{mode}__count"))["error"]
            assert f"server '{mode}' is not available" in error["message"]
            assert words in error["message"]
            assert error["data"] == {"kind": "unavailable", "retryable": True}
        assert "result" in await client.call("good__count")


async def test_a_slow_server_is_waited_for_by_its_own_calls_only(tmp_path):
    servers = {"slow": unruly("--mode", "slow"), "good": unruly()}
    async with serving(tmp_path, servers) as gateway, modern(gateway.url) as client:
        slow = asyncio.create_task(client.call("slow__count"))
        with anyio.fail_after(1.2):
            assert "result" in await client.call("good__count")
        with anyio.fail_after(20):
            assert "result" in await slow
            assert {"slow__count", "good__count"} <= set(await names(client))


async def test_a_gateway_can_be_stopped_while_servers_hang_at_their_start(tmp_path):
    mark = new_mark()
    servers = {name: unruly("--mode", "silent", "--stubborn", mark=mark) for name in ("a", "b")}
    async with serving(tmp_path, servers) as gateway, modern(gateway.url) as client:
        call = asyncio.create_task(client.call("a__count"))
        await until(lambda: len(marked(mark)) == 2)
        with anyio.fail_after(12):
            await gateway.kill(signal.SIGTERM)
            await asyncio.wait({call})
        assert call.exception() is not None or "error" in call.result()
        assert not marked(mark)


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_server_that_talks_out_of_turn_at_its_start_works_all_the_same(tmp_path, era):
    servers = {mode: unruly("--mode", mode, "--era", era) for mode in ("early", "chatty-start", "stderr")}
    async with serving(tmp_path, servers) as gateway, modern(gateway.url) as new, legacy(gateway.url) as old:
        for client in (new, old):
            for name in servers:
                with anyio.fail_after(10):
                    response = await client.call(f"{name}__count", {"n": 1})
                assert response["result"]["structuredContent"]["n"] == 1


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_lists_that_lie_are_cut_to_what_is_sound(tmp_path, era, run_program):
    modes = ("many-tools", "malformed-tools", "cursor-loop", "endless-list", "list-lies", "list-hangs")
    servers = {mode: unruly("--mode", mode, "--era", era) for mode in modes} | {"good": unruly()}
    backends = {"list-hangs": {"startTimeout": "2s"}}
    async with serving(tmp_path, servers, backends=backends) as gateway, modern(gateway.url) as client:
        with anyio.fail_after(10):
            assert "result" in await client.call("good__count")
        with anyio.fail_after(20):
            found = await names(client)
        await until(lambda: any(event.data["backend"] == "list-hangs" for event in gateway.events("backend.failed")))
        assert len(found) == len(set(found))
        per = {mode: [name for name in found if name.startswith(f"{mode}__")] for mode in (*modes, "good")}
        assert len(per["good"]) == 10
        assert len(per["cursor-loop"]) == len(per["endless-list"]) == 10
        assert len(per["many-tools"]) == 10_000
        assert {"malformed-tools__count", "malformed-tools__bad_schema"} <= set(per["malformed-tools"])
        assert not {"malformed-tools__no_schema", "malformed-tools__schema_is_text"} & set(per["malformed-tools"])
        assert per["list-lies"] == per["list-hangs"] == []
        for name in (
            "many-tools__count",
            "malformed-tools__count",
            "cursor-loop__count",
            "endless-list__count",
            "good__count",
        ):
            with anyio.fail_after(10):
                assert "result" in await client.call(name), name
        for name in ("bad_schema", "bad_pattern", "loop", "far"):
            with anyio.fail_after(10):
                response = await client.call(f"malformed-tools__{name}", {"a": "b"})
            assert "Unknown tool" in response["error"]["message"], response
        assert resident(gateway.pid) < 400
        told = {}
        for mode in modes:
            shown = run_program("backends", "show", mode, "--format", "json", config=gateway.config)
            told[mode] = shown.stdout
        assert "more than 10000" in told["many-tools"]
        assert "left out" in told["malformed-tools"]
        assert "circle" in told["cursor-loop"]
        assert "listed twice" in told["cursor-loop"]
        assert "more than 100 pages" in told["endless-list"] or "listed twice" in told["endless-list"]
        assert "no list" in told["list-lies"]
        assert "did not list what it offers" in told["list-hangs"]
