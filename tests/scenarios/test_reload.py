"""The configuration changes under load: a bad file changes nothing, a good one only what it changes, and lists change once."""

import asyncio
import contextlib
import os
import signal

import anyio
import pytest
from gateway_kit import legacy, marked, modern, new_mark, serving, unruly, until, write_config

pytestmark = pytest.mark.anyio

TOOLS = "notifications/tools/list_changed"


class Ear:
    """Hears one stream to its end."""

    def __init__(self, group, opening):
        self.heard = []
        self.open = asyncio.Event()
        group.start_soon(self._hear, opening)

    async def _hear(self, opening):
        async with opening as take:
            self.open.set()
            while (message := await take()) is not None:
                self.heard.append(message["method"])

    @property
    def changes(self):
        return [method for method in self.heard if method.endswith("list_changed")]


@contextlib.asynccontextmanager
async def ears(new, old):
    """A modern subscription and a legacy GET stream to everything."""
    flags = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
    async with anyio.create_task_group() as group:
        listen = Ear(group, new.stream("subscriptions/listen", {"notifications": flags}, key="ear"))
        get = Ear(group, old.listening())
        await until(lambda: listen.heard)
        await get.open.wait()
        yield listen, get
        group.cancel_scope.cancel()


async def pids(client, *names):
    return {name: (await client.call(f"{name}__count"))["result"]["structuredContent"]["pid"] for name in names}


def loads(gateway):
    return len(gateway.events("config.loaded"))


async def signalled(gateway, servers, **sections):
    """Write the file and say so by SIGHUP; returns when it is in force."""
    before = loads(gateway)
    write_config(gateway.config.parent, servers, **sections)
    os.kill(gateway.pid, signal.SIGHUP)
    await until(lambda: loads(gateway) > before)


async def settled(*ears):
    """Both eras have heard of the change, and whoever would hear twice has had the time to."""
    await until(lambda: all(ear.changes for ear in ears))
    await asyncio.sleep(0.5)


async def test_a_file_that_is_wrong_is_refused_and_changes_nothing(tmp_path):
    servers = {"one": unruly(), "two": unruly("--era", "legacy")}
    async with serving(tmp_path, servers) as gateway, modern(gateway.url) as new, legacy(gateway.url) as old:
        before = await pids(new, "one", "two")
        async with ears(new, old) as (listen, get):
            running = asyncio.create_task(new.call("one__count", {"delay": 1}))
            for bad in (
                "mcpServers: {one: [",
                "mcpServers: {one: {comand: x}}",
                "",
                "mcpServers: {one: {command: x}}\nnonsense: 1",
            ):
                refused = len(gateway.events("config.refused"))
                gateway.config.write_text(bad)
                os.kill(gateway.pid, signal.SIGHUP)
                await until(lambda count=refused: len(gateway.events("config.refused")) > count)
            assert "result" in await running
            assert await pids(new, "one", "two") == before
            assert loads(gateway) == 1
            assert listen.changes == get.changes == []
            assert all(event.data["problems"] for event in gateway.events("config.refused"))


