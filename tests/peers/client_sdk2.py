"""A client on the official Python SDK 2.3: connects, lists, makes the calls given on stdin, prints what it saw as JSON.

`python client_sdk2.py MODE http URL` or `python client_sdk2.py MODE stdio COMMAND ARGUMENT...`; MODE as the SDK's
`Client(mode=...)`: auto, legacy or a version. On stdin: `[{"name": ..., "arguments": {...}}]`. With MCP_TEST_TOKEN in the
environment it signs in with that token.
"""

import asyncio
import json
import os
import sys

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


async def main():
    mode, transport, *rest = sys.argv[1:]
    server = rest[0] if transport == "http" else StdioServerParameters(command=rest[0], args=rest[1:])
    if token := os.environ.get("MCP_TEST_TOKEN"):
        http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=20)
        server = streamable_http_client(rest[0], http_client=http)
    progress = []

    async def on_progress(done, total, message):
        progress.append([done, total, message])

    async with Client(server, mode=mode) as client:
        tools, cursor = [], None
        while True:
            page = await client.list_tools(cursor=cursor)
            tools += [tool.name for tool in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                break
        results = []
        for call in json.load(sys.stdin):
            result = await client.call_tool(call["name"], call["arguments"], progress_callback=on_progress)
            results.append(result.model_dump(mode="json", by_alias=True, exclude_none=True))
        version = client.protocol_version
        print(json.dumps({"version": version, "tools": tools, "results": results, "progress": progress}))


asyncio.run(main())
