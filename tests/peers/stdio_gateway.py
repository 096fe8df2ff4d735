"""A stand-in for a gateway: opens one stdio backend, prints what there is to know as JSON, then waits to be killed."""

import asyncio
import json
import sys
from pathlib import Path

from mcp_orchestrator.backends.mcp_stdio import StdioBackend
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.call import ClientFace, Era, Invocation
from mcp_orchestrator.model.snapshot import BackendSpec, TransportKind
from mcp_orchestrator.plugin_api import Opening

SERVER = str(Path(__file__).with_name("stdio_raw.py"))


class Silent:
    def progress(self, params):
        """Not wanted."""

    def notify(self, method, params):
        """Not wanted."""


async def main():
    reaper = Reaper()
    arguments = ("-u", SERVER, "--stubborn")
    backend = StdioBackend(BackendSpec("raw", TransportKind.STDIO, command=sys.executable, args=arguments), reaper)
    session = await backend.open(Opening(Era.LEGACY))
    client = ClientFace(Era.LEGACY, "2025-11-25")
    call = Invocation("r1", "tools/call", {"name": "offspring"}, {}, client)
    outcome = await session.invoke(call, Silent())
    pids = [session.pid, *json.loads(outcome.result)["pids"]]
    print(json.dumps({"pids": pids, "watchdog": reaper.watchdog_pid}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
