"""Tasks through the whole program: both generations on both sides, over HTTP and pipes, with several servers."""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

import pytest
from gateway_kit import legacy, modern, serving

pytestmark = pytest.mark.anyio
SERVER = str(Path(__file__).parents[1] / "peers" / "task_server.py")
DECLARED = {"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}}
RELATED = "io.modelcontextprotocol/related-task"
YES = {"action": "accept", "content": {"confirm": True}}
OVER = {"completed", "failed", "cancelled"}
LEGACY_TASKS = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}


def piped(era):
    return {"command": sys.executable, "args": [SERVER, era], "idleStop": "1s"}


@contextlib.asynccontextmanager
async def over_http(port, **environ):
    """The task server over HTTP, as a server block of the configuration."""
    process = await asyncio.create_subprocess_exec(sys.executable, SERVER, str(port), env={**os.environ, **environ})
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    _reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield {"type": "http", "url": f"http://127.0.0.1:{port}/mcp"}
    finally:
        process.terminate()
        await process.wait()


class Tasks:
    """A modern client that speaks of tasks: `Mcp-Name` is the id of the task."""

    def __init__(self, client):
        self.client = client

    async def about(self, method, task, **params):
        request = self.client.request(method, {"taskId": task, **params})
        request["headers"]["mcp-name"] = task
        return (await self.client.http.post(self.client.url, **request)).json()

    async def until(self, task, statuses):
        async with asyncio.timeout(20):
            while True:
                shown = (await self.about("tasks/get", task))["result"]
                if shown["status"] in statuses:
                    return shown
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("kind", ["modern over HTTP", "modern over a pipe", "legacy over a pipe"])
async def test_a_modern_client_has_tasks_of_two_servers_of_any_kind_side_by_side(tmp_path, free_ports, kind):
    async with contextlib.AsyncExitStack() as stack:
        servers = {}
        for name, port in zip(("one", "two"), free_ports(2), strict=True):
            at = kind.split()[0]
            servers[name] = piped(at) if "pipe" in kind else await stack.enter_async_context(over_http(port))
        gateway = await stack.enter_async_context(serving(tmp_path, servers))
        client = await stack.enter_async_context(modern(gateway.url, capabilities=DECLARED))
        tasks = Tasks(client)
        begun = {}
        for name in servers:
            response = await client.call(f"{name}__confirm_delete", {"filename": name})
            assert response["result"]["resultType"] == "task", response
            begun[name] = response["result"]["taskId"]
        for task in begun.values():
            shown = await tasks.until(task, {"input_required"})
            answers = dict.fromkeys(shown["inputRequests"], YES)
            assert await tasks.about("tasks/update", task, inputResponses=answers) == {
                "jsonrpc": "2.0", "id": 1, "result": {"resultType": "complete"},
            }  # fmt: skip
        for task in begun.values():
            ended = await tasks.until(task, OVER)
            assert ended["status"] == "completed"
            assert "accept" in ended["result"]["content"][0]["text"]
        slow = (await client.call("one__slow_compute", {"seconds": 60}))["result"]["taskId"]
        assert (await tasks.about("tasks/cancel", slow))["result"] == {"resultType": "complete"}
        assert (await tasks.until(slow, OVER))["status"] == "cancelled"
        request = client.request("tasks/get", {"taskId": slow})
        request["headers"]["mcp-name"] = begun["one"]
        assert (await client.http.post(client.url, **request)).json()["error"]["code"] == -32020


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_legacy_client_has_tasks_of_servers_of_both_eras(tmp_path, era):
    async with (
        serving(tmp_path, {"one": piped(era), "two": piped(era)}) as gateway,
        legacy(gateway.url, capabilities={"elicitation": {}}, answer=lambda _question: YES) as client,
    ):
        assert client.initialized["capabilities"]["tasks"] == LEGACY_TASKS
        call = {"name": "one__confirm_delete", "arguments": {"filename": "f"}, "task": {"ttl": 60000}}
        task = (await client.ask("tools/call", call))[0]["result"]["task"]["taskId"]
        result = (await client.ask("tasks/result", {"taskId": task}))[0]["result"]
        assert "accept" in result["content"][0]["text"]
        assert result["_meta"][RELATED] == {"taskId": task}
        (question,) = client.asked
        assert question["params"]["_meta"][RELATED] == {"taskId": task}
        assert (await client.ask("tasks/get", {"taskId": task}))[0]["result"]["status"] == "completed"
        call = {"name": "two__slow_compute", "arguments": {"seconds": 60}, "task": {}}
        slow = (await client.ask("tools/call", call))[0]["result"]["task"]["taskId"]
        assert (await client.ask("tasks/cancel", {"taskId": slow}))[0]["result"]["status"] == "cancelled"
        listed = (await client.ask("tasks/list"))[0]["result"]["tasks"]
        assert {one["taskId"]: one["status"] for one in listed} == {task: "completed", slow: "cancelled"}
        async with legacy(gateway.url, capabilities={"elicitation": {}}) as other:
            assert (await other.ask("tasks/list"))[0]["result"]["tasks"] == []


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_clients_without_tasks_use_tools_that_only_work_as_tasks(tmp_path, era):
    async with serving(tmp_path, {"one": piped(era)}) as gateway:
        async with legacy(gateway.url, capabilities={"elicitation": {}}, answer=lambda _question: YES) as client:
            answer = await client.call("one__confirm_delete", {"filename": "f"})
            if era == "modern":
                assert "accept" in answer["result"]["content"][0]["text"]
            else:
                assert answer["error"]["code"] == -32601, "legacy to legacy: the server's own word"
        async with modern(gateway.url) as client:
            answer = await client.call("one__failing_job")
            if era == "modern":
                assert answer["error"]["code"] == -32021, "modern to modern: the server's own word"
            else:
                assert answer["result"]["isError"] is True


