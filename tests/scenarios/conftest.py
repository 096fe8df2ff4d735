"""The whole program from outside: a gateway process over a configuration, and what it says."""

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from run_suite import free_ports, running

PROGRAM = str(Path(sys.executable).with_name("mcp-orchestrator"))
VERSION = "2026-07-28"


@dataclass(frozen=True)
class Served:
    """A gateway that serves HTTP. `config` is its file, `log` what it wrote to standard error."""

    url: str
    config: Path
    log: Path

    def ask(self, method, params=None, *, name=None, timeout=30):
        """One modern request on the raw wire; returns the JSON-RPC response."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**(params or {}), "_meta": meta}}
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": VERSION,
            "Mcp-Method": method,
            **({"Mcp-Name": name} if name else {}),
        }
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)  # noqa: S310 - our own server
        try:
            text = urllib.request.urlopen(request, timeout=timeout).read().decode()  # noqa: S310
        except urllib.error.HTTPError as error:
            text = error.read().decode()
        streamed = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")]
        return json.loads(streamed[-1] if streamed else text)

    def call(self, tool, **arguments):
        """Call a tool in the modern era; returns its result."""
        response = self.ask("tools/call", {"name": tool, "arguments": arguments}, name=tool)
        assert "result" in response, response
        return response["result"]


def write_config(directory, servers, **sections):
    """A configuration in its own directory, with storage beside it. JSON is YAML."""
    path = directory / "orchestrator.yaml"
    storage = {"url": f"sqlite:///{directory / 'state.db'}"}
    path.write_text(json.dumps({"mcpServers": servers, "storage": storage, **sections}))
    return path


@pytest.fixture(scope="session")
def anyio_backend():
    """Plain asyncio for the clients of these tests: the gateway is a process of its own and runs on uvloop anyway.

    On uvloop, anyio 4.16 fails with an AttributeError while connecting to a gateway that is killed at that moment.
    """
    return "asyncio"


@pytest.fixture(scope="session")
def program():
    """The installed console script."""
    return PROGRAM


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Starts gateways over HTTP: `serve({"time": {...}}, profiles={...})`; they end with the module's tests."""
    with contextlib.ExitStack() as stack:

        def start(servers, **sections):
            directory = tmp_path_factory.mktemp("gateway")
            (port,) = free_ports(1)
            listeners = {"http": {"host": "127.0.0.1", "port": port, "path": "/mcp"}}
            config = write_config(directory, servers, listeners=listeners, **sections)
            url, log = f"http://127.0.0.1:{port}/mcp", directory / "gateway.log"
            stack.enter_context(running([PROGRAM, "serve", "--config", str(config)], url, log))
            return Served(url, config, log)

        yield start


@pytest.fixture(scope="session")
def run_program():
    """Runs a command of the program: `run_program("tools", "list", config=path)`; returns the finished process."""

    def run(*arguments, config=None, timeout=60):
        argv = [PROGRAM, *arguments, *(["--config", str(config)] if config else [])]
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )

    return run
