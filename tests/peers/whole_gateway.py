"""A whole gateway in the loop of the test, from a configuration file to its HTTP address, and what its peers need."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path

import structlog
from http_raw import raw_server
from played import OverHttp, Played

from mcp_orchestrator.wiring import Application, load_config

PLAYED = str(Path(__file__).with_name("played.py"))


@contextlib.asynccontextmanager
async def gateway(directory, servers, **sections):
    """Yields (application, address); closed with the block."""
    path = directory / "orchestrator.json"
    storage = {"url": f"sqlite:///{directory / 'state.db'}"}
    listeners = {"http": {"port": 0, "drain": "1s"}}
    path.write_text(json.dumps({"mcpServers": servers, "storage": storage, "listeners": listeners, **sections}))
    loaded = load_config(path)
    assert loaded.snapshot is not None, loaded.problems
    app = Application(loaded.snapshot, config_path=path, log=structlog.get_logger())
    address = asyncio.get_running_loop().create_future()

    async def live():
        async with app:
            await app.serve_http(address.set_result)

    life = asyncio.ensure_future(live())
    try:
        async with asyncio.timeout(20):
            await asyncio.wait({life, address}, return_when=asyncio.FIRST_COMPLETED)
        yield app, await address
    finally:
        app.stop()
        async with asyncio.timeout(30):
            await life


@contextlib.asynccontextmanager
async def over_http(played):
    """A played server over HTTP: yields its block of the configuration."""
    async with raw_server(OverHttp(played).play) as server:
        yield {"type": "http", "url": server.url}


def over_stdio(era):
    """A played server as a child: its block of the configuration."""
    return {"command": sys.executable, "args": [PLAYED, era]}


@contextlib.asynccontextmanager
async def played_gateway(directory, *backends, **sections):
    """A gateway over (name, `Played`) pairs over HTTP; yields its address."""
    async with contextlib.AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(over_http(played)) for name, played in backends}
        _, url = await stack.enter_async_context(gateway(directory, servers, **sections))
        yield url


__all__ = ["Played", "gateway", "over_http", "over_stdio", "played_gateway"]
