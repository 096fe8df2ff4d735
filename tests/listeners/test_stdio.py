"""The stdio listener as a process sees it: lines, ends, descriptors, and the official client."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from fake_gateway import FakeGateway
from listener_wire import initialize, modern_body, piping, request
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from mcp_orchestrator.listeners.stdio import StdioListener

pytestmark = pytest.mark.anyio
PEERS = Path(__file__).parents[1] / "peers"
PROGRAM = PEERS / "stdio_fake.py"


async def test_lines_that_are_no_messages_are_answered_with_errors():
    async with piping() as piped:
        piped.write(b"{nonsense\n\n   \r\n")
        refused = await piped.receive()
        assert (refused["id"], refused["error"]["code"]) == (None, -32700)
        assert (await piped.ask({"jsonrpc": "2.0", "id": 7, "method": 1}))["error"]["code"] == -32600
        assert (await piped.ask([1]))["error"]["code"] == -32600
        assert (await piped.ask(5))["error"]["code"] == -32600
        piped.send({"jsonrpc": "2.0", "method": "notifications/x"})
        piped.send({"jsonrpc": "2.0", "id": 1, "result": {}})
        assert (await piped.ask(request("ping")))["result"] == {}


async def test_a_line_beyond_the_limit_is_refused_and_the_next_one_served():
    async with piping(max_line_bytes=1000) as piped:
        piped.write(b"x" * 1500)
        assert (await piped.receive())["error"]["code"] == -32600
        piped.write(b"x" * 1500 + b"\n")
        assert (await piped.ask(request("ping")))["result"] == {}


async def test_many_requests_at_once_get_their_own_answers():
    async with piping() as piped:
        for number in range(200):
            piped.send(modern_body("tools/call", {"name": "echo", "arguments": {"n": number}}, key=number))
        seen = {}
        for _ in range(200):
            answer = await piped.receive()
            seen[answer["id"]] = json.loads(answer["result"]["content"][0]["text"])["n"]
        assert seen == {number: number for number in range(200)}


async def test_a_flood_waits_instead_of_growing():
    gateway = FakeGateway()
    async with piping(gateway) as piped:
        body = json.dumps(modern_body("tools/call", {"name": "wait"}, key="KEY")).encode()

        def flood():
            for number in range(3000):
                piped.write(body.replace(b"KEY", b"%d" % number) + b"\n")

        writing = asyncio.create_task(asyncio.to_thread(flood))
        with anyio.fail_after(20):
            await gateway.crowded.wait()
            await anyio.wait_all_tasks_blocked()
            assert len(gateway.runs) < 3000
            gateway.gate.set()
            keys = {(await piped.receive())["id"] for _ in range(3000)}
            await writing
        assert len(keys) == 3000


async def test_the_end_of_input_lets_running_calls_finish():
    async with piping() as piped:
        piped.send(modern_body("tools/call", {"name": "wait"}, key=1))
        with anyio.fail_after(5):
            await piped.gateway.entered.wait()
            piped.write(json.dumps(modern_body("tools/call", {"name": "echo"}, key=2)).encode())  # no line end
            piped.hang_up()
            assert (await piped.receive())["id"] == 2
            piped.gateway.gate.set()
            assert (await piped.receive())["id"] == 1
            await piped.task
            assert await piped.receive() is None


async def test_calls_that_outlast_the_grace_are_cancelled():
    async with piping(end_grace=0.02) as piped:
        await piped.ask(initialize())
        piped.send(request("tools/call", {"name": "wait"}))
        with anyio.fail_after(5):
            await piped.gateway.entered.wait()
            piped.hang_up()
            await piped.task
        assert piped.gateway.over.is_set()
        assert len(piped.gateway.closed) == 1


async def test_a_bug_is_an_error_of_one_request(caplog):
    async with piping() as piped:
        answer = await piped.ask(modern_body("boom"))
        assert answer["error"]["code"] == -32603
        assert "bug of the gateway" not in json.dumps(answer)
        assert (await piped.ask(modern_body("server/discover", key=2)))["id"] == 2
    assert "request failed" in caplog.text


async def test_cancelling_serve_ends_what_runs():
    async with piping() as piped:
        piped.send(modern_body("tools/call", {"name": "wait"}))
        with anyio.fail_after(5):
            await piped.gateway.entered.wait()
            piped.task.cancel()
            await asyncio.wait((piped.task,))
        assert piped.gateway.over.is_set()


async def test_an_unknown_profile_is_told():
    with pytest.raises(ValueError, match="no profile 'x'"):
        await StdioListener(FakeGateway(), profile="x").serve(lambda _address: None)


async def test_a_listener_stopped_before_it_serves_never_begins():
    listener, told = StdioListener(FakeGateway()), []
    with anyio.fail_after(5):
        await listener.stop(1)
        await listener.serve(told.append)
    assert told == []


def test_standard_output_belongs_to_the_protocol_and_files_work_too(tmp_path):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [initialize(), request("tools/call", {"name": "print"}, 1), request("ping", {}, 2)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with source.open("rb") as stdin, target.open("wb") as stdout:
        done = subprocess.run(
            [sys.executable, str(PROGRAM)], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=30, check=True
        )
    answers = [json.loads(line) for line in target.read_text().splitlines()]
    assert sorted(answer["id"] for answer in answers) == [0, 1, 2]
    assert done.stderr.decode().count("printed by a tool") == 2
    piped = subprocess.run(
        [sys.executable, str(PROGRAM), "uvloop"], input=source.read_bytes(), capture_output=True, timeout=30, check=True
    )
    assert len(piped.stdout.splitlines()) == 3
    nothing = subprocess.run(
        [sys.executable, str(PROGRAM)], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True
    )
    assert nothing.stdout == b""


def test_a_reader_that_goes_away_ends_the_program():
    with subprocess.Popen(
        [sys.executable, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        program.stdout.close()
        program.stdin.write(json.dumps(initialize()).encode() + b"\n")
        program.stdin.flush()
        assert program.wait(timeout=20) == 0


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_is_served_in_either_era(mode):
    parameters = StdioServerParameters(command=sys.executable, args=[str(PROGRAM)], env=dict(os.environ))
    with anyio.fail_after(30):
        async with Client(stdio_client(parameters), mode=mode) as client:
            assert (await client.list_tools()).tools[0].name == "echo"
            result = await client.call_tool("echo", {"a": 1})
            assert result.content[0].text == '{"a": 1}'
