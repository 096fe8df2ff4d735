"""Real MCP servers to try and test the gateway with."""
