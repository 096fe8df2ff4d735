"""`backends`: lists, shows and restarts backends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mcp_orchestrator.cli import agent_lines
from mcp_orchestrator.cli.actor import Actor
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.loading import require
from mcp_orchestrator.cli.options import config_before, config_option, format_option, printer
from mcp_orchestrator.cli.printing import Printer, Style, safe, safe_line
from mcp_orchestrator.cli.reach import act, act_on_running


@click.group("backends")
@config_before
@format_option
def command() -> None:
    """List, show and restart backends."""


@command.command("list")
@config_option
@format_option
def list_(config: Path | None) -> int:
    """List the backends and agents and how they are."""
    out = printer()

    async def work(actor: Actor) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        if not actor.running:  # they were started for this command: let them come up
            await actor.ask("tools.list", {})
        return await actor.ask("backends.list", {}), await actor.ask("agents.list", {"probe": True})

    lines, agents = act(require(config, out), out, work)
    rows = [_row(line) for line in lines]
    headings = ["NAME", "STATE", "TRANSPORT", "ERAS", "TOOLS", "RESTARTS", "PROCESSES", "LAST ERROR"]
    tables = [out.table(headings, rows)] if rows else []
    if agents:
        tables.append(out.table(agent_lines.HEADINGS, [agent_lines.row(line) for line in agents]))
    out.result([*lines, *agents], "\n\n".join(tables))
    return Exit.DONE


@command.command("show")
@config_option
@format_option
@click.argument("name")
def show(config: Path | None, name: str) -> None:
    """Show one backend or agent: its state, what it offers, and the end of its standard error."""
    out = printer()

    async def work(actor: Actor) -> dict[str, Any]:
        if not actor.running:
            await actor.ask("tools.list", {})
        agent = name in configuration.snapshot.agents and name not in configuration.snapshot.backends
        found: dict[str, Any] = await actor.ask("agents.show" if agent else "backends.show", {"name": name})
        return found

    configuration = require(config, out)
    found = act(configuration, out, work)
    out.result(found, agent_lines.described(found, out) if "facts" in found else _described(found, out))


@command.command("restart")
@config_option
@format_option
@click.argument("name")
def restart(config: Path | None, name: str) -> None:
    """Restart one backend of the running gateway.

    Exit code 4 when no gateway is running, or when the backend does not come up again.
    """
    out = printer()
    found = act_on_running(require(config, out), lambda actor: actor.ask("backends.restart", {"name": name}))
    out.result(found, f"{safe_line(found['name'])} was restarted: {safe_line(str(found['state']))}")


def _row(line: Mapping[str, Any]) -> list[str]:
    tools = line.get("tools")
    return [
        line["name"],
        str(line["state"]),
        str(line["transport"]),
        ", ".join(line.get("eras") or []) or "-",
        "-" if tools is None else str(tools),
        str(line.get("restarts", 0)),
        ", ".join(str(pid) for pid in line.get("pids") or []) or "-",
        str(line.get("last_error") or "-"),
    ]


def _described(found: Mapping[str, Any], out: Printer) -> str:
    facts = {
        "state": found["state"],
        "transport": found["transport"],
        "eras": ", ".join(found.get("eras") or []) or "not known",
        "processes": ", ".join(str(pid) for pid in found.get("pids") or []) or "none",
        "restarts": found.get("restarts", 0),
        "last error": found.get("last_error") or "none",
        "defined in": found.get("where") or "",
    }
    parts = [out.paint(safe_line(found["name"]), Style.STRONG)]
    parts.append("\n".join(f"{key:<12} {safe_line(str(value))}" for key, value in facts.items()))
    offers = found.get("offers")
    if isinstance(offers, Mapping) and offers:
        rows = [[era, *(str(known.get(kind, "")) for kind in _KINDS), _server(known)] for era, known in offers.items()]
        parts.append(out.table(["ERA", "TOOLS", "RESOURCES", "TEMPLATES", "PROMPTS", "SERVER"], rows))
    stderr = found.get("stderr")
    if stderr:
        parts.append("Standard error, its end:\n" + "\n".join(f"  {safe(str(line))}" for line in stderr))
    return "\n\n".join(parts)


_KINDS = ("tools", "resources", "resourceTemplates", "prompts")


def _server(known: Mapping[str, Any]) -> str:
    info = known.get("server")
    return f"{info.get('name', '')} {info.get('version', '')}".strip() if isinstance(info, Mapping) else ""
