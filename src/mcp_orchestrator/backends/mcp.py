"""Makes the backend of an MCP server by its transport."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.snapshot import BackendSpec, TransportKind
from mcp_orchestrator.plugin_api import Backend


def create(spec: BackendSpec, reaper: Reaper) -> Backend:
    """The backend of a specification; no input or output happens yet. `reaper` guards children of stdio servers.

    Each transport is imported when it is first used: reading a configuration needs none of them.
    """
    match spec.transport:
        case TransportKind.STDIO:
            from mcp_orchestrator.backends.mcp_stdio import StdioBackend  # noqa: PLC0415 - see above

            return StdioBackend(spec, reaper)
        case TransportKind.HTTP:
            from mcp_orchestrator.backends.mcp_http import HttpBackend  # noqa: PLC0415 - see above

            return HttpBackend(spec)
        case TransportKind.SSE:
            from mcp_orchestrator.backends.mcp_sse import SseBackend  # noqa: PLC0415 - see above

            return SseBackend(spec)
        case _:
            assert_never(spec.transport)


@dataclass(frozen=True, slots=True)
class McpKind:
    """The built-in kind of backend: any MCP server."""

    reaper: Reaper
    key: str = "mcp"

    def create(self, spec: BackendSpec) -> Backend:
        """Make a backend."""
        return create(spec, self.reaper)
