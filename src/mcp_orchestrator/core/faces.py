"""One server's face over many: capabilities and instructions merged.

MCP 2025-11-25 basic/lifecycle (capability negotiation); MCP 2026-07-28 server/discover.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mcp_orchestrator.core.translate import tasks
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers

_LISTS: Final = ("tools", "prompts", "resources")


def capabilities(sources: Sequence[Offers], era: Era, *, more_to_come: bool) -> dict[str, Any]:
    """What all sources together can do; lists always announce changes, since we watch the servers ourselves.

    With `more_to_come` (a server is still unknown) all lists are declared, for they may yet fill. Capabilities that
    we do not know are passed on when exactly one source of the client's own era has them: only then is it clear who
    would answer, and in which words.
    """
    merged: dict[str, Any] = {}
    for name in _LISTS:
        holders = [source.capabilities[name] for source in sources if name in source.capabilities]
        if holders or more_to_come:
            merged[name] = {**_united(holders), "listChanged": True}
    for name in ("completions", "logging"):
        if any(name in source.capabilities for source in sources):
            merged[name] = {}
    for name in ("extensions", "experimental"):
        united = _united([source.capabilities[name] for source in sources if name in source.capabilities])
        if united:
            merged[name] = united
    others: dict[str, list[Any]] = {}
    for source in sources:
        for name, value in source.capabilities.items() if source.era is era else ():
            if name not in merged:
                others.setdefault(name, []).append(value)
    merged |= {name: values[0] for name, values in others.items() if len(values) == 1}
    return _with_tasks(merged, sources, era)


def _with_tasks(merged: dict[str, Any], sources: Sequence[Offers], era: Era) -> dict[str, Any]:
    """Tasks in the words of the client's era: for modern clients any long call may become one."""
    merged.pop("tasks", None)
    extensions = {name: value for name, value in merged.pop("extensions", {}).items() if name != tasks.EXTENSION}
    if era is Era.MODERN and "tools" in merged:
        extensions[tasks.EXTENSION] = {}
    elif any(tasks.offers_tasks(source.capabilities, source.era) for source in sources):
        merged["tasks"] = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
    return {**merged, "extensions": extensions} if extensions else merged


def instructions(sources: Sequence[Offers]) -> str | None:
    """The instructions of all servers, each under its name; a single server's as they are."""
    said = [(source.backend, source.instructions) for source in sources if source.instructions]
    if not said:
        return None
    if len(sources) == 1:
        return said[0][1]
    return "\n\n".join(f"## {backend}\n{text}" for backend, text in said)


def _united(values: Sequence[Any]) -> dict[str, Any]:
    united: dict[str, Any] = {}
    for value in values:
        if isinstance(value, Mapping):
            for key, part in value.items():
                united[key] = united.get(key) or part
    return united
