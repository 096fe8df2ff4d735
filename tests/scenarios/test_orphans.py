"""However a gateway ends, no process that it started stays behind, and no watchdog either."""

import asyncio
import contextlib
import os
import signal
import stat
import sys

import anyio
import httpx2
import pytest
from gateway_kit import (
    MARK,
    PROGRAM,
    UNRULY,
    children,
    marked,
    modern,
    new_mark,
    piped,
    serving,
    unruly,
    until,
    write_config,
)

pytestmark = pytest.mark.anyio

GONE_WITHIN = 8.0
"""Seconds after which nothing may be left: half a second of grace, then SIGKILL; the rest is for a busy machine."""


def wrapper(directory, mark):
    """A server behind two shell scripts that fork, as `npx` and the like do."""
    inner, outer = directory / "inner.sh", directory / "outer.sh"
    inner.write_text(f'#!/bin/sh\n"{sys.executable}" "{UNRULY}" "$@"\nexit $?\n')
    outer.write_text(f'#!/bin/sh\nsleep 1000 &\n"{inner}" "$@"\nexit $?\n')
    for script in (inner, outer):
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return {"command": str(outer), "args": [], "env": {MARK: mark}}


def servers(directory, mark):
    return {
        "modern": unruly("--era", "modern", mark=mark),
        "legacy": unruly("--era", "legacy", mark=mark),
        "stubborn": unruly("--stubborn", mark=mark),
        "wrapped": wrapper(directory, mark),
    }


NAMES = ("modern", "legacy", "stubborn", "wrapped")


async def busy(gateway, client, group):
    """Put the gateway under load, with offspring of every kind below each of its servers."""
    for name in NAMES:
        pids = (await client.call(f"{name}__offspring"))["result"]["structuredContent"]["pids"]
        assert len(pids) == 4

    async def load(name, tool, times):
        for number in range(times):
            with contextlib.suppress(httpx2.HTTPError):  # the gateway is gone
                await client.call(f"{name}__{tool}", {"n": number})

    for name in NAMES:
        for _ in range(4):
            group.start_soon(load, name, "count", 10_000)
        group.start_soon(load, name, "hang", 1)
    await until(lambda: len(gateway.runs()) > 50)


def watchdogs(pid):
    return [child for child, line in children(pid).items() if "watchdog.py" in line]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
async def test_no_descendant_outlives_a_gateway_that_ends_under_load(tmp_path, number):
    mark = new_mark()
    async with serving(tmp_path, servers(tmp_path, mark)) as gateway, modern(gateway.url) as client:
        async with anyio.create_task_group() as group:
            await busy(gateway, client, group)
            assert len(marked(mark)) >= 4 * 5 + 3  # every server with four offspring, the scripts, a sleep
            (watchdog,) = watchdogs(gateway.pid)
            await gateway.kill(number)
            group.cancel_scope.cancel()
        await until(lambda: not marked(mark), GONE_WITHIN)
        await until(lambda: not alive(watchdog), GONE_WITHIN)


async def test_an_interrupt_of_the_whole_process_group_ends_everything(tmp_path):
    mark = new_mark()
    async with serving(tmp_path, servers(tmp_path, mark)) as gateway, modern(gateway.url) as client:
        await client.call("wrapped__offspring")
        assert marked(mark)
        os.killpg(gateway.pid, signal.SIGINT)
        with anyio.fail_after(30):
            await gateway.ended()
        assert gateway.process.returncode == 0
        assert not marked(mark)


async def test_a_second_signal_ends_at_once_and_still_leaves_nothing(tmp_path):
    mark = new_mark()
    async with serving(tmp_path, servers(tmp_path, mark)) as gateway, modern(gateway.url) as client:
        async with anyio.create_task_group() as group:
            await busy(gateway, client, group)
            gateway.process.send_signal(signal.SIGTERM)
            await until(lambda: any(event.get("event") == "stopping" for event in gateway.told))
            await gateway.kill(signal.SIGTERM)
            group.cancel_scope.cancel()
        assert gateway.process.returncode == 128 + signal.SIGTERM
        await until(lambda: not marked(mark), GONE_WITHIN)


