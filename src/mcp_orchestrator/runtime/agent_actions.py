"""What the command line does with agents and delegations: look at them, see and apply what was changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.core.delegating import shown_changes, shown_cost, shown_usage, status_word
from mcp_orchestrator.model.agent import AgentFacts
from mcp_orchestrator.model.delegation import Delegated

if TYPE_CHECKING:
    from mcp_orchestrator.agent_api import AgentBackend
    from mcp_orchestrator.runtime.delegations import Delegations


class AgentActions:
    """Actions on agents and delegations; unknown names raise LookupError, bad input ValueError."""

    def __init__(self, delegations: Callable[[], Delegations | None]) -> None:
        self._delegations = delegations

    def table(self) -> dict[str, Callable[[dict[str, Any]], Awaitable[Any]]]:
        """Action by name."""
        return {
            "agents.list": self.agents,
            "agents.show": self.agent,
            "delegations.show": self.show,
            "delegations.changes": self.changes,
            "delegations.apply": self.apply,
        }

    def _there(self) -> Delegations:
        delegations = self._delegations()
        if delegations is None:
            raise LookupError("the configuration has no agents")
        return delegations

    async def agents(self, args: dict[str, Any]) -> list[dict[str, Any]]:
        """{probe?} -> [{name, kind, labels, working, where, benched?, facts?}]; with `probe` each agent is looked at."""
        delegations = self._delegations()
        if delegations is None:
            return []
        backends = list(delegations.agents.values())
        facts: list[AgentFacts | None] = [None] * len(backends)
        if args.get("probe"):
            facts = list(await asyncio.gather(*(backend.probe() for backend in backends)))
        return [_line(delegations, one, known) for one, known in zip(backends, facts, strict=True)]

    async def agent(self, args: dict[str, Any]) -> dict[str, Any]:
        """{name} -> the same of one agent, looked at now."""
        delegations, name = self._there(), args.get("name")
        backend = delegations.agents.get(str(name))
        if backend is None:
            raise LookupError(f"no agent named '{name}'; there are: {', '.join(delegations.agents) or 'none'}")
        return _line(delegations, backend, await backend.probe())

    async def show(self, args: dict[str, Any]) -> dict[str, Any]:
        """{run} -> the delegation as it is kept, with its status."""
        delegations, run = self._there(), str(args.get("run"))
        kept = await delegations.find(run, None)
        live = delegations.live(run, None)
        return _kept(kept, asks=live is not None and bool(live.open))

    async def changes(self, args: dict[str, Any]) -> dict[str, Any]:
        """{run} -> {files, diff, truncated}."""
        return shown_changes(await self._there().changes(str(args.get("run")), None), diff=True)

    async def apply(self, args: dict[str, Any]) -> dict[str, Any]:
        """{run} -> {applied: [paths], conflicts: {path: why}}."""
        applied = await self._there().apply(str(args.get("run")), None)
        return {"applied": list(applied.files), "conflicts": dict(applied.conflicts)}


def _line(delegations: Delegations, backend: AgentBackend, facts: AgentFacts | None) -> dict[str, Any]:
    spec = backend.spec
    line: dict[str, Any] = {
        "name": spec.name,
        "kind": spec.kind.value,
        "labels": list(spec.labels),
        "mode": spec.most_mode.value,
        "working": delegations.working(spec.name),
        "disabled": spec.disabled,
        "where": spec.where,
    }
    standing = delegations.steering.bench.standing(spec.name)
    if standing.benched_until:
        line["benched"] = {"until": standing.benched_until, "why": standing.why}
    return line if facts is None else {**line, "facts": asdict(facts)}


def _kept(kept: Delegated, *, asks: bool) -> dict[str, Any]:
    usage = kept.ended.usage if kept.ended is not None else kept.usage
    return {
        "run": kept.id,
        "agent": kept.agent,
        "status": status_word(kept, asks=asks),
        "mode": kept.mode.value,
        "task": kept.task,
        "owner": kept.owner,
        "parent": kept.parent,
        "route": kept.route or None,
        "tried": [{"agent": one.agent, "message": one.message} for one in kept.tried],
        "compared": dict(kept.compared),
        "chosen": kept.chosen or None,
        "depth": kept.depth,
        "session": kept.native,
        "workspace": kept.workspace.path if kept.workspace is not None else None,
        "created": kept.created,
        "updated": kept.updated,
        "text": kept.ended.text if kept.ended is not None else "",
        "message": kept.ended.message if kept.ended is not None else "",
        "evidence": kept.ended.evidence if kept.ended is not None else "",
        "usage": shown_usage(usage),
        "cost": shown_cost(usage),
    }
