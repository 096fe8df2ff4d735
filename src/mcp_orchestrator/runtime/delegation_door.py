"""The door to delegations for listeners of other protocols than MCP (A2A): everything by run and principal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.agent_api import Glimpse
from mcp_orchestrator.model.agent import AgentMode, AgentSpec
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.delegation import Changes, Delegated
from mcp_orchestrator.runtime.orders import Order

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.delegation import Delegation
    from mcp_orchestrator.runtime.delegations import Delegations

_BY: Final = "client"


class DelegationFront:
    """A `DelegationDoor` of the registry."""

    def __init__(self, delegations: Delegations) -> None:
        self._delegations = delegations

    @property
    def agents(self) -> Sequence[AgentSpec]:
        """The agents that may be delegated to."""
        return self._delegations.specs

    async def begin(
        self,
        task: str,
        owner: Principal,
        *,
        agent: str | None = None,
        labels: Sequence[str] = (),
        mode: AgentMode = AgentMode.READ,
        workspace: str | None = None,
        schema: Mapping[str, Any] | None = None,
        context: str | None = None,
    ) -> Glimpse:
        """Accept a delegation."""
        engine = self._delegations.engine
        order = Order(
            run=engine.new_run_id(),
            task=task,
            owner=owner,
            agent=agent,
            labels=labels,
            mode=mode,
            workspace=workspace,
            schema=schema,
            context=context,
            trace=engine.new_trace(),
        )
        return _live(await self._delegations.begin(order))

    async def look(self, run: str, who: Principal) -> Glimpse:
        """A delegation as it stands."""
        live = self._delegations.live(run, who)
        return _live(live) if live is not None else _kept(await self._delegations.find(run, who))

    async def recent(self, who: Principal, limit: int) -> Sequence[Glimpse]:
        """The newest first."""
        kept = await self._delegations.recent(who, limit)
        return [
            _live(live) if (live := self._delegations.live(one.id, who)) is not None else _kept(one) for one in kept
        ]

    async def changes(self, run: str, who: Principal) -> Changes:
        """What the agent changed."""
        return await self._delegations.changes(run, who)

    def answer(
        self,
        run: str,
        who: Principal,
        key: str | None,
        action: str,
        *,
        option: str | None = None,
        content: Mapping[str, Any] | None = None,
    ) -> str:
        """Answer an open question."""
        live = self._delegations.live(run, who)
        if live is None:
            raise LookupError(f"run '{run}' asks nothing")
        return live.answer(key, action, option=option, content=content, by=_BY)

    async def cancel(self, run: str, who: Principal, reason: str) -> Glimpse:
        """Stop a run."""
        await self._delegations.cancel(run, who, reason)
        return await self.look(run, who)


def _live(delegation: Delegation) -> Glimpse:
    """One that is carried out here, or was not long ago. What is answered is open no more, though nobody took it yet."""
    questions = {key: one.question for key, one in delegation.open.items() if not one.answered.done()}
    return Glimpse(delegation.kept, delegation.text, questions, delegation.tools, delegation.total, delegation.changed)


def _kept(kept: Delegated) -> Glimpse:
    """One of which only the record is left; nothing of it changes here."""
    return Glimpse(kept, kept.ended.text if kept.ended is not None else "", {}, (), kept.usage, asyncio.Event())
