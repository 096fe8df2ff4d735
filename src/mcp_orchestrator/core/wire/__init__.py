"""The wire forms of MCP as pure functions: JSON-RPC envelopes, eras, headers, `_meta` keys, server-sent events."""
