"""Reads `overrides`: what becomes of single tools of servers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import did_you_mean
from mcp_orchestrator.config.document import Node, Table, locate
from mcp_orchestrator.config.masking import shown
from mcp_orchestrator.config.plain_values import read_value
from mcp_orchestrator.config.references import References
from mcp_orchestrator.model.routing import ArgumentOverride, Override


def read_overrides(
    root: Table, checked: Mapping[str, Any], references: References, servers: Collection[str]
) -> dict[str, Override]:
    """All overrides by `SERVER.TOOL`. `checked` is the section as `check` read it, `servers` the names of servers."""
    return {tool: _one(root, tool, values, references, servers) for tool, values in checked.items()}


def known_server(tool: str, servers: Collection[str], references: References, place: Any, whose: str) -> bool:
    """Whether the server of `SERVER.TOOL` is there; noted as an error when it is not."""
    server = tool.partition(".")[0]
    if server in servers:
        return True
    message = f"{whose} names {shown(tool)}, but there is no server {shown(server)}"
    fix = did_you_mean(server, list(servers)) if servers else "add it under mcpServers"
    references.notes.error(Code.UNKNOWN_SERVER, message, place, fix)
    return False


def _one(
    root: Table, tool: str, values: Mapping[str, Any], references: References, servers: Collection[str]
) -> Override:
    place = locate(root, "overrides", tool)
    known_server(tool, servers, references, place, f"overrides.{tool}")
    arguments = {
        name: _argument(root, tool, name, part, references) for name, part in values.get("arguments", {}).items()
    }
    _distinct(root, tool, arguments, references)
    return Override(
        tool,
        name=values.get("name", ""),
        title=values.get("title", ""),
        description=values.get("description", ""),
        hide=values.get("hide", False),
        arguments=arguments,
        labels=tuple(dict.fromkeys(values.get("labels", ()))),
        annotations=dict(values.get("annotations", {})),
        price=values.get("price"),
        timeout=values.get("timeout"),
        max_result_bytes=values.get("maxResultBytes"),
        idempotent=values.get("idempotent", False),
        where=f"{references.notes.file}:{place.line}",
    )


def _argument(root: Table, tool: str, name: str, part: Mapping[str, Any], references: References) -> ArgumentOverride:
    def held(key: str) -> tuple[Any, ...]:
        node: Node | None = part.get(key)
        return () if node is None else (read_value(node, references),)

    made = ArgumentOverride(
        rename=part.get("rename", ""),
        description=part.get("description", ""),
        hide=part.get("hide", False),
        const=held("const"),
        default=held("default"),
    )
    place = locate(root, "overrides", tool, "arguments", name)
    useless = "rename" if made.rename else "description" if made.description else ""
    if (made.hide or made.const) and useless:
        message = f"{useless} of argument {shown(name)} does nothing: clients do not see the argument"
        references.notes.error(Code.USELESS_KEY, message, place, f"remove {useless}")
    if made.const and made.default:
        message = f"default of argument {shown(name)} does nothing: its value is fixed"
        references.notes.error(Code.USELESS_KEY, message, place, "remove default or const")
    return made


def _distinct(root: Table, tool: str, arguments: Mapping[str, ArgumentOverride], references: References) -> None:
    taken: dict[str, str] = {}
    for name, rule in arguments.items():
        if rule.rename and taken.setdefault(rule.rename, name) != name:
            message = (
                f"arguments {shown(taken[rule.rename])} and {shown(name)} of {tool} both become {shown(rule.rename)}"
            )
            place = locate(root, "overrides", tool, "arguments", name, "rename")
            references.notes.error(Code.TOOL_NAME_TAKEN, message, place, "give each a name of its own")
