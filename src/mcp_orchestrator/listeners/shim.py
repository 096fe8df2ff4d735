"""The bridge for agents that take MCP servers on standard input and output only: copies bytes to the gateway and back.

It runs as a program of its own, in the agent's process tree, on the standard library alone. The socket and the token of
the run come in the environment; the token is the first line that is sent.
"""

from __future__ import annotations

import os
import socket
import sys
import threading

CHUNK = 65536


def main() -> int:
    """Copy until either side ends. Returns the exit code: 0, or 4 when the gateway cannot be reached."""
    path = os.environ.get("MCP_ORCHESTRATOR_RUN_SOCKET", "")
    token = os.environ.get("MCP_ORCHESTRATOR_RUN_TOKEN", "")
    gateway = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        gateway.connect(path)
        gateway.sendall(token.encode() + b"\n")
    except OSError as error:
        sys.stderr.write(f"the gateway of this run cannot be reached: {error.strerror}\n")
        return 4
    threading.Thread(target=_up, args=(gateway,), daemon=True).start()
    while data := gateway.recv(CHUNK):
        _down(data)
    return 0


def _down(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def _up(gateway: socket.socket) -> None:
    while data := os.read(0, CHUNK):
        gateway.sendall(data)
    gateway.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    sys.exit(main())
