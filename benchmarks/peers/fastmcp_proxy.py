"""Peer: FastMCP's ready-made proxy as its documentation shows it.

`fastmcp_proxy.py PORT http URL` or `fastmcp_proxy.py PORT stdio COMMAND...`; written for fastmcp 4.2 (November 2026).
"""

from __future__ import annotations

import sys
from typing import Any

from fastmcp.server import create_proxy


def main() -> None:
    """Serve until ended by a signal."""
    port, kind, *rest = sys.argv[1:]
    target: Any = rest[0] if kind == "http" else {"mcpServers": {"bench": {"command": rest[0], "args": rest[1:]}}}
    create_proxy(target).run(
        transport="http", host="127.0.0.1", port=int(port), json_response=True, show_banner=False, log_level="WARNING"
    )


if __name__ == "__main__":
    main()
