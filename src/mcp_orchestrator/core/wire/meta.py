"""`_meta` keys that belong to one hop, and how they are taken off and put on.

MCP 2026-07-28 basic/index (per-request protocol fields). Everything else in `_meta` passes through untouched,
`traceparent`, `tracestate` and `baggage` included (SEP-414).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

PROTOCOL_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
CLIENT_INFO: Final = "io.modelcontextprotocol/clientInfo"
CLIENT_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
LOG_LEVEL: Final = "io.modelcontextprotocol/logLevel"
SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"
SUBSCRIPTION_ID: Final = "io.modelcontextprotocol/subscriptionId"
PROGRESS_TOKEN: Final = "progressToken"  # noqa: S105 - a wire key, no secret

HOP_KEYS: Final = frozenset({PROTOCOL_VERSION, CLIENT_INFO, CLIENT_CAPABILITIES, LOG_LEVEL, PROGRESS_TOKEN})


def without_hop_keys(meta: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `meta` without the keys that the next hop sets for itself."""
    return {key: value for key, value in meta.items() if key not in HOP_KEYS}
