"""Who is measured: starts a backend, then each subject in front of it, and knows which processes are whose.

Every subject is a process of its own group on a loopback port of its own, with a home in the scratch directory.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from load import over_http
from procfs import family
from stdio_load import StdioServer
from tally import Report
from wire import ListTools, Operation

HERE: Final = Path(__file__).resolve().parent
POLL: Final = 0.005
"""Seconds between two looks at whether a subject is ready."""

PATIENCE: Final = 60.0
"""Seconds that a subject has to become ready."""

STAGES_OFF: Final = {"journal": False, "trace": False, "validate": False}

NGINX: Final = """
worker_processes 1;
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  upstream backend {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffers 32 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0;
      client_body_buffer_size 64k;
    }}
  }}
}}
"""


class SubjectFailedError(Exception):
    """A subject did not start or gave up; the text holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs to start: our interpreter, the peers' interpreter, the gateway's command up to `serve`."""

    peers_python: str
    gateway: tuple[str, ...]
    python: str = sys.executable


@dataclass(slots=True)
class Subject:
    """A subject that runs. `ready_after` is seconds from its start to its first whole tools/list."""

    name: str
    url: str = ""
    tool: str = "echo"
    process: subprocess.Popen[bytes] | None = None
    stdio: StdioServer | None = None
    backends: Path | None = None
    ready_after: float = 0.0
    incomplete: int = 0
    _count: int = 0

    def processes(self) -> list[int]:
        """The subject's processes without the backends it started; none for a direct connection."""
        if self.process is None:
            return []
        others = {int(entry.name) for entry in self.backends.iterdir()} if self.backends else set()
        return family(self.process.pid, others)

    async def load(self, operation: Operation, **much: Any) -> Report:
        """Load on the subject (`concurrency`, and `calls` or `seconds`); ids go on from the load before."""
        if self.stdio is not None:
            return await self.stdio.load(operation, **much)
        report = await over_http(self.url, operation, start=self._count, **much)
        self._count += report.calls + len(report.failures)
        return report

    async def stop(self) -> None:
        """End it as an operator would, and its whole group after ten seconds."""
        if self.stdio is not None:
            await self.stdio.close()
        if self.process is not None:
            await asyncio.to_thread(end, self.process)


@dataclass(slots=True)
class Stage:
    """A backend (over HTTP, or started by each subject on pipes) and what it takes to put subjects in front of it."""

    scratch: Path
    programs: Programs
    tools: int = 1
    http: bool = True
    backend: subprocess.Popen[bytes] | None = None
    port: int = 0
    subjects: list[Subject] = field(default_factory=list)

    def open(self) -> None:
        """Start the HTTP backend. On a stdio stage only nginx, the yardstick, stands in front of it."""
        command = [self.programs.python, str(HERE / "backend.py"), "--http", "0", "--tools", str(self.tools)]
        self.backend = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        if self.backend.stdout is None:
            raise SubjectFailedError("the backend has no output")
        self.port = int(self.backend.stdout.readline())

    async def close(self) -> None:
        """End all subjects, then the backend."""
        for subject in reversed(self.subjects):
            await subject.stop()
        self.subjects.clear()
        if self.backend is not None:
            end(self.backend)
            self.backend = None

    @property
    def url(self) -> str:
        """Where the HTTP backend listens."""
        return f"http://127.0.0.1:{self.port}/mcp"

    def stdio_command(self, home: Path) -> list[str]:
        """How to start the backend on pipes; its process id is left in `home`/backends."""
        (home / "backends").mkdir(parents=True, exist_ok=True)
        backend = [str(HERE / "backend.py"), "--tools", str(self.tools), "--pids", str(home / "backends")]
        return [self.programs.python, *backend]

    async def direct(self) -> Subject:
        """No hop at all."""
        subject = Subject("direct", self.url)
        if not self.http:
            subject.stdio = StdioServer()
            await subject.stdio.start(self.stdio_command(self._home("direct")))
        self.subjects.append(subject)
        return subject

    async def nginx(self) -> Subject:
        """Debian's nginx, one worker, connections kept open on both sides."""
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise SubjectFailedError("nginx is not installed: apt-get install nginx")
        home, port = self._home("nginx"), free_port()
        (home / "nginx.conf").write_text(NGINX.format(home=home, port=port, upstream=self.port))
        return await self._start("nginx", [program, "-p", str(home), "-c", str(home / "nginx.conf")], port)

    async def sdk(self) -> Subject:
        """The official SDK's low-level server in front of its client."""
        return await self._peer("sdk", "sdk_proxy.py")

    async def fastmcp(self) -> Subject:
        """FastMCP's proxy."""
        return await self._peer("fastmcp", "fastmcp_proxy.py")

    async def ours(self, name: str = "ours", observe: Mapping[str, Any] | None = None) -> Subject:
        """The gateway with its defaults; `observe` goes into its configuration."""
        home, port = self._home(name), free_port()
        server = {"type": "http", "url": self.url} if self.http else stdio_server(self.stdio_command(home))
        config = write_config(home, port, {"bench": server}, observe)
        command = [*self.programs.gateway, "serve", "--config", str(config)]
        return await self._start(name, command, port)

    async def off(self) -> Subject:
        """The gateway with journal, trace and validation off."""
        return await self.ours("off", STAGES_OFF)

    async def _peer(self, name: str, program: str) -> Subject:
        home, port = self._home(name), free_port()
        target = ["http", self.url] if self.http else ["stdio", *self.stdio_command(home)]
        return await self._start(
            name, [self.programs.peers_python, str(HERE / "peers" / program), str(port), *target], port
        )

    async def _start(self, name: str, command: Sequence[str], port: int) -> Subject:
        home = self._home(name)
        subject = Subject(name, f"http://127.0.0.1:{port}/mcp", backends=home / "backends")
        (home / "backends").mkdir(exist_ok=True)
        began = time.perf_counter()
        subject.process = launch(command, home)
        self.subjects.append(subject)
        subject.tool, subject.incomplete = await ready(subject.process, subject.url, self.tools, home)
        subject.ready_after = time.perf_counter() - began
        return subject

    def _home(self, name: str) -> Path:
        home = self.scratch / name
        home.mkdir(parents=True, exist_ok=True)
        return home


