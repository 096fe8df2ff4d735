"""Real coding agents, the hotels behind the gateway that ask their guests, and gateways in front of them."""

import contextlib
import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from acp_hosts import AcpAgent
from agent_hosts import PATIENCE, ClaudeCode, Codex, Gateway
from run_suite import free_ports, running

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "tests" / "peers"
AGENTS = ROOT / ".cache" / "agents" / "node_modules"
PROGRAM = str(Path(sys.executable).with_name("mcp-orchestrator"))


@functools.cache
def _install(*options):
    done = subprocess.run(
        [str(ROOT / "scripts" / "agents-install"), *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stderr[-2000:]


def _agent(pattern, *options):
    """The program of an agent, installed by scripts/agents-install: once, by the first test that needs one.

    With the option `--all`, one of those that are tried less often; its pattern counts from `.cache` then.
    """
    problem = "" if os.environ.get("CI") else _install(*options)
    found = sorted((AGENTS.parents[1] if options else AGENTS).glob(pattern))
    if problem or not found:
        pytest.fail(f"an agent is missing: run scripts/agents-install. {problem}", pytrace=False)
    return found[0]


@pytest.fixture(scope="session")
def claude_program():
    """The program of Claude Code 2.1.330."""
    return _agent("@anthropic-ai/claude-code-*/claude")


@pytest.fixture(scope="session")
def codex_program():
    """The program of Codex 0.169.0."""
    return _agent("@openai/codex-*/vendor/*/bin/codex")


ALL = os.environ.get("AGENTS") == "all"  # as scripts/test-agents --all sets it


@pytest.fixture(params=["gemini", "opencode", *(["claude", "codex", "vibe"] if ALL else [])])
def acp_agent(request, tmp_path):
    """An agent of the Agent Client Protocol with a home of its own: an `AcpAgent`."""
    node = (ROOT / ".cache" / "node").readlink()
    program = {
        "gemini": lambda: (node, _agent("@google/gemini-cli/bundle/gemini.js"), "--acp"),
        "opencode": lambda: (_agent("opencode-linux-x64/bin/opencode"), "acp"),
        "claude": lambda: (
            node,
            _agent("agents-all/node_modules/@agentclientprotocol/claude-agent-acp/dist/index.js", "--all"),
        ),
        "codex": lambda: (
            node,
            _agent("agents-all/node_modules/@agentclientprotocol/codex-acp/dist/index.js", "--all"),
        ),
        "vibe": lambda: (_agent("vibe/bin/vibe-acp", "--all"),),
    }[request.param]
    native = {
        "claude": lambda: _agent("@anthropic-ai/claude-code-*/claude"),
        "codex": lambda: _agent("@openai/codex-*/vendor/*/bin/codex"),
    }.get(request.param, lambda: None)
    return AcpAgent(request.param, [str(word) for word in program()], native(), tmp_path)


@pytest.fixture(params=["gemini", "opencode"])
def cli_agent(request, tmp_path):
    """A program with a home of its own that is started for each task: an `AcpAgent`, whose last word is to be replaced."""
    node = (ROOT / ".cache" / "node").readlink()
    program = {
        "gemini": lambda: (node, _agent("@google/gemini-cli/bundle/gemini.js"), "--acp"),
        "opencode": lambda: (_agent("opencode-linux-x64/bin/opencode"), "acp"),
    }[request.param]
    return AcpAgent(request.param, [str(word) for word in program()], None, tmp_path)


@pytest.fixture(scope="session")
def claude_code(tmp_path_factory):
    """Makes Claude Codes 2.1.330 with homes of their own: `claude_code(model, gateway)`; see `ClaudeCode` for options."""
    program = _agent("@anthropic-ai/claude-code-*/claude")

    def make(model, gateway, **options):
        return ClaudeCode(program, tmp_path_factory.mktemp("claude"), model.url, gateway, **options)

    return make


@pytest.fixture(scope="session")
def codex(tmp_path_factory):
    """Makes Codexes 0.169.0 with homes of their own: `codex(model, gateway)`; see `Codex` for its options."""
    program = _agent("@openai/codex-*/vendor/*/bin/codex")

    def make(model, gateway, **options):
        return Codex(program, tmp_path_factory.mktemp("codex"), model.url, gateway, **options)

    return make


@dataclass(frozen=True)
class Hotels:
    """Two servers that ask in the middle of a call. `servers` is their configuration; records tell what reached them.

    `crossed` are the same two, each over the other transport.
    """

    servers: dict
    crossed: dict
    directory: Path

    def booked(self, hotel, room):
        """What the hotel (`old` or `new`) wrote down about a room: its only row."""
        (row,) = [row for row in self.all(hotel) if row["room"] == room]
        return row

    def all(self, hotel):
        """All that a hotel wrote down."""
        path = self.directory / f"{hotel}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="session")
def hotels(modern_python, legacy_python, tmp_path_factory):
    """The old hotel knows only the legacy era and speaks over stdio; the new one only the modern era, over HTTP."""
    directory = tmp_path_factory.mktemp("hotels")
    ports = free_ports(2)
    old = [legacy_python, str(PEERS / "hotel_old.py"), str(directory / "old.jsonl")]
    new = [modern_python, str(PEERS / "hotel_new.py"), str(directory / "new.jsonl")]
    piped, web = {}, {}
    with contextlib.ExitStack() as stack:
        starts = {"old": [*old, f"http:{ports[0]}"], "new": [*new, str(ports[1])]}
        for (name, argv), port in zip(starts.items(), ports, strict=True):
            url = f"http://127.0.0.1:{port}/mcp"
            stack.enter_context(running(argv, url, directory / f"{name}.log"))
            web[name] = {"type": "http", "url": url}
        for name, (command, *arguments) in (("old", old), ("new", new)):
            piped[name] = {"command": command, "args": arguments}
        straight = {"old": piped["old"], "new": web["new"]}
        yield Hotels(straight, {"old": web["old"], "new": piped["new"]}, directory)


def configured(directory, servers, port):
    """A configuration in its own directory, with its storage beside it. JSON is YAML."""
    path = directory / "orchestrator.yaml"
    sections = {
        "mcpServers": servers,
        "listeners": {"http": {"host": "127.0.0.1", "port": port, "path": "/mcp"}},
        "storage": {"url": f"sqlite:///{directory / 'state.db'}"},
        "limits": {"listWait": "30s"},  # a first list waits for the servers, however slow the machine is
    }
    path.write_text(json.dumps(sections))
    return path


@contextlib.contextmanager
def _serving(servers, directory):
    (port,) = free_ports(1)
    config = configured(directory, servers, port)
    url = f"http://127.0.0.1:{port}/mcp"
    with running([PROGRAM, "serve", "--config", str(config)], url, directory / "gateway.log"):
        yield Gateway(url=url)


@pytest.fixture
def serve(tmp_path_factory):
    """Starts gateways that serve HTTP: `serve(servers)`, or `serve(servers, directory)` to use what was remembered."""
    with contextlib.ExitStack() as stack:

        def start(servers, directory=None):
            return stack.enter_context(_serving(servers, directory or tmp_path_factory.mktemp("gateway")))

        yield start


@pytest.fixture
def remember():
    """Has a gateway look at servers and stops it again: `remember(servers, directory)`."""

    def look(servers, directory):
        with _serving(servers, directory):
            argv = [PROGRAM, "tools", "list", "--config", str(directory / "orchestrator.yaml")]
            listed = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
        assert all(f"{name}__" in listed for name in servers), listed

    return look


@dataclass(frozen=True)
class Overheard(Gateway):
    """A gateway that an agent starts itself; `log` holds the lines that the agent wrote to it."""

    log: Path = Path()

    def methods(self):
        """The methods that the agent called, in order, with their parameters."""
        messages = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [(message["method"], message.get("params") or {}) for message in messages if "method" in message]


@pytest.fixture
def by_stdio(tmp_path_factory):
    """Makes gateways that agents start themselves, through `tee`: `by_stdio(servers)`; a directory as for `serve`."""

    def make(servers, directory=None):
        directory = directory or tmp_path_factory.mktemp("gateway")
        config = configured(directory, servers, 0)
        log = directory / "heard.jsonl"
        program = [PROGRAM, "serve", "--stdio", "--config", str(config)]
        return Overheard(command=["/bin/sh", "-c", 'tee "$0" | "$@"', str(log), *program], log=log)

    return make


@pytest.fixture
def gateway(request, hotels):
    """The gateway over both hotels, reached as the parameter says: "http" or "stdio"; "crossed": see `Hotels`."""
    way, _, crossed = request.param.partition(" ")
    servers = hotels.crossed if crossed else hotels.servers
    return request.getfixturevalue("serve" if way == "http" else "by_stdio")(servers)


@pytest.fixture
def closed(legacy_python, remember, tmp_path):
    """An old hotel that was looked at once and does not come up any more: `(servers, directory)` of its gateway."""
    gate = tmp_path / "gate"
    arguments = [str(PEERS / "hotel_old.py"), str(tmp_path / "record"), str(gate)]
    servers = {"old": {"command": legacy_python, "args": arguments}}
    remember(servers, tmp_path)
    gate.touch()
    return servers, tmp_path


@pytest.fixture
def rooms():
    """Room numbers that no other test books. An iterator that threads may share."""
    return iter(lambda: os.urandom(4).hex(), "")
