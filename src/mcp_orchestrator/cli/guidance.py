"""What a gateway that just started tells its person: how each client is connected to it (as of November 2026)."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

NAME: Final = "orchestrator"
"""What the gateway is called in the configuration of clients."""


TOKEN_VARIABLE: Final = "MCP_ORCHESTRATOR_TOKEN"  # noqa: S105 - the name of a variable
"""The environment variable in which clients are told to keep their token, so that it is in no file."""


def next_steps(url: str, config: Path, *, sign_in: bool = False) -> dict[str, str]:
    """By client, what to do there.

    `url` is the MCP endpoint, `config` the configuration that is served; with `sign_in`, clients over HTTP need a token.
    """
    program, *rest = own_command()
    over_stdio = {"command": program, "args": [*rest, "serve", "--stdio", "--config", str(config.absolute())]}
    http: dict[str, Any] = {"url": url}
    first, header = {}, ""
    if sign_in:
        create = f"{typed_command()} tokens create NAME --config {_word(config)}"
        first = {
            f"Sign in: a token for each client, kept in {TOKEN_VARIABLE}": f'export {TOKEN_VARIABLE}="$({create})"'
        }
        header = f' --header "Authorization: Bearer ${TOKEN_VARIABLE}"'
        http |= {"headers": {"Authorization": f"Bearer ${{env:{TOKEN_VARIABLE}}}"}}
    return {
        **first,
        "Claude Code": f"claude mcp add --transport http {NAME} {url}{header}",
        "Cursor (~/.cursor/mcp.json)": _block(http),
        "Claude Desktop (claude_desktop_config.json)": _block(over_stdio),
        "Try it here": f"{typed_command()} tools list --config {_word(config)}",
    }


def as_lines(steps: Mapping[str, str]) -> list[str]:
    """The steps as lines for a person."""
    lines = ["What to do next"]
    for client, step in steps.items():
        lines += [f"  {client}:", *(f"    {line}" for line in step.splitlines())]
    return lines


def typed_command() -> str:
    """How this program is called in a terminal of the same person, in the same directory."""
    typed, here = Path(sys.argv[0]), Path.cwd()
    if typed.name != "mcp-orchestrator":
        return "mcp-orchestrator"
    if not typed.is_absolute():
        return _word(typed)
    found = shutil.which("mcp-orchestrator")
    if found is not None and Path(found) == typed:
        return "mcp-orchestrator"
    return _word(typed.relative_to(here) if typed.is_relative_to(here) else typed)


def own_command() -> Sequence[str]:
    """How this program is started from anywhere: the installed script, else the interpreter with our module."""
    script = Path(sys.argv[0])
    if script.name == "mcp-orchestrator" and script.exists():
        return [str(script.absolute())]
    found = shutil.which("mcp-orchestrator")
    return [found] if found is not None else [sys.executable, "-m", "mcp_orchestrator"]


def _block(server: Mapping[str, Any]) -> str:
    return json.dumps({"mcpServers": {NAME: server}}, ensure_ascii=False)


def _word(config: Path) -> str:
    text = str(config)
    return text if text.isascii() and not set(text) & set(" '\"\\$&;|<>()*?") else json.dumps(text)
