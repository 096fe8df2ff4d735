"""A client on the official Python SDK 1.x: the same job and output as `client_sdk2.py`, in the legacy era alone.

`python client_sdk1.py http URL` or `python client_sdk1.py stdio COMMAND ARGUMENT...`.
"""

import asyncio
import contextlib
import json
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client


async def main():
    transport, *rest = sys.argv[1:]
    progress = []

    async def on_progress(done, total, message):
        progress.append([done, total, message])

    async with contextlib.AsyncExitStack() as stack:
        if transport == "http":
            read, write, _session_id = await stack.enter_async_context(streamable_http_client(rest[0]))
        else:
            server = StdioServerParameters(command=rest[0], args=rest[1:])
            read, write = await stack.enter_async_context(stdio_client(server))
        session = await stack.enter_async_context(ClientSession(read, write))
        face = await session.initialize()
        tools, cursor = [], None
        while True:
            page = await session.list_tools(cursor)
            tools += [tool.name for tool in page.tools]
            cursor = page.nextCursor
            if cursor is None:
                break
        results = []
        for call in json.load(sys.stdin):
            result = await session.call_tool(call["name"], call["arguments"], progress_callback=on_progress)
            results.append(result.model_dump(mode="json", by_alias=True, exclude_none=True))
        seen = {"version": face.protocolVersion, "tools": tools, "results": results, "progress": progress}
        print(json.dumps(seen))


asyncio.run(main())