async def test_a_long_call_of_an_ordinary_server_becomes_a_task(tmp_path):
    clock = {"command": sys.executable, "args": ["-m", "mcp_orchestrator.testing.clock"]}
    async with (
        serving(tmp_path, {"clock": clock}) as gateway,
        modern(gateway.url, capabilities=DECLARED) as able,
        modern(gateway.url) as plain,
    ):
        together = asyncio.gather(able.call("clock__wait", {"seconds": 7}), plain.call("clock__wait", {"seconds": 7}))
        begun, whole = await together
        assert begun["result"]["resultType"] == "task"
        assert whole["result"]["resultType"] == "complete"
        ended = await Tasks(able).until(begun["result"]["taskId"], OVER)
        # Two calls: how long each of them waited may differ in the last digit.
        waited = [json.loads(one["result"]["content"][0]["text"])["waited"] for one in (ended, whole)]
        assert [round(seconds) for seconds in waited] == [7, 7]


async def test_who_listens_for_a_task_hears_how_it_goes_on(tmp_path, free_port):
    async with contextlib.AsyncExitStack() as stack:
        servers = {"web": await stack.enter_async_context(over_http(free_port)), "old": piped("legacy")}
        gateway = await stack.enter_async_context(serving(tmp_path, servers))
        client = await stack.enter_async_context(modern(gateway.url, capabilities=DECLARED))
        for name in servers:
            begun = await client.call(f"{name}__confirm_delete", {"filename": "f"})
            assert "result" in begun, (name, begun, gateway.told)
            task = begun["result"]["taskId"]
            shown = await Tasks(client).until(task, {"input_required"})
            wanted = {"notifications": {"taskIds": [task, "made-up"]}}
            async with client.stream("subscriptions/listen", wanted) as hear, asyncio.timeout(20):
                assert (await hear())["params"]["notifications"] == {"taskIds": [task]}
                await Tasks(client).about(
                    "tasks/update", task, inputResponses=dict.fromkeys(shown["inputRequests"], YES)
                )
                while True:
                    told = await hear()
                    assert told["method"] == "notifications/tasks"
                    assert told["params"]["taskId"] == task
                    assert told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 1
                    if told["params"]["status"] == "completed":
                        break
                assert "accept" in told["params"]["result"]["content"][0]["text"]