async def test_only_what_changed_is_started_anew_and_running_calls_finish(tmp_path):
    mark, counts = new_mark(), tmp_path / "counts"
    servers = {name: unruly("--counts", counts, mark=mark) for name in ("kept", "changed", "removed")}
    async with serving(tmp_path, servers) as gateway, modern(gateway.url) as new, legacy(gateway.url) as old:
        before = await pids(new, *servers)
        started = await pids(old, *servers)
        assert len(marked(mark)) >= 3
        async with ears(new, old) as (listen, get):
            await asyncio.sleep(0.3)
            listen.heard.clear()
            get.heard.clear()
            running = [
                asyncio.create_task(client.call(f"{name}__count", {"n": f"{name}-{turn}", "delay": 1.0}))
                for name in servers
                for turn, client in enumerate((new, old))
            ]
            await until(lambda: counts.exists() and counts.read_text().count("-") == 6)
            after = {
                "kept": servers["kept"],
                "changed": unruly("--counts", counts, "--stubborn", mark=mark),
                "added": unruly("--counts", counts, mark=mark),
            }
            await signalled(gateway, after)
            answers = await asyncio.gather(*running)
            assert [answer["result"]["structuredContent"]["pid"] for answer in answers[::2]] == list(before.values())
            assert [answer["result"]["structuredContent"]["pid"] for answer in answers[1::2]] == list(started.values())
            await settled(listen, get)
            assert listen.changes == get.changes
            # The swap is one change; what a server that was added offers becomes known after it.
            assert listen.changes in ([TOOLS], [TOOLS, TOOLS])
            now = await pids(new, *after)
            assert now["kept"] == before["kept"]
            assert now["changed"] != before["changed"]
            assert (await pids(old, "kept"))["kept"] == started["kept"]
            assert "Unknown tool" in (await new.call("removed__count"))["error"]["message"]
            gone = {before["changed"], before["removed"], started["changed"], started["removed"]}
            await until(lambda: not gone & marked(mark).keys())
        loaded = gateway.events("config.loaded")[0].data
        assert {key: loaded[key] for key in ("added", "removed", "changed", "kept")} == {
            "added": ["added"], "removed": ["removed"], "changed": ["changed"], "kept": ["kept"],
        }  # fmt: skip


@pytest.mark.parametrize("change", ["removed", "changed", "added"])
async def test_a_change_of_lists_is_told_exactly_once_in_both_eras(tmp_path, change):
    servers = {"stays": unruly(), "one": unruly()}
    if change == "added":
        del servers["one"]
    async with serving(tmp_path, servers) as gateway, modern(gateway.url) as new, legacy(gateway.url) as old:
        await pids(new, *servers)
        await pids(old, *servers)
        async with ears(new, old) as (listen, get):
            await asyncio.sleep(0.3)
            listen.heard.clear()
            get.heard.clear()
            after = {"stays": servers["stays"], "one": unruly("--mode", "malformed-tools")}
            if change == "removed":
                del after["one"]
            await signalled(gateway, after)
            await settled(listen, get)
            assert listen.changes == get.changes == [TOOLS]
            if change != "removed":
                await pids(new, *after)
                await pids(old, *after)
                await asyncio.sleep(0.3)
                assert listen.changes == get.changes == [TOOLS]


async def test_a_changed_file_is_noticed_and_an_equal_one_changes_nothing(tmp_path):
    servers = {"one": unruly()}
    async with serving(tmp_path, servers) as gateway, modern(gateway.url) as new, legacy(gateway.url) as old:
        before = await pids(new, "one")
        async with ears(new, old) as (listen, get):
            write_config(tmp_path, {**servers, "two": unruly()})
            await until(lambda: loads(gateway) == 2)
            with anyio.fail_after(20):
                await settled(listen, get)
            listen.heard.clear()
            get.heard.clear()
            os.utime(gateway.config)
            gateway.config.write_text(gateway.config.read_text() + "\n")
            await until(lambda: loads(gateway) == 3 or any("nothing" in str(event) for event in gateway.told))
            await asyncio.sleep(0.3)
            assert listen.changes == get.changes == []
            assert await pids(new, "one") == before


async def test_reloads_under_load_lose_no_call(tmp_path):
    def servers(turn):
        return {"kept": unruly(), "turns": unruly("--counts", tmp_path / f"counts-{turn}")}

    async with serving(tmp_path, servers(0)) as gateway, modern(gateway.url) as new, legacy(gateway.url) as old:
        answered, stop = 0, False

        async def work(client, name):
            nonlocal answered
            while not stop:
                response = await client.call(f"{name}__count", {"delay": 0.01})
                assert "result" in response, response
                answered += 1

        async with anyio.create_task_group() as group:
            for _ in range(4):
                for client in (new, old):
                    for name in ("kept", "turns"):
                        group.start_soon(work, client, name)
            for turn in range(1, 6):
                before = answered
                await signalled(gateway, servers(turn))
                await until(lambda least=before + 100: answered > least)
            stop = True
        assert {run.status for run in gateway.runs()} == {"completed"}
