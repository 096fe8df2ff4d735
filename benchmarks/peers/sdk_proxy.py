"""Peer: the plainest proxy that the official Python SDK allows: its low-level server in front of one open client.

`sdk_proxy.py PORT http URL` or `sdk_proxy.py PORT stdio COMMAND...`; written for mcp 2.3 (November 2026).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import mcp
import mcp_types as types
import uvicorn
from mcp.client.stdio import StdioServerParameters
from mcp.server.lowlevel import Server


def proxy(target: Any) -> Server[mcp.Client]:
    """A server that hands tools/list and tools/call to one client, opened once for the life of the server."""

    @contextlib.asynccontextmanager
    async def lifespan(_server: Server[mcp.Client]) -> AsyncIterator[mcp.Client]:
        async with mcp.Client(target, cache=None) as client:
            yield client

    async def list_tools(ctx: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return await ctx.lifespan_context.list_tools(cursor=params.cursor if params else None)

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> Any:
        return await ctx.lifespan_context.call_tool(params.name, params.arguments)

    return Server(
        "sdk-proxy",
        lifespan=lifespan,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=lambda _name: {"type": "object"},
    )


def main() -> None:
    """Serve until ended by a signal."""
    port, kind, *rest = sys.argv[1:]
    target = rest[0] if kind == "http" else StdioServerParameters(command=rest[0], args=rest[1:])
    uvicorn.run(proxy(target).streamable_http_app(json_response=True), port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
