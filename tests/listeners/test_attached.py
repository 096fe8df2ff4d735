"""How delegated agents come back into the gateway: with the token of their run, and with that alone."""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

import anyio
import httpx2
import pytest
from delegating import ADA, Agent, Front, until, until_stopped

from mcp_orchestrator.listeners import shim
from mcp_orchestrator.listeners.attached import AttachedSocket, admitter
from mcp_orchestrator.listeners.http import HttpListener
from mcp_orchestrator.model.agent import AgentKind
from mcp_orchestrator.model.snapshot import HttpSpec
from mcp_orchestrator.runtime.attachments import Reach

pytestmark = pytest.mark.anyio

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "agent", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Doors:
    """A front with both ways in, and a delegation whose agent has not come in yet."""

    def __init__(self, tmp_path):
        self.agent = Agent("boss", work=until_stopped)
        self.front = Front(tmp_path, self.agent, Agent("hand"))
        self.path = str(tmp_path / "s")
        self._serving = contextlib.AsyncExitStack()

    async def __aenter__(self):
        await self._serving.enter_async_context(self.front)
        house = self.front.house
        http = HttpListener(HttpSpec(port=0), self.front.gateway, admit=admitter(house.attachments.admit))
        socket = AttachedSocket(self.path, self.front.gateway, house.attachments.admit, 60.0)
        self.url = await self._serve(http)
        await self._serve(socket)
        house.attachments.reach = Reach(self.url, (sys.executable, "-I", shim.__file__), self.path)
        self.delegation = await house.begin(agent="boss", trace="f" * 32)
        with anyio.fail_after(10):
            await self.agent.begun.wait()
        self.attachment = self.agent.opened[0].attachment
        return self

    async def __aexit__(self, *failure):
        await self._serving.aclose()

    async def _serve(self, listener):
        ready = asyncio.get_running_loop().create_future()
        serving = asyncio.ensure_future(listener.serve(ready.set_result))

        async def stop():
            await listener.stop(0.0)
            await serving

        self._serving.push_async_callback(stop)
        return await ready

    @property
    def headers(self):
        return {name: value.reveal() for name, value in self.attachment.headers}

    async def post(self, method, params, headers):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
        sent = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": method,
            **({"mcp-name": params["name"]} if "name" in params else {}),
            **headers,
        }
        async with httpx2.AsyncClient() as client:
            return await client.post(self.url, json=body, headers=sent)


async def test_an_agent_with_its_token_is_a_principal_of_its_own_under_its_run(tmp_path):
    async with Doors(tmp_path) as doors:
        assert doors.attachment.url.endswith("/mcp")
        assert not doors.delegation.kept.attached
        reply = await doors.post("tools/list", {}, doors.headers)
        assert "delegate" in {tool["name"] for tool in reply.json()["result"]["tools"]}
        assert doors.delegation.kept.attached
        arguments = {"task": "y", "agent": "hand"}
        reply = await doors.post("tools/call", {"name": "delegate", "arguments": arguments}, doors.headers)
        shown = reply.json()["result"]["structuredContent"]
        assert shown["status"] == "completed"
        kept = await doors.front.house.delegations.find(shown["run"], None)
        run = doors.delegation.kept.id
        assert (kept.owner, kept.parent, kept.depth) == (f"agent:boss:{run}", run, 2)
        assert kept.trace == "f" * 32
        (started,) = [
            event.data for event in doors.front.house.events(shown["run"]) if event.kind.value == "run.started"
        ]
        assert (started["parent"], started["principal"], started["trace"]) == (run, f"agent:boss:{run}", "f" * 32)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic eDp5"}])
async def test_nobody_else_comes_in(tmp_path, headers):
    async with Doors(tmp_path) as doors:
        reply = await doors.post("tools/list", {}, headers)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        assert not doors.delegation.kept.attached


async def test_a_token_is_good_for_nothing_once_its_run_is_over(tmp_path):
    async with Doors(tmp_path) as doors:
        await doors.front.house.delegations.cancel(doors.delegation.kept.id, ADA, "enough")
        assert (await doors.post("tools/list", {}, doors.headers)).status_code == 401


async def test_an_agent_that_takes_stdio_servers_only_comes_in_through_the_shim(tmp_path):
    async with Doors(tmp_path) as doors:
        own = {name: value.reveal() for name, value in doors.attachment.env}
        child = await asyncio.create_subprocess_exec(
            *doors.attachment.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], **own},
        )
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
        asked = [
            {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}},
        ]
        with anyio.fail_after(20):
            for message in asked:
                child.stdin.write(json.dumps(message).encode() + b"\n")
            answers = [json.loads(await child.stdout.readline()) for _ in range(2)]
            assert "run_status" in {tool["name"] for tool in answers[1]["result"]["tools"]}
            assert doors.delegation.kept.attached
            child.stdin.close()
            assert await child.wait() == 0


async def test_a_wrong_token_on_the_socket_is_met_with_silence(tmp_path):
    async with Doors(tmp_path) as doors:
        with anyio.fail_after(20):
            reader, writer = await asyncio.open_unix_connection(doors.path)
            writer.write(b"wrong\n")
            assert await reader.read() == b""
            writer.close()


async def test_an_agent_that_never_comes_in_is_told_of(tmp_path):
    async with Doors(tmp_path) as doors:
        hand = await doors.front.house.begin(agent="hand")
        await until(hand, hand.over.is_set)
        assert any("never connected" in warning for warning in hand.warnings)


@pytest.mark.parametrize("kind", [AgentKind.A2A, AgentKind.CLI])
async def test_an_agent_that_cannot_come_in_is_given_no_way_in_and_not_missed(tmp_path, kind):
    far = Agent("far", kind=kind)
    async with Front(tmp_path, far) as front:
        front.house.attachments.reach = Reach("http://127.0.0.1:1/mcp", ("python",), "s")
        run = await front.house.begin(agent="far")
        await until(run, run.over.is_set)
        assert far.opened[0].attachment is None
        assert run.warnings == []


def test_the_shim_needs_nothing_but_the_standard_library():
    imported = [line.split()[1] for line in Path(shim.__file__).read_text().splitlines() if line.startswith("import ")]
    assert set(imported) <= {"os", "socket", "sys", "threading"}
