"""Adapters to what is called: MCP servers over stdio and HTTP."""
