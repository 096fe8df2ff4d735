"""The stdio listener over the fake gateway, as a program."""

import asyncio
import os
import sys

import uvloop
from fake_gateway import FakeGateway, completed

from mcp_orchestrator.listeners.stdio import StdioListener


class Printing(FakeGateway):
    """Prints where a careless library would."""

    async def _tool(self, call, port):
        if call.name == "print":
            print("printed by a tool", flush=True)
            os.write(1, b"printed by a tool, lower down\n")
            return completed(call, {"content": []})
        return await super()._tool(call, port)


def main():
    run = uvloop.run if "uvloop" in sys.argv else asyncio.run
    run(StdioListener(Printing()).serve(lambda _address: None))


if __name__ == "__main__":
    main()
