"""Which variables Claude Code gets: those it signs in and is configured with, and none that says it runs inside another.

`CLAUDECODE`, `CLAUDE_CODE_SESSION_ID` and `CLAUDE_CODE_MESSAGING_*`, which Claude Code 2.1.330 (2026-11-24) hands to
its children, are therefore not passed on when the gateway itself was started by one. It gives its whole environment,
keys included, to every MCP server that it starts itself; so it is made to start none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mcp_orchestrator.model.agent import AgentSpec

_PREFIXES: Final = ("ANTHROPIC_", "VERTEX_REGION_")
_NAMES: Final = frozenset(
    {"CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_MAX_RETRIES", "CLAUDE_CODE_MAX_OUTPUT_TOKENS"}
    | {"CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"}
    | {"CLAUDE_CODE_SKIP_BEDROCK_AUTH", "CLAUDE_CODE_SKIP_VERTEX_AUTH", "CLAUDE_CODE_API_KEY_HELPER_TTL_MS"}
    | {"CLAUDE_CODE_CLIENT_CERT", "CLAUDE_CODE_CLIENT_KEY", "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE"}
    | {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING"}
    | {"API_TIMEOUT_MS", "MAX_THINKING_TOKENS", "MCP_TIMEOUT", "MCP_TOOL_TIMEOUT", "MAX_MCP_OUTPUT_TOKENS"}
    | {"IS_SANDBOX"}
)
_CLOUD: Final = {
    "CLAUDE_CODE_USE_BEDROCK": ("AWS_",),
    "CLAUDE_CODE_USE_VERTEX": ("GOOGLE_", "CLOUD_ML_", "GCLOUD_"),
    "CLAUDE_CODE_USE_FOUNDRY": ("AZURE_",),
}


def passed(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The names of variables that it inherits; those of a cloud only where it is told to use that cloud."""
    prefixes = _PREFIXES + tuple(prefix for name, ours in _CLOUD.items() if name in environ for prefix in ours)
    return tuple(name for name in environ if name in _NAMES or name.startswith(prefixes))


def given(spec: AgentSpec) -> dict[str, str]:
    """The variables of the profile itself."""
    own = {
        # One prompt, one result: work that goes on in the background would tell its end in a later one.
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_ENTRYPOINT": "sdk-cli",
    }
    if spec.settings.get("configDir"):
        own["CLAUDE_CONFIG_DIR"] = str(spec.settings["configDir"])
    return own
