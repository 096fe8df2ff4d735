"""mcp-orchestrator: one MCP endpoint above all agents and all MCP servers."""

__version__ = "0.1.0"
