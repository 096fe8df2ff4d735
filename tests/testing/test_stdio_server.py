"""The servers that ship with us, spoken to by the official SDK and by hand, each in its own process."""

import json
import os
import subprocess
import sys

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

pytestmark = pytest.mark.anyio

NOTES = [sys.executable, "-m", "mcp_orchestrator.testing.notes"]
CLOCK = [sys.executable, "-m", "mcp_orchestrator.testing.clock"]
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def dialogue(command, *messages):
    """Send all messages at once, close the input, return what came back."""
    text = "".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def parameters(command):
    return stdio_client(StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ)))


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
async def test_the_official_client_lists_and_calls_in_every_era(mode):
    with anyio.fail_after(30):
        async with Client(parameters(NOTES), mode=mode) as client:
            listed = await client.list_tools()
            assert [tool.name for tool in listed.tools] == ["add", "list"]
            added = await client.call_tool("add", {"text": "buy milk"})
            assert added.structured_content == {"number": 1, "count": 1}
            found = await client.call_tool("list", {"containing": "MILK"})
            assert found.structured_content == {"notes": [{"number": 1, "text": "buy milk"}]}
            assert json.loads(found.content[0].text) == found.structured_content
            assert (await client.call_tool("add", {"text": ""})).is_error


async def test_auto_mode_finds_the_modern_era():
    with anyio.fail_after(30):
        async with Client(parameters(CLOCK)) as client:
            assert client.protocol_version == "2026-07-28"
            assert (await client.call_tool("now", {})).structured_content["zone"] == "UTC"
            assert (await client.call_tool("now", {"zone": "Nowhere/Never"})).is_error


async def test_a_slow_call_tells_progress_and_can_be_cancelled():
    heard = []

    async def on_progress(done, total, message):
        heard.append((done, total))

    with anyio.fail_after(30):
        async with Client(parameters(CLOCK), mode="legacy") as client:
            done = await client.call_tool("wait", {"seconds": 0.25}, progress_callback=on_progress)
            assert done.structured_content["waited"] >= 0.25
            assert heard
            assert all(total == 0.25 for _, total in heard)
            with anyio.move_on_after(0.2) as scope:
                await client.call_tool("wait", {"seconds": 3000})
            assert scope.cancelled_caught
            assert not (await client.call_tool("now", {})).is_error


def test_a_version_that_is_not_spoken_is_refused_with_those_that_are():
    meta = {**MODERN, "io.modelcontextprotocol/protocolVersion": "2031-01-01"}
    (reply,) = dialogue(NOTES, {"id": 1, "method": "server/discover", "params": {"_meta": meta}})
    assert reply["error"]["code"] == -32022
    assert reply["error"]["data"] == {"supported": ["2026-07-28"], "requested": "2031-01-01"}


def test_unknown_methods_unknown_tools_and_garbage_are_answered_with_errors():
    replies = dialogue(
        NOTES,
        {"id": 1, "method": "no/such"},
        {"id": 2, "method": "server/discover"},
        {"method": "notifications/initialized"},
        {"id": 4, "method": "ping"},
        {"id": 5, "result": {}},
    )
    assert [(reply["id"], reply.get("error", {}).get("code")) for reply in replies] == [
        (1, -32601),
        (2, -32601),
        (4, None),
    ]
    done = subprocess.run(
        NOTES,
        input='nonsense\n[1]\n{"method":"ping","id":[]}\n',
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert [json.loads(line)["error"]["code"] for line in done.stdout.splitlines()] == [-32700, -32600, -32600]


def test_an_unknown_tool_is_an_error_of_the_protocol():
    child = subprocess.Popen(NOTES, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child:
        child.stdin.write('{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"nothing"}}\n')
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["error"] == {"code": -32602, "message": "Unknown tool: nothing"}
        child.stdin.close()
        assert child.wait(timeout=10) == 0


def test_the_end_of_input_ends_the_process_even_during_a_call():
    child = subprocess.Popen(CLOCK, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child:
        call = {"name": "wait", "arguments": {"seconds": 3000}, "_meta": {"progressToken": "p"}}
        child.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}) + "\n")
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["method"] == "notifications/progress"
        child.stdin.close()
        assert child.wait(timeout=10) == 0
