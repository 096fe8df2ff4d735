"""Hosts of real coding agents: they start one offline, with the gateway as its MCP server, and answer its questions.

How each agent asks was measured with Claude Code 2.1.330 and Codex 0.169.0 on 2026-11-24. Nothing leaves the machine:
the model is on loopback, homes are temporary, the key is made up, and what calls home is switched off.
"""

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from json_lines import JsonLines, Message

from mcp_orchestrator.testing.scripted_model import ToolUse, Turn

PATIENCE = 60  # seconds
NOWHERE = "http://127.0.0.1:9"  # a proxy that refuses: what does not go to loopback goes nowhere

Answers = Callable[[str], dict[str, Any]]
"""From the message of a question to the answer: `{"action": "accept", "content": {...}}`."""


@dataclass
class Told:
    """What came of one run: all that the agent said, and the questions that it put to its host."""

    said: list[Message] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    end: Message = field(default_factory=dict)


@dataclass(frozen=True)
class Gateway:
    """How an agent reaches the gateway: by an address, or by a command that it starts itself."""

    url: str = ""
    command: Sequence[str] = ()


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the developer's own environment, but for the way to programs and to this source tree."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "TMPDIR") if name in os.environ}
    proxies = {"HTTPS_PROXY": NOWHERE, "HTTP_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1"}
    return {**kept, **proxies, "HOME": str(home), **more}


def bookings(old: str, new: str) -> list[Turn]:
    """The script of a model that books a room in the old hotel, then one in the new."""
    first = Turn("The old one first.", [ToolUse("old__book", {"room": old})])
    return [first, Turn("", [ToolUse("new__book", {"room": new})]), Turn("Both are booked.")]


class ClaudeCode:
    """Claude Code. With a host it is asked over the control protocol of its stream of JSON (stdin and stdout).

    It looks for the modern era first, unless it is told to speak the `legacy` one.
    """

    def __init__(
        self, program: Path, directory: Path, model_url: str, gateway: Gateway, *, legacy: bool = False
    ) -> None:
        self._directory = directory
        self._program = str(program)
        self._env = environment(
            directory / "home",
            CLAUDE_CONFIG_DIR=str(directory / "home" / ".claude"),
            ANTHROPIC_BASE_URL=model_url,
            ANTHROPIC_API_KEY="test-key",
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
            CLAUDE_CODE_MAX_RETRIES="1",
            DISABLE_TELEMETRY="1",
            DISABLE_ERROR_REPORTING="1",
            DISABLE_AUTOUPDATER="1",
            ENABLE_TOOL_SEARCH="false",  # the model sees all tools at once and need not search for them
            **({"MCP_PROTOCOL_NEGOTIATION": "legacy"} if legacy else {}),
        )
        server = {"type": "http", "url": gateway.url}
        if gateway.command:
            server = {"command": gateway.command[0], "args": list(gateway.command[1:])}
        servers = directory / "mcp.json"
        servers.write_text(json.dumps({"mcpServers": {"gateway": server}}))
        self._options = ["--output-format", "stream-json", "--verbose", "--strict-mcp-config"]
        self._options += ["--mcp-config", str(servers), "--allowedTools", "mcp__gateway"]

    def hosted(self, answers: Answers, prompt: str = "go") -> Told:
        """One prompt, with us as the host that answers elicitations."""
        host = ["--input-format", "stream-json", "--permission-prompt-tool", "stdio"]
        told = Told()
        with JsonLines([self._program, "-p", *self._options, *host], self._env, self._directory) as agent:

            def asked(message: Message) -> None:
                if message.get("type") != "control_request":
                    return
                request = message["request"]
                assert request["subtype"] == "elicitation", request
                told.questions.append(request)
                reply = {"subtype": "success", "request_id": message["request_id"]}
                reply["response"] = answers(request["message"])
                agent.send({"type": "control_response", "response": reply})

            agent.send({"type": "user", "message": {"role": "user", "content": prompt}})
            told.end = agent.until(lambda message: message.get("type") == "result", asked)
            told.said = agent.said
        return told

    def alone(self, prompt: str = "go", hook: dict[str, Any] | None = None) -> Told:
        """One prompt without any host: `claude -p`; a hook of its settings may answer elicitations with `hook`."""
        settings = []
        if hook is not None:
            answer = json.dumps({"hookSpecificOutput": {"hookEventName": "Elicitation", **hook}})
            command = {"type": "command", "command": f"echo {shlex.quote(answer)}"}
            hooks = {"Elicitation": [{"matcher": "gateway", "hooks": [command]}]}
            settings = ["--settings", json.dumps({"hooks": hooks})]
        return _alone([self._program, "-p", prompt, *self._options, *settings], self._env, self._directory)


