"""The command that the conformance suite runs as the client: a gateway in front of its mock server, a client before it.

`python client_through.py PROGRAM CLIENT... URL`: starts `PROGRAM serve` with the server at URL as its only backend, runs
`CLIENT... GATEWAY_URL`, ends the gateway, and ends as the client did.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from run_suite import free_ports, running


def main(program: str, *client_and_url: str) -> int:
    *client, url = client_and_url
    (port,) = free_ports(1)
    through = f"http://127.0.0.1:{port}/mcp/bare"
    with tempfile.TemporaryDirectory() as work:
        config = Path(work) / "orchestrator.yaml"
        config.write_text(
            json.dumps(
                {
                    "mcpServers": {"mock": {"type": "http", "url": url}},
                    "profiles": {"bare": {"names": "original"}},
                    "listeners": {"http": {"host": "127.0.0.1", "port": port, "path": "/mcp"}},
                    "storage": {"url": f"sqlite:///{work}/state.db"},
                }
            )
        )
        with running([program, "serve", "--config", str(config)], through, Path(work) / "gateway.log"):
            return subprocess.run([*client, through], stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
