"""Runs the official scenarios of the tasks extension against a server that has tasks, directly and through the gateway.

By hand: `.venv/bin/python tests/conformance/run_tasks.py` (after scripts/parts).
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from run_suite import ROOT, Verdicts, free_ports, running, verdicts

SERVER = [sys.executable, str(ROOT / "tests" / "peers" / "task_server.py")]
SCENARIOS = (
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-status-notifications",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
)


@contextlib.contextmanager
def in_front_of(server: Sequence[str], gateway: Sequence[str], work: Path) -> Iterator[tuple[str, str]]:
    """A server over HTTP, and a gateway in front of it: the URLs of both."""
    server_port, gateway_port = free_ports(2)
    direct = f"http://127.0.0.1:{server_port}/mcp"
    through = f"http://127.0.0.1:{gateway_port}/mcp/bare"
    config = work / "orchestrator.yaml"
    config.write_text(
        json.dumps(
            {
                "mcpServers": {"tasks": {"type": "http", "url": direct}},
                "profiles": {"bare": {"names": "original"}},
                "listeners": {"http": {"host": "127.0.0.1", "port": gateway_port, "path": "/mcp"}},
                "storage": {"url": f"sqlite:///{work / 'state.db'}"},
            }
        )
    )
    with (
        running([*server, str(server_port)], direct, work / "server.log"),
        running([*gateway, "serve", "--config", str(config)], through, work / "gateway.log"),
    ):
        yield direct, through


def run_tasks(suite: Sequence[str], url: str, output: Path) -> Verdicts:
    """Run every scenario by its name: no requirement set scores them."""
    for scenario in SCENARIOS:
        argv = [*suite, "server", "--scenario", scenario, "--url", url, "-o", str(output)]
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    return verdicts(output)


def both_ways(suite: Sequence[str], gateway: Sequence[str], work: Path) -> tuple[Verdicts, Verdicts]:
    """The verdicts of the direct run and of the run through a gateway in front of the same server."""
    with in_front_of(SERVER, gateway, work) as (direct, through), ThreadPoolExecutor(2) as pool:
        near = pool.submit(run_tasks, suite, direct, work / "direct")
        far = pool.submit(run_tasks, suite, through, work / "through")
        return near.result(), far.result()


def successes(found: Verdicts) -> int:
    """How many checks passed."""
    return sum(times for rows in found.values() for (_check, status), times in rows.items() if status == "SUCCESS")


def main() -> int:
    npm = ROOT / ".cache" / "npm" / "node_modules" / "@modelcontextprotocol"
    suite = [str(ROOT / ".cache" / "node"), str(npm / "conformance" / "dist" / "index.js")]
    gateway = [str(Path(sys.executable).with_name("mcp-orchestrator"))]
    with tempfile.TemporaryDirectory() as work:
        direct, through = both_ways(suite, gateway, Path(work))
    print(f"directly {successes(direct)}, through the gateway {successes(through)}")
    return int(direct != through)


if __name__ == "__main__":
    sys.exit(main())
