"""Real ACP agents with homes of their own, pointed at a scripted model; and what each of them calls its tools."""

import json
import os
from pathlib import Path

from agent_kit import OFFLINE, secrets

from mcp_orchestrator.model.agent import AgentKind, AgentSpec
from mcp_orchestrator.testing.scripted_model import ToolUse

PROFILES = {
    "gemini": "gemini-cli",
    "opencode": "opencode",
    "claude": "claude-agent-acp",
    "codex": "codex-acp",
    "vibe": "mistral-vibe",
}
VIBE = """\
active_model = "scripted"
enable_telemetry = false
enable_update_checks = false

[[providers]]
name = "scripted"
api_base = "{url}/v1"
api_key_env_var = "SCRIPTED_KEY"
api_style = "openai"
backend = "generic"

[[models]]
name = "scripted"
alias = "scripted"
provider = "scripted"
input_price = 1.0
output_price = 2.0
"""


class AcpAgent:
    """One agent. `spec(model_url)` is its definition; `shell(command)` the call that runs a command which it asks for."""

    def __init__(self, name, command, native, directory):
        self.name = name
        self.directory = directory
        self._command = command
        self._native = native
        self._home = directory / "home"

    def spec(self, url, **more):
        self._home.mkdir(exist_ok=True)
        home = str(self._home)
        variables = {"HOME": home, "TERM": "dumb", **OFFLINE}
        variables |= {f"XDG_{kind}_HOME": f"{home}/{kind.lower()}" for kind in ("CONFIG", "DATA", "CACHE", "STATE")}
        variables["PATH"] = f"{Path(self._command[0]).parent}:{os.defpath}"
        variables |= getattr(self, f"_{self.name}")(url)
        settings = {"profile": PROFILES[self.name], **more.pop("settings", {})}
        command = tuple(self._command)
        return AgentSpec(self.name, AgentKind.ACP, command=command, env=secrets(variables), settings=settings, **more)

    def shell(self, command):
        match self.name:
            case "gemini":
                return ToolUse("run_shell_command", {"command": command})
            case "opencode":
                return ToolUse("bash", {"command": command, "description": "what the test wants"})
            case "claude":
                return ToolUse("Bash", {"command": command})
            case "codex":
                more = {"sandbox_permissions": "require_escalated", "justification": "it is needed"}
                return ToolUse("exec_command", {"cmd": command, **more})
            case "vibe":
                return ToolUse("bash", {"command": command})

    def note(self, text, tool="notes__add"):
        """The call of a tool of the MCP server `gateway`."""
        if self.name == "vibe":  # it calls tools of MCP servers from a program (3.0.2, 2026-11-24)
            return ToolUse(
                "run_typescript", {"code": f"return await tools.mcp_gateway.{tool}({json.dumps({'text': text})})"}
            )
        # Claude Code shows the names of deferred tools only, and takes a call of the whole name (2.1.330, 2026-11-24).
        return ToolUse(f"mcp__gateway__{tool}" if self.name == "claude" else tool, {"text": text})

    # What each needs to begin offline.

    def _gemini(self, url):
        directory = self._home / ".gemini"
        directory.mkdir(exist_ok=True)
        settings = {
            "security": {"auth": {"selectedType": "gemini-api-key"}},
            "privacy": {"usageStatisticsEnabled": False},
            "general": {"enableAutoUpdate": False},
        }
        (directory / "settings.json").write_text(json.dumps(settings))
        return {"GEMINI_API_KEY": "test-key", "GOOGLE_GEMINI_BASE_URL": url}

    def _opencode(self, url):
        directory = self._home / "config" / "opencode"
        directory.mkdir(parents=True, exist_ok=True)
        model = {"name": "m", "limit": {"context": 100_000, "output": 8_000}, "cost": {"input": 1, "output": 2}}
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": f"{url}/v1", "apiKey": "test-key"},
            "models": {"m": model},
        }
        config = {
            "autoupdate": False,
            "share": "disabled",
            "model": "scripted/m",
            "small_model": "scripted/m",
            "permission": {"bash": "ask", "edit": "ask"},
            "provider": {"scripted": provider},
        }
        (directory / "opencode.json").write_text(json.dumps(config))
        return {"OPENCODE_DISABLE_MODELS_FETCH": "true", "OPENCODE_DISABLE_LSP_DOWNLOAD": "true"}

    def _claude(self, url):
        return {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "test-key",
            "CLAUDE_CODE_EXECUTABLE": str(self._native),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "1",
            "IS_SANDBOX": "1",  # tests may run as root
        }

    def _codex(self, url):
        directory = self._home / ".codex"
        directory.mkdir(exist_ok=True)
        provider = {
            "name": "scripted",
            "base_url": f"{url}/v1",
            "env_key": "SCRIPTED_KEY",
            "wire_api": "responses",
            "request_max_retries": 1,
            "stream_max_retries": 1,
        }
        config = {
            "model": "scripted",
            "model_provider": "scripted",
            "model_providers": {"scripted": provider},
            "features": {"plugins": False, "apps": False, "remote_plugin": False},
            "analytics": {"enabled": False},
            "check_for_update_on_startup": False,
        }
        return {
            "CODEX_PATH": str(self._native),
            "CODEX_HOME": str(directory),
            "CODEX_CONFIG": json.dumps(config),
            "MODEL_PROVIDER": "scripted",
            "SCRIPTED_KEY": "test-key",
        }

    def _vibe(self, url):
        directory = self._home / ".vibe"
        directory.mkdir(exist_ok=True)
        (directory / "config.toml").write_text(VIBE.format(url=url))
        return {"VIBE_HOME": str(directory), "SCRIPTED_KEY": "test-key", "MISTRAL_API_KEY": "test-key"}
