"""Servers and gateways are killed under load: what is in flight is told, nothing is done twice, everything answered is kept."""

import asyncio
import contextlib
import json
import os
import signal
from collections import Counter

import anyio
import httpx2
import pytest
from gateway_kit import legacy, modern, serving, unruly, until

pytestmark = pytest.mark.anyio

IN_FLIGHT = 32


def executions(path):
    return Counter(path.read_text().split()) if path.exists() else Counter()


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("start", ["lazy", "eager"])
async def test_a_server_that_is_killed_takes_only_its_own_calls_along(tmp_path, era, start):
    counts = tmp_path / "counts"
    servers = {"dies": unruly("--era", era, "--counts", counts), "lives": unruly()}
    backends = {"dies": {"start": start}}
    async with serving(tmp_path, servers, backends=backends) as gateway, modern(gateway.url) as client:
        killed, numbers = 0, iter(range(100_000))
        for _round in range(3):
            pid = (await client.call("dies__count", {"n": f"p{next(numbers)}"}))["result"]["structuredContent"]["pid"]
            calls = [
                asyncio.create_task(client.call("dies__count", {"n": f"r{next(numbers)}", "delay": 30}))
                for _ in range(IN_FLIGHT)
            ]
            other = [asyncio.create_task(client.call("lives__count", {"delay": 0.3})) for _ in range(8)]
            await until(lambda: sum(executions(counts).values()) % (IN_FLIGHT + 1) == 0)
            os.kill(pid, signal.SIGKILL)
            with anyio.fail_after(10):
                for response in await asyncio.gather(*calls):
                    error = response["error"]
                    assert error["code"] == -32000
                    assert "SIGKILL" in error["message"]
                    assert "may have had effects and was not repeated" in error["message"]
                    assert error["data"] == {"kind": "died", "retryable": False}
                    killed += 1
                assert all("result" in response for response in await asyncio.gather(*other))
        assert set(executions(counts).values()) == {1}
        with anyio.fail_after(10):
            assert "result" in await client.call("dies__count", {"n": "last"})
        died = gateway.runs(backend="dies", status="failed")
        assert len(died) == killed
        assert {run.ended["kind"] for run in died} == {"died"}


async def test_killing_a_server_again_and_again_loses_nothing_that_was_not_in_flight(tmp_path):
    counts = tmp_path / "counts"
    async with serving(tmp_path, {"dies": unruly("--counts", counts)}) as gateway, modern(gateway.url) as client:
        answered, told, stop = [], [], False

        async def work(worker):
            number = 0
            while not stop:
                number += 1
                response = await client.call("dies__count", {"n": f"{worker}-{number}", "delay": 0.002})
                (answered if "result" in response else told).append((f"{worker}-{number}", response))

        async with anyio.create_task_group() as group:
            for worker in range(8):
                group.start_soon(work, worker)
            for round_ in range(6):
                before = len(answered)
                await until(lambda least=before + 60: len(answered) > least, 30)
                os.kill(answered[-1][1]["result"]["structuredContent"]["pid"], signal.SIGKILL)
                assert round_ < 6
            stop = True
        done = executions(counts)
        assert set(done.values()) == {1}
        assert all(done[number] == 1 for number, _ in answered)
        for number, response in told:
            kind = response["error"]["data"]["kind"]
            assert kind == "died" or done[number] == 0, response
        assert [response for _, response in told if response["error"]["data"]["kind"] == "unavailable"] == []


async def test_everything_that_a_killed_gateway_answered_is_in_its_journal(tmp_path, run_program):
    servers = {"one": unruly("--era", "modern"), "two": unruly("--era", "legacy")}
    answered, numbers = [], iter(range(1, 100_000))

    async def work(client, tool):
        with contextlib.suppress(httpx2.HTTPError):  # the gateway is gone
            while True:
                trace = f"{next(numbers):032x}"
                response = await client.call(tool, {}, meta={"traceparent": f"00-{trace}-00000000000000aa-01"})
                assert "result" in response
                answered.append(trace)

    async with (
        serving(tmp_path, servers) as gateway,
        modern(gateway.url) as new,
        legacy(gateway.url) as old,
        anyio.create_task_group() as group,
    ):
        for _ in range(10):
            for client, tool in ((new, "one__count"), (new, "two__count"), (old, "two__count")):
                group.start_soon(work, client, tool)
        for _ in range(4):
            group.start_soon(work, new, "one__hang")
        await until(lambda: len(answered) > 1500, 60)
        await gateway.kill()
    listed = run_program("runs", "list", "--limit", "10000", "--format", "json", config=gateway.config)
    runs = json.loads(listed.stdout)["runs"]
    assert set(answered) <= {run["call"]["trace"] for run in runs if run["status"] == "completed"}
    assert {run["status"] for run in runs} == {"completed", "lost"}
    assert sum(run["call"]["name"] == "one__hang" for run in runs if run["status"] == "lost") == 4
    async with serving(tmp_path, config=gateway.config) as again, modern(again.url) as client:
        assert "result" in await client.call("one__count")
        with again.journal() as journal:
            verdict = journal.verify()
        assert verdict.fault is None
        assert verdict.rows > 2 * len(answered)
        assert len(again.runs(status="lost")) >= 4