CODEX_CONFIG = """
model = "scripted"
model_provider = "scripted"
check_for_update_on_startup = false
[analytics]
enabled = false
[features]
plugins = false
apps = false
remote_plugin = false
mcp_2026_07_28 = {modern}
[model_providers.scripted]
name = "scripted"
base_url = "{model_url}/v1"
env_key = "SCRIPTED_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
[mcp_servers.gateway]
{server}
required = {required}
default_tools_approval_mode = "approve"
"""


class Codex:
    """Codex. With a host it is `codex app-server`; alone, `codex exec`.

    Unless the gateway is `required`, it does not wait longer than about a second for its tools. The `modern` era is a
    feature that is off by default, and then for HTTP alone.
    """

    def __init__(
        self,
        program: Path,
        directory: Path,
        model_url: str,
        gateway: Gateway,
        *,
        required: bool = True,
        modern: bool = False,
    ) -> None:
        self._directory = directory
        self._program = str(program)
        home = directory / "home" / ".codex"
        home.mkdir(parents=True, exist_ok=True)
        self._env = environment(directory / "home", CODEX_HOME=str(home), SCRIPTED_KEY="test-key")
        server = f"url = {json.dumps(gateway.url)}"
        if gateway.command:
            command, *arguments = gateway.command
            server = f"command = {json.dumps(command)}\nargs = {json.dumps(arguments)}"
            if "PYTHONPATH" in self._env:  # Codex hands its servers only a few variables
                server += f"\nenv = {{ PYTHONPATH = {json.dumps(self._env['PYTHONPATH'])} }}"
        text = CODEX_CONFIG.format(
            model_url=model_url, server=server, required=json.dumps(required), modern=json.dumps(modern)
        )
        (home / "config.toml").write_text(text)

    def hosted(self, answers: Answers, prompt: str = "go") -> Told:
        """One turn of a thread, with us as the host that answers elicitations."""
        told = Told()
        with JsonLines([self._program, "app-server"], self._env, self._directory) as agent:

            def asked(message: Message) -> None:
                if "method" not in message or "id" not in message:
                    return
                assert message["method"] == "mcpServer/elicitation/request", message
                told.questions.append(message["params"])
                agent.send({"id": message["id"], "result": answers(message["params"]["message"])})

            def request(number: int, method: str, **params: Any) -> Message:
                agent.send({"id": number, "method": method, "params": params})
                return agent.until(lambda message: message.get("id") == number and "method" not in message, asked)

            about = {"name": "host", "version": "1"}
            request(101, "initialize", clientInfo=about, capabilities={"experimentalApi": True})
            agent.send({"method": "initialized"})
            cwd = str(self._directory)
            thread = request(102, "thread/start", cwd=cwd, approvalPolicy="on-request", sandbox="read-only")
            identity = thread["result"]["thread"]["id"]
            request(103, "turn/start", threadId=identity, input=[{"type": "text", "text": prompt}])
            told.end = agent.until(lambda message: message.get("method") == "turn/completed", asked)
            told.said = agent.said
        return told

    def alone(self, prompt: str = "go") -> Told:
        """One prompt without any host: `codex exec`."""
        argv = [self._program, "exec", "--json", "--skip-git-repo-check", "-s", "read-only", prompt]
        return _alone(argv, self._env, self._directory)


def _alone(argv: Sequence[str], env: dict[str, str], directory: Path) -> Told:
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, cwd=directory, timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Told(said, end=said[-1])
