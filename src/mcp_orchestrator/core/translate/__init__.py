"""Translation between the two eras of MCP: pure functions on wire objects."""