@pytest.mark.parametrize("transport", ["http", "pipe"])
async def test_a_modern_server_that_wants_to_be_looked_at_once_a_minute_is_heard_when_it_tells(
    tmp_path, free_port, transport
):
    async with contextlib.AsyncExitStack() as stack:
        seldom = {"POLL_MS": "60000"}
        if transport == "http":
            block = await stack.enter_async_context(over_http(free_port, **seldom))
        else:
            block = {**piped("modern"), "env": seldom}
        gateway = await stack.enter_async_context(serving(tmp_path, {"one": block}))
        client = await stack.enter_async_context(modern(gateway.url, capabilities=DECLARED))
        begun = await client.call("one__confirm_delete", {"filename": "f"})
        task = begun["result"]["taskId"]
        shown = await Tasks(client).until(task, {"input_required"})
        async with client.stream("subscriptions/listen", {"notifications": {"taskIds": [task]}}) as hear:
            assert (await hear())["params"]["notifications"] == {"taskIds": [task]}
            answers = dict.fromkeys(shown["inputRequests"], YES)
            await Tasks(client).about("tasks/update", task, inputResponses=answers)
            async with asyncio.timeout(10):
                while (told := await hear())["params"]["status"] != "completed":
                    pass
            assert told["params"]["taskId"] == task
        plain = await stack.enter_async_context(
            legacy(gateway.url, capabilities={"elicitation": {}}, answer=lambda _question: YES)
        )
        async with asyncio.timeout(10):  # the gateway follows this task by itself
            answer = await plain.call("one__confirm_delete", {"filename": "f"})
        assert "accept" in answer["result"]["content"][0]["text"]


async def test_only_who_declares_the_extension_may_listen_for_tasks(tmp_path):
    async with serving(tmp_path, {"old": piped("legacy")}) as gateway, modern(gateway.url) as client:
        refused, _notes = await client.ask("subscriptions/listen", {"notifications": {"taskIds": ["x"]}})
        assert refused["error"]["code"] == -32021


@pytest.mark.real
async def test_the_tasks_of_an_official_legacy_server_are_tasks_for_clients_of_both_eras(tmp_path, npm_server):
    command, *args = npm_server("server-everything", "stdio")
    call = {"name": "everything__simulate-research-query", "arguments": {"topic": "python", "ambiguous": True}}
    answer = {"action": "accept", "content": {"interpretation": "snake"}}
    async with serving(tmp_path, {"everything": {"command": command, "args": args}}) as gateway:
        async with modern(gateway.url, capabilities=DECLARED) as client:
            begun = (await client.call(call["name"], call["arguments"]))["result"]
            assert (begun["resultType"], begun["status"]) == ("task", "working")
            shown = await Tasks(client).until(begun["taskId"], {"input_required"})
            answers = dict.fromkeys(shown["inputRequests"], answer)
            await Tasks(client).about("tasks/update", begun["taskId"], inputResponses=answers)
            ended = await Tasks(client).until(begun["taskId"], OVER)
            assert "python (snake)" in ended["result"]["content"][0]["text"]
        async with legacy(gateway.url, capabilities={"elicitation": {}}, answer=lambda _question: answer) as client:
            begun = (await client.ask("tools/call", {**call, "task": {"ttl": 60000}}))[0]["result"]["task"]
            result = (await client.ask("tasks/result", {"taskId": begun["taskId"]}))[0]["result"]
            assert "python (snake)" in result["content"][0]["text"]
            assert result["_meta"][RELATED] == {"taskId": begun["taskId"]}
