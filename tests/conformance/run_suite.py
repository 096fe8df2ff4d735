"""Runs the official conformance suite directly and through the gateway, and tells where the results differ.

By hand: `.venv/bin/python tests/conformance/run_suite.py [2025-11-25|2026-07-28|0.1]...` (after scripts/parts).

What passes (2026-11-24): with 0.2.0-alpha.12 for 2025-11-25 all 84 checks either way, for 2026-07-28 169 directly and 172
through the gateway; with 0.1.16, the stable release, all 44 checks either way. Of the 194 scored and unscored checks for
2026-07-28 the 25 that fail directly are about tasks, which the server has not; three of them pass through the gateway,
because it has tasks of its own: it advertises the extension and refuses unknown tasks as the extension says. All task
checks are run against a server with tasks by run_tasks.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")
REVISIONS = ("2025-11-25", "2026-07-28")
STABLE = "0.1"
"""Stands for the stable release of the suite, which knows no requirement sets: all of its scenarios are run."""

EVENT_SEEN = ("incoming-sse-event", "INFO")
"""A note and no check. How many there are depends on what else the suites running side by side make the server say."""

# The gateway has tasks of its own, which the reference server has not: see run_tasks.
TASKS = "tasks-"

Verdicts = dict[str, Counter[tuple[str, str]]]
"""Scenario -> how often each (check, status) was reported."""


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def wait_until_answers(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 30.0) -> None:
    """Return once anything at all answers HTTP at `url`; raises RuntimeError with the log when it never does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - always http to ourselves
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{process.args} does not answer at {url}:\n{log.read_text(errors='replace')[-4000:]}")


@contextlib.contextmanager
def running(argv: Sequence[str], url: str, log: Path, env: dict[str, str] | None = None) -> Iterator[None]:
    """A server process that is up inside the block and gone after it."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=env, start_new_session=True
        )
    try:
        wait_until_answers(url, process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def verdicts(output: Path) -> Verdicts:
    """Read what the suite saved: one directory `server-SCENARIO-TIMESTAMP` with a `checks.json` each."""
    found: Verdicts = {}
    for file in sorted(output.glob("server-*/checks.json")):
        scenario = STAMP.sub("", file.parent.name.removeprefix("server-"))
        checks = json.loads(file.read_text())
        found[scenario] = Counter((check["id"], check["status"]) for check in checks)
    return found


def run_client(suite: Sequence[str], command: Sequence[str], name: str, revision: str, output: Path) -> dict[str, str]:
    """Run one client scenario with this command as the client; returns the status of each check.

    Notes of what went over the wire (INFO) are left out. The suite hands the command to a shell.
    """
    argv = [*suite, "client", "--command", shlex.join(command), "--scenario", name, "--spec-version", revision]
    done = subprocess.run(
        [*argv, "-o", str(output)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False
    )
    found = {}
    for file in output.glob("*/checks.json"):
        for check in json.loads(file.read_text()):
            if check["status"] != "INFO":
                found[f"{check['id']} {check['name']}"] = check["status"]
    if not found:
        raise RuntimeError(f"the suite reported nothing (exit {done.returncode}):\n{done.stdout}\n{done.stderr}")
    return found


def required_of_clients(requirements: Path) -> list[str]:
    """The client scenarios that a revision requires, those for signing in left out."""
    wanted = yaml.safe_load(requirements.read_text())["client"]
    return [name for name in wanted if not name.startswith("auth/")]


def run_suite(suite: Sequence[str], url: str, revision: str, output: Path) -> Verdicts:
    """Run one requirement set (of `STABLE`: everything); the exit code is not looked at, unscored scenarios may fail."""
    wanted = ["--suite", "all"] if revision == STABLE else ["--requirements", revision]
    argv = [*suite, "server", *wanted, "--url", url, "-o", str(output)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False)
    found = verdicts(output)
    if not found:
        raise RuntimeError(f"the suite reported nothing (exit {done.returncode}):\n{done.stdout}\n{done.stderr}")
    return found


def both_ways(
    suites: Mapping[str, Sequence[str]], reference: Sequence[str], gateway: Sequence[str], work: Path
) -> dict[str, tuple[Verdicts, Verdicts]]:
    """For each revision the verdicts of the direct run and of the run through a gateway in front of the same server.

    `suites` is the program for each revision.
    """
    server_port, gateway_port = free_ports(2)
    direct = f"http://localhost:{server_port}/mcp"
    through = f"http://localhost:{gateway_port}/mcp/bare"
    config = work / "orchestrator.yaml"
    config.write_text(
        json.dumps(
            {
                "mcpServers": {"reference": {"type": "http", "url": direct}},
                "profiles": {"bare": {"names": "original"}},
                "listeners": {"http": {"host": "127.0.0.1", "port": gateway_port, "path": "/mcp"}},
                "storage": {"url": f"sqlite:///{work / 'state.db'}"},
            }
        )
    )
    serve = [*gateway, "serve", "--config", str(config)]
    with (
        running([*reference, str(server_port)], direct, work / "reference.log"),
        running(serve, through, work / "gateway.log"),
        ThreadPoolExecutor(len(suites)) as pool,
    ):

        def run(revision: str) -> tuple[Verdicts, Verdicts]:
            return (
                run_suite(suites[revision], direct, revision, work / f"direct-{revision}"),
                run_suite(suites[revision], through, revision, work / f"through-{revision}"),
            )

        return dict(zip(suites, pool.map(run, suites), strict=True))


def failed(found: Verdicts) -> list[str]:
    """`scenario: check` of everything that is a failure."""
    return sorted(
        f"{scenario}: {check}" for scenario, rows in found.items() for check, status in rows if status == "FAILURE"
    )


def totals(found: Verdicts) -> dict[str, int]:
    """How many checks ended in each status."""
    counts: Counter[str] = Counter()
    for rows in found.values():
        for (_check, status), times in rows.items():
            counts[status] += times
    return dict(sorted(counts.items()))


def differences(direct: Verdicts, through: Verdicts) -> list[str]:
    """One line for each scenario whose checks came out otherwise through the gateway: any status, scored or not."""
    lines = []
    for scenario in sorted(direct.keys() | through.keys()):
        near, far = (
            Counter({row: times for row, times in found.get(scenario, Counter()).items() if row != EVENT_SEEN})
            for found in (direct, through)
        )
        if near != far and not scenario.startswith(TASKS):
            lines.append(f"{scenario}: direct only {sorted(near - far)}, through the gateway only {sorted(far - near)}")
    return lines


def main(revisions: Sequence[str]) -> int:
    cache = ROOT / ".cache"
    modules = cache / "npm" / "node_modules"

    def suite(revision: str) -> list[str]:
        package = (
            modules / "conformance-0.1" if revision == STABLE else modules / "@modelcontextprotocol" / "conformance"
        )
        return [str(cache / "node"), str(package / "dist" / "index.js")]

    reference = [str(cache / "peers" / "bin" / "python"), str(ROOT / "tests" / "peers" / "reference_server.py")]
    gateway = [str(Path(sys.executable).with_name("mcp-orchestrator"))]
    with tempfile.TemporaryDirectory() as work:
        results = both_ways({revision: suite(revision) for revision in revisions}, reference, gateway, Path(work))
    different = False
    for revision, (direct, through) in results.items():
        print(f"{revision}: {len(direct)} scenarios; direct {totals(direct)}; through the gateway {totals(through)}")
        for line in differences(direct, through):
            different = True
            print(f"  {line}")
    return int(different)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or (*REVISIONS, STABLE)))
