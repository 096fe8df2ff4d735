"""What tests of agents' adapters share: definitions of real agents with homes of their own, places, and answers."""

import json
import sys
from pathlib import Path

from agent_hosts import CODEX_CONFIG, NOWHERE

from mcp_orchestrator.model.agent import AgentKind, AgentMode, AgentOpening, AgentSpec, Attachment
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.snapshot import Secret

OFFLINE = {"HTTPS_PROXY": NOWHERE, "HTTP_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1"}


def secrets(pairs):
    """Variables or headers as a definition holds them."""
    return tuple((name, Secret(value)) for name, value in pairs.items())


def place(directory, mode=AgentMode.WRITE, **more):
    """An opening in a fresh `work` directory below `directory`; the same one again for a second session."""
    for name in ("work", "scratch"):
        (directory / name).mkdir(exist_ok=True)
    return AgentOpening(cwd=directory / "work", scratch=directory / "scratch", mode=mode, **more)


def attachment(url, **headers):
    """The gateway at `url` as the MCP server `gateway`. A real gateway refuses a token that it does not know."""
    sent = headers or {"Authorization": "Bearer token-of-the-run"}
    return Attachment("gateway", url, secrets(sent), (), ())


def claude(program, home, model_url, **more):
    """A Claude Code whose model is `model_url`."""
    home.mkdir(parents=True, exist_ok=True)
    variables = {
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "ANTHROPIC_BASE_URL": model_url,
        "ANTHROPIC_API_KEY": "test-key",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        **OFFLINE,
    }
    return AgentSpec("claude", AgentKind.CLAUDE_CODE, command=(str(program),), env=secrets(variables), **more)


def codex(program, home, model_url, **more):
    """A Codex whose model is `model_url`, with an MCP server in its own configuration that does not exist."""
    directory = home / ".codex"
    directory.mkdir(parents=True, exist_ok=True)
    text = CODEX_CONFIG.format(model_url=model_url, server='command = "/nonexistent"', required="true", modern="false")
    (directory / "config.toml").write_text(text.replace("mcp_servers.gateway", "mcp_servers.of_the_user"))
    variables = {"HOME": str(home), "CODEX_HOME": str(directory), "SCRIPTED_KEY": "test-key", **OFFLINE}
    return AgentSpec("codex", AgentKind.CODEX, command=(str(program),), env=secrets(variables), **more)


def accepting(content):
    """Answers every form with the same content."""
    return lambda _question: Answer({"action": "accept", "content": content})


def text_of(question):
    """The message of a question."""
    return question.params["message"]


def files_in(directory: Path) -> dict[str, str]:
    """The files of a directory by relative path, without hidden directories."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            found[str(name)] = path.read_text()
    return found


def as_json(value):
    """A value of a tool result as JSON, for looking something up in it."""
    return json.dumps(value)


class Played:
    """An agent that plays a script (see `played_agent`), with the definition that starts it."""

    def __init__(self, directory, kind, steps, **more):
        self._heard = directory / "heard.jsonl"
        script = directory / "script.json"
        script.write_text(json.dumps(steps))
        command = (sys.executable, str(Path(__file__).with_name("played_agent.py")), str(script), str(self._heard))
        self.spec = AgentSpec("played", kind, command=command, **more)

    def heard(self):
        """What it read, in order."""
        return [json.loads(line) for line in self._heard.read_text().splitlines()[1:]]

    def start(self):
        """Its arguments and the names of its variables."""
        return json.loads(self._heard.read_text().splitlines()[0])