STARTERS: Final[dict[str, Callable[[Stage], Awaitable[Subject]]]] = {
    "direct": Stage.direct,
    "nginx": Stage.nginx,
    "ours": Stage.ours,
    "off": Stage.off,
    "sdk": Stage.sdk,
    "fastmcp": Stage.fastmcp,
}
"""By name: how each subject is started. Slow ones last, so that they are the ones to leave out."""


def stdio_server(command: Sequence[str]) -> dict[str, Any]:
    """The `mcpServers` entry of a command."""
    return {"command": command[0], "args": list(command[1:])}


def write_config(home: Path, port: int, servers: Mapping[str, Any], observe: Mapping[str, Any] | None = None) -> Path:
    """Write a gateway configuration (JSON is YAML) into `home` and return its path."""
    config: dict[str, Any] = {
        "mcpServers": dict(servers),
        "listeners": {"http": {"host": "127.0.0.1", "port": port}},
        "storage": {"url": f"sqlite:///{home}/state.db"},
    }
    if observe is not None:
        config["observe"] = dict(observe)
    path = home / "orchestrator.yaml"
    path.write_text(json.dumps(config, indent=2))
    return path


def launch(command: Sequence[str], home: Path) -> subprocess.Popen[bytes]:
    """Start a program in a group and a home of its own; what it prints goes to `home`/log."""
    with (home / "log").open("ab") as log:
        return subprocess.Popen(
            command,
            env=environment(home),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def environment(home: Path) -> dict[str, str]:
    """Our environment with everything that is per user moved into `home`."""
    moved = {"HOME": "", "XDG_DATA_HOME": "data", "XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "config"}
    return dict(os.environ) | {name: str(home / below) for name, below in moved.items()}


async def ready(process: subprocess.Popen[bytes], url: str, tools: int, home: Path) -> tuple[str, int]:
    """Wait for the first whole tools/list; returns the echo tool's name and how many answers before were not whole.

    Raises:
        SubjectFailedError: the process ended, or was not ready in time.
    """
    deadline = time.perf_counter() + PATIENCE
    incomplete = 0
    while process.poll() is None and time.perf_counter() < deadline:
        try:
            listing = ListTools(tools)
            report = await over_http(url, listing, concurrency=1, calls=1)
        except OSError:
            await asyncio.sleep(POLL)
            continue
        if not report.failures:
            return listing.echo, incomplete
        incomplete += 1
        await asyncio.sleep(POLL)
    log = (home / "log").read_text(errors="replace")[-2000:]
    raise SubjectFailedError(f"{process.args!r} was not ready (exit code {process.poll()}): {log}")


def end(process: subprocess.Popen[bytes], patience: float = 10.0) -> None:
    """Terminate a process we started; kill its group when it does not end in `patience` seconds."""
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
