"""Many clients at once: every question reaches the client whose call it belongs to, and sessions end with their clients."""

import asyncio
import contextlib

import anyio
import pytest
from gateway_kit import legacy, marked, modern, new_mark, piped, serving, unruly, until

pytestmark = pytest.mark.anyio

CLIENTS = 50
ROUNDS = 3


@pytest.mark.parametrize("most", [64, 8], ids=["room-for-all", "fewer-sessions-than-clients"])
async def test_every_question_of_a_shared_server_reaches_the_right_client(tmp_path, most):
    mark = new_mark()
    backends = {"asks": {"maxSessions": most}}
    servers = {"asks": unruly("--era", "legacy", mark=mark)}
    async with serving(tmp_path, servers, backends=backends) as gateway, contextlib.AsyncExitStack() as stack:
        clients = []
        for number in range(CLIENTS):
            answer = {"action": "accept", "content": {"name": f"client-{number}"}}
            opening = legacy(
                gateway.url, f"client-{number}", {"elicitation": {}}, lambda _question, given=answer: given
            )
            clients.append(await stack.enter_async_context(opening))
        wrong = []

        async def work(number):
            for turn in range(ROUNDS):
                response = await clients[number].call("asks__whoami", {"tag": f"{number}-{turn}"})
                found = response.get("result", {}).get("structuredContent", {})
                said = (found.get("said") or {}).get("content", {}).get("name")
                if (said, found.get("tag")) != (f"client-{number}", f"{number}-{turn}"):
                    wrong.append((number, turn, response))

        with anyio.fail_after(90):
            await asyncio.gather(*(work(number) for number in range(CLIENTS)))
        assert wrong == []
        assert [len(client.asked) for client in clients] == [ROUNDS] * CLIENTS
        assert len(marked(mark)) <= most
        await asyncio.gather(*(client.end() for client in clients))
        await until(lambda: len(marked(mark)) <= 1, 30)
        assert {run.status for run in gateway.runs()} == {"completed"}


async def test_two_hundred_modern_clients_are_served_by_one_process(tmp_path):
    mark = new_mark()
    async with serving(tmp_path, {"one": unruly(mark=mark)}) as gateway, modern(gateway.url) as first:
        pid = (await first.call("one__count"))["result"]["structuredContent"]["pid"]
        with anyio.fail_after(60):
            async with contextlib.AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(modern(gateway.url, name=f"c{n}")) for n in range(200)]

                async def work(number, client):
                    response = await client.call("one__count", {"n": number, "delay": 0.2})
                    return response["result"]["structuredContent"]

                answers = await asyncio.gather(*(work(number, client) for number, client in enumerate(clients)))
        assert [answer["n"] for answer in answers] == list(range(200))
        assert {answer["pid"] for answer in answers} == {pid}
        assert len(marked(mark)) == 1


async def test_a_client_that_leaves_takes_its_own_session_along_while_its_call_asks(tmp_path):
    mark = new_mark()
    asked = asyncio.Event()
    async with serving(tmp_path, {"asks": unruly("--era", "legacy", mark=mark)}) as gateway:
        async with legacy(gateway.url, "leaves", {"elicitation": {}}) as client:
            key = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "asks__whoami"}}
            async with client.http.stream("POST", gateway.url, json=key, headers=client.headers) as reply:
                async for chunk in reply.aiter_bytes():
                    if b"elicitation/create" in chunk:
                        asked.set()
                        break
            assert asked.is_set()
            assert len(marked(mark)) == 2  # the shared one and its own
        await until(lambda: len(marked(mark)) == 1)
        await until(lambda: [run.status for run in gateway.runs()] == ["cancelled"])


async def test_three_gateways_share_one_state_file(tmp_path):
    """Two that serve a pipe and one that serves HTTP, all at work at once: one chain, nobody's runs lost or mixed up."""
    servers = {"one": unruly(), "two": unruly("--era", "legacy")}
    async with serving(tmp_path, servers) as gateway, modern(gateway.url) as web, contextlib.AsyncExitStack() as stack:
        pipes = [await stack.enter_async_context(piped(gateway.config)) for _ in range(2)]
        await asyncio.gather(*(pipe.initialize() for pipe in pipes))
        answered = 0

        async def work(ask):
            nonlocal answered
            for number in range(60):
                response = await ask("one__count" if number % 2 else "two__count", number)
                assert "result" in response, response
                answered += 1

        async def over_http(tool, number):
            return await web.call(tool, {"n": number})

        def over(pipe, lane):
            async def ask(tool, number):
                params = {"name": tool, "arguments": {"n": number}}
                return await pipe.ask("tools/call", params, f"{lane}-{number}")

            return ask

        with anyio.fail_after(60):
            await asyncio.gather(
                *(work(over(pipe, lane)) for pipe in pipes for lane in range(4)), *(work(over_http) for _ in range(4))
            )
        assert answered == 12 * 60
        runs = gateway.runs()
        assert len(runs) == answered
        assert {run.status for run in runs} == {"completed"}
        assert len({run.id[:10] for run in runs}) == 3
        pipes[0].process.kill()
        await pipes[0].process.wait()
        assert "result" in await web.call("one__count")
        with gateway.journal() as journal:
            assert journal.verify().fault is None