async def test_the_watchdog_is_replaced_when_somebody_kills_it(tmp_path):
    mark = new_mark()
    async with serving(tmp_path, {"one": unruly(mark=mark)}) as gateway, modern(gateway.url) as client:
        await client.call("one__offspring")
        (watchdog,) = watchdogs(gateway.pid)
        os.kill(watchdog, signal.SIGKILL)
        await until(lambda: watchdogs(gateway.pid) not in ([], [watchdog]))
        await gateway.kill()
        await until(lambda: not marked(mark), GONE_WITHIN)


async def test_what_a_server_leaves_behind_ends_with_the_server(tmp_path):
    mark = new_mark()
    async with serving(tmp_path, {"one": unruly(mark=mark)}) as gateway, modern(gateway.url) as client:
        pids = set((await client.call("one__offspring"))["result"]["structuredContent"]["pids"])
        server = (await client.call("one__count"))["result"]["structuredContent"]["pid"]
        os.kill(server, signal.SIGKILL)
        await until(lambda: not pids & marked(mark).keys(), GONE_WITHIN)
        assert "result" in await client.call("one__count")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# -- serve --stdio ---------------------------------------------------------------------------------------------------


@pytest.fixture
def pipe_config(tmp_path):
    mark = new_mark()
    sound = {name: server for name, server in servers(tmp_path, mark).items() if name != "stubborn"}
    return write_config(tmp_path, sound), mark


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=["kill", "term", "int"])
async def test_no_descendant_outlives_a_stdio_gateway_that_gets_a_signal(pipe_config, number):
    config, mark = pipe_config
    async with piped(config) as client:
        await client.initialize()
        for name in ("modern", "legacy", "wrapped"):
            assert "result" in await client.ask("tools/call", {"name": f"{name}__offspring"}, name)
        if number is signal.SIGKILL:
            client.start("tools/call", {"name": "legacy__hang"}, "hangs")
        client.process.send_signal(number)
        with anyio.fail_after(30):
            await client.process.wait()
        await until(lambda: not marked(mark), GONE_WITHIN)


async def test_a_closed_pipe_ends_a_stdio_gateway_after_its_running_calls(pipe_config):
    config, mark = pipe_config
    async with piped(config) as client:
        await client.initialize()
        last = client.start("tools/call", {"name": "modern__count", "arguments": {"delay": 0.5}}, 1)
        client.process.stdin.write_eof()
        with anyio.fail_after(30):
            assert "result" in await last
            assert await client.process.wait() == 0
        assert not marked(mark)


CLIENT = """
import json, subprocess, sys
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
def ask(key, method, **params):
    server.stdin.write(json.dumps({"jsonrpc": "2.0", "id": key, "method": method, "params": params}).encode() + b"\\n")
    server.stdin.flush()
def answered(key):
    while json.loads(server.stdout.readline()).get("id") != key:
        pass
ask(0, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "c", "version": "1"})
answered(0)
for number, name in enumerate(("modern", "legacy", "wrapped"), 1):
    ask(number, "tools/call", name=name + "__offspring")
    answered(number)
    ask(name, "tools/call", name=name + "__hang")
print(server.pid, flush=True)
sys.stdin.read()
"""


async def test_a_stdio_gateway_follows_a_client_that_is_killed_with_calls_under_way(pipe_config):
    config, mark = pipe_config
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, PROGRAM, "serve", "--stdio", "--config", str(config),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with anyio.fail_after(30):
            gateway = int(await client.stdout.readline())
        assert len(marked(mark)) >= 15
    finally:
        client.kill()
        await client.wait()
        client.stdin.close()
    await until(lambda: not alive(gateway), GONE_WITHIN)
    await until(lambda: not marked(mark), GONE_WITHIN)
