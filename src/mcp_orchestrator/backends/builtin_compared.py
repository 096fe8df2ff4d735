"""How a run is shown that compares the work of several agents: each with its end, its changes and its cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.delegating import shown_changes, shown_cost, status_word
from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.delegation import Changes, Delegated

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.delegations import Delegations

MOST_SAID: Final = 2_000


async def shown_compared(delegations: Delegations, kept: Delegated) -> dict[str, Any]:
    """The runs of a run, in the order of its route; and the changes of the one that was chosen."""
    lines: list[dict[str, Any]] = []
    shown: dict[str, Any] = {}
    for run, agent in kept.compared.items():
        live = delegations.live(run, None)
        found = live.kept if live is not None else await delegations.store.find(run)
        if found is None:
            lines.append({"run": run, "agent": agent, "status": "queued" if kept.ended is None else "cancelled"})
            continue
        changes = await _changes(delegations, found)
        line = _line(found, asks=live is not None and bool(live.open))
        if changes is not None:
            line["changes"] = shown_changes(changes, diff=False)
            if run == kept.chosen:
                shown["changes"] = line["changes"]
        lines.append({**line, "chosen": run == kept.chosen})
    return {"compared": lines, **shown}


async def _changes(delegations: Delegations, found: Delegated) -> Changes | None:
    if found.ended is None or found.mode is not AgentMode.WRITE or found.workspace is None:
        return None
    try:
        return await delegations.workspaces.changes(found.workspace)
    except ValueError:
        return None  # the workspace is gone


def _line(found: Delegated, *, asks: bool) -> dict[str, Any]:
    ended = found.ended
    line: dict[str, Any] = {"run": found.id, "agent": found.agent, "status": status_word(found, asks=asks)}
    line["cost"] = shown_cost(ended.usage if ended is not None else found.usage)
    if ended is not None:
        line["text"] = ended.text[:MOST_SAID]
        if ended.trouble is not None:
            line["error"] = {"kind": ended.trouble.value, "message": ended.message[:MOST_SAID]}
    return line
