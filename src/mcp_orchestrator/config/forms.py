"""Forms of text that several sections of the configuration share."""

from __future__ import annotations

from typing import Final

from mcp_orchestrator.config.shape import Text

HOST: Final = Text(
    r"(\*|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[?[0-9A-Fa-f:]+\]?)",
    "a host name or an IP address",
)
ALLOWED_HOST: Final = Text(
    r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?",
    'a host name as clients send it, "name" or "name:port", without wildcards',
)
VARIABLE: Final = Text(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable")
