"""Who carries a delegation out: chosen by routes, handed to the next where nothing can be doubled, and verified."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.agent_routes import Routes, Wanted, World, pick
from mcp_orchestrator.core.delegating import Choice
from mcp_orchestrator.core.schema import Checker
from mcp_orchestrator.core.succession import also, misfit, not_verified, unverified, wants_next, word_of
from mcp_orchestrator.model.agent import AgentKind, AgentMode, AgentSpec, Ended, EndStatus, Warned
from mcp_orchestrator.model.agent_routes import AgentRoute, Verdict
from mcp_orchestrator.model.delegation import Changes, Delegated, DelegationState, Tried, Workspace
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.plan import Reason
from mcp_orchestrator.runtime import spending
from mcp_orchestrator.runtime.attachments import child_of
from mcp_orchestrator.runtime.bench import Bench
from mcp_orchestrator.runtime.orders import DelegationError, Order, limits_of, order_of

if TYPE_CHECKING:
    from mcp_orchestrator.agent_api import Verifier
    from mcp_orchestrator.runtime.delegation import Delegation
    from mcp_orchestrator.runtime.delegations import Delegations

NOT_OPENED: Final = "no session with it could be opened; nothing was sent"
"""The evidence that an agent never began."""

MOST_KEPT: Final = 4_000
"""Runs whose routes are kept; more than may be going on at once."""

MOST_SAID: Final = 8_000
"""Characters of a verification that are kept and handed on."""

_TELL_ALL: Final = frozenset({AgentKind.ACP, AgentKind.CLAUDE_CODE, AgentKind.CODEX, AgentKind.SCRIPTED})
"""Kinds that tell each tool call: of them it is known that nothing was done."""


@dataclass(frozen=True, slots=True)
class Before:
    """How a run stood before its agent began: what it is compared with to know whether the agent did anything."""

    tools: Sequence[Any]
    files: Mapping[str, str]
    changes: Changes
    fresh: bool


class Steering:
    """The routes that are in force, and what is known of agents. `verifier` runs the commands of `verify`."""

    def __init__(self, owner: Delegations) -> None:
        self._owner = owner
        self.routes = Routes()
        self.bench = Bench(owner.engine.now)
        self.verifier: Verifier | None = None
        self._kept: OrderedDict[str, AgentRoute] = OrderedDict()

    def configure(self, routes: Sequence[AgentRoute], old: Mapping[str, AgentSpec], new: Sequence[AgentSpec]) -> None:
        """Go by these routes from now on; an agent that was changed is tried again."""
        self.routes = Routes(routes)
        for spec in new:
            if old.get(spec.name) != spec:
                self.bench.lift(spec.name)

    # -- choosing -------------------------------------------------------------------------------------------------

    def choose(self, order: Order) -> Choice:
        """Which agent takes an order, and by which route."""
        choice = self.routes.choose(self.wanted(order), self._world(order))
        if order.run and choice.route is not None:
            self.keep(order.run, choice.route)
        return choice

    def keep(self, run: str, route: AgentRoute) -> None:
        """A run keeps its route as it was, whatever becomes of the configuration meanwhile."""
        self._kept[run] = route
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def forget(self, run: str) -> None:
        """A run is over."""
        self._kept.pop(run, None)

    async def admit(self, order: Order, spec: AgentSpec) -> None:
        """Have the rules look at giving an order to an agent, and whoever must agree. Raises DelegationError."""
        policing = self._owner.engine.policing
        if policing is not None:
            await policing.may_delegate(order, spec)

    def wanted(self, order: Order) -> Wanted:
        """An order as routes see it."""
        args: dict[str, Any] = {"task": order.task, "mode": order.mode.value, "labels": list(order.labels)}
        given = {"agent": order.agent, "workspace": order.workspace, "context": order.context}
        args |= {name: value for name, value in given.items() if value is not None}
        parent = self._owner.live(order.owner.run, None)
        above = spending.left_of(parent, self._owner.all_live).get("cost") if parent is not None else None
        left = [limit for limit in (order.limits.get("cost"), above) if limit is not None]
        return Wanted(
            order.task,
            order.mode,
            order.owner,
            tuple(order.labels),
            order.agent,
            self._places(order),
            order.client,
            order.profile or "",
            order.context or "",
            round(min(left)) if left else None,
            args,
        )

    def _places(self, order: Order) -> tuple[str, ...]:
        """The directory of an order, and those that it is a copy of."""
        if order.workspace is None:
            return ()
        found = [_real(order.workspace)]
        above = self._owner.live(order.owner.run, None)
        while above is not None and above.kept.workspace is not None and above.kept.workspace.origin is not None:
            found.append(_real(above.kept.workspace.origin))
            above = self._owner.parent_of(above.kept)
        return tuple(found)

    def _world(self, order: Order) -> World:
        owner = self._owner
        specs = owner.specs
        standings = {spec.name: self.bench.standing(spec.name, owner.working(spec.name)) for spec in specs}
        policing = owner.engine.policing
        if policing is None:
            return World(specs, standings, owner.engine.now(), dear=order.without)
        return World(
            specs,
            standings,
            owner.engine.now(),
            lambda spec: policing.forbids(order.owner, order.client, order.profile, spec),
            order.without,
        )

    def route_of(self, kept: Delegated) -> AgentRoute | None:
        """The route that a run came by; after a restart, as it is now."""
        return self._kept.get(kept.id) or (self.routes.get(kept.route) if kept.route else None)

    # -- what follows ---------------------------------------------------------------------------------------------

    async def before(self, delegation: Delegation) -> Before:
        """How things stand before an agent begins."""
        kept = delegation.kept
        fresh = kept.state is not DelegationState.WORKING
        known = self.route_of(kept)
        changes = await self._changes(kept.workspace) if known is not None and kept.tried else Changes()
        return Before(delegation.tools, dict(delegation.files), changes or Changes(truncated=True), fresh)

    async def after(self, delegation: Delegation, ended: Ended, before: Before, used: float) -> Ended | None:
        """What the end of an agent's turn means for the run: its end, or None when another agent has the run now.

        `used` are the seconds that it worked. Raises OSError where that could not be kept.
        """
        ended = delegation.cleaned(ended)
        self._note(delegation.kept.agent, ended)
        route = self.route_of(delegation.kept)
        if route is None:
            gone = "its route is not in the configuration any more, so that nothing was verified"
            return replace(ended, evidence=also(ended.evidence, gone)) if delegation.kept.route else ended
        if delegation.stop.is_set():
            return not_verified(ended, delegation.stopping, delegation.limit) if route.verify is not None else ended
        if ended.status is EndStatus.COMPLETED or misfit(route, ended):
            return await self._looked_at(delegation, route, ended, used)
        if delegation.kept.named or not wants_next(route, ended):
            return ended
        why = await self._done_anything(delegation, ended, before)
        if why:
            return replace(ended, evidence=also(ended.evidence, f"no other agent was tried: {why}"))
        return None if await self._pass_on(delegation, route, ended, used) else ended

    async def _looked_at(self, delegation: Delegation, route: AgentRoute, ended: Ended, used: float) -> Ended | None:
        """The end of an agent that says it is done, as its route sees it; None when the next one goes on with its work."""
        if route.verify is None:
            return ended
        verdict = Verdict(passed=False, said=ended.message)
        if ended.status is EndStatus.COMPLETED:
            looking = asyncio.ensure_future(self._verified(route, delegation, ended))
            stopped = asyncio.ensure_future(delegation.stop.wait())
            try:
                await asyncio.wait({looking, stopped}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopped.cancel()
                if not looking.done():
                    looking.cancel()
                    await asyncio.wait({looking})
            if looking.cancelled():
                return not_verified(ended, delegation.stopping, delegation.limit)
            verdict = looking.result()
        if verdict.passed:
            return replace(ended, evidence=also(ended.evidence, f"verified by route '{route.id}'"))
        ended = unverified(ended, route, verdict)
        passed_on = route.escalate and not delegation.kept.named and await self._pass_on(delegation, route, ended, used)
        return None if passed_on else ended

    def _note(self, agent: str, ended: Ended) -> None:
        benched = self.bench.heard(agent, ended)
        if benched is None:
            return
        trouble = ended.trouble.value if ended.trouble is not None else ""
        data = {"agent": agent, "trouble": trouble, "until": benched.benched_until, "why": benched.why}
        self._owner.engine.record(EventKind.AGENT_BENCHED, None, data)
        self._owner.engine.log.warning("an agent is left out for a while", **data)

    async def _done_anything(self, delegation: Delegation, ended: Ended, before: Before) -> str:
        """What the agent may have done, so that another one could do it a second time; "" when it is known: nothing."""
        kept = delegation.kept
        if not before.fresh:
            return "the run was taken up again in the middle"
        if delegation.tools != before.tools or delegation.files != before.files:
            return "it has used tools"
        if ended.evidence != NOT_OPENED and AgentKind(kept.kind) not in _TELL_ALL:
            return f"agents of the kind {kept.kind} do not tell all that they do"
        if await self._owner.store.recent(child_of(kept).id, 1):
            return "it has delegated work itself"
        if kept.mode is AgentMode.WRITE:
            now = await self._changes(kept.workspace)
            if now is None or now.truncated or now != before.changes:
                return "its workspace was changed"
        return ""

    async def _changes(self, workspace: Workspace | None) -> Changes | None:
        """What differs in a workspace; None where that cannot be known."""
        if workspace is None:
            return Changes()
        try:
            return await self._owner.workspaces.changes(workspace)
        except ValueError:
            return None

    async def _pass_on(self, delegation: Delegation, route: AgentRoute, ended: Ended, used: float) -> bool:
        """Give a run to the next agent of its route; False when there is none, or nothing is left to do it with."""
        kept = delegation.kept
        tried = (
            *kept.tried,
            Tried(kept.agent, ended.status, ended.trouble, ended.message[:MOST_SAID], ended.usage.cost),
        )
        limits = dict(kept.asked_limits)
        if "seconds" in limits:
            limits["seconds"] -= used
            if limits["seconds"] <= 0:
                return False
        order = order_of(kept)
        picked = await self._following(route, order, tried)
        reasons = [asdict(reason) for reason in picked.reasons]
        if picked.agent is None:
            data = {"from": kept.agent, "to": None, "reasons": reasons}
            self._owner.engine.record(EventKind.DELEGATION_PASSED, kept.id, data)
            return False
        spec = picked.agent
        for secret in spec.confidential:
            delegation.hide(secret)
        delegation.next_turn()
        delegation.warn(
            f"{kept.agent} ended with {word_of(ended)}; {spec.name} takes over: {ended.message[:300]}", "passed"
        )
        await delegation.save(
            agent=spec.name,
            kind=spec.kind.value,
            state=DelegationState.ACCEPTED,
            native=None,
            turn=None,
            attached=None,
            attempts=0,
            tried=tried,
            asked_limits=limits,
            limits=limits_of(spec, limits),
            usage=delegation.total,
            decision=(*kept.decision, *reasons),
        )
        data = {"from": kept.agent, "to": spec.name, "trouble": word_of(ended), "message": ended.message[:MOST_SAID]}
        self._owner.engine.record(EventKind.DELEGATION_PASSED, kept.id, {**data, "reasons": reasons})
        return True

    async def _following(self, route: AgentRoute, order: Order, tried: Sequence[Tried]) -> Choice:
        """The next agent that may have a run, and whose budgets it is under already."""
        names = [one.agent for one in tried]
        reasons: list[Reason] = []
        while True:
            picked = pick(route, self.wanted(order), self._world(order), names)
            reasons += [one for one in picked.reasons if one not in reasons]
            spec = picked.agent
            if spec is None:
                return replace(picked, reasons=tuple(reasons))
            why = await self._refused(order, spec, tried[-1].agent)
            if not why:
                return replace(picked, reasons=tuple(reasons))
            reasons.append(Reason("policy", f"{spec.name} is passed over: {why}"))
            names.append(spec.name)

    async def _refused(self, order: Order, spec: AgentSpec, last: str) -> str:
        before = self._owner.agents.get(last)
        if before is not None and not self._owner.wages.covers(order, before.spec, spec):
            return "it is under a budget of which nothing is held for this run"
        try:
            await self.admit(order, spec)
        except DelegationError as error:
            return str(error)
        return ""

    # -- verifying ------------------------------------------------------------------------------------------------

    async def _verified(self, route: AgentRoute, delegation: Delegation, ended: Ended) -> Verdict:
        """Look at the work of an agent as its route wants it; what was found is in the journal."""
        kept, workspace = delegation.kept, delegation.kept.workspace
        verify = route.verify
        if verify is None:
            return Verdict(passed=True)
        verdict = Verdict(passed=True)
        if verify.schema is not None:
            faults = Checker(verify.schema).faults(ended.structured) if ended.structured is not None else ["no JSON"]
            if faults:
                verdict = Verdict(passed=False, said=f"the answer does not fit the schema: {'; '.join(faults)}")
        if verdict.passed and verify.command:
            if self.verifier is None or workspace is None:
                verdict = Verdict(passed=False, said="there is no workspace that could be verified")
            else:
                verdict = await self.verifier.verify(verify.command, workspace, verify.timeout)
        verdict = replace(verdict, said=delegation.cleaned(Warned(verdict.said[-MOST_SAID:])).text)
        data = {"agent": kept.agent, "route": route.id, "where": route.where, "passed": verdict.passed}
        self._owner.engine.record(EventKind.DELEGATION_VERIFIED, kept.id, {**data, "said": verdict.said})
        return verdict


def _real(path: str) -> str:
    try:
        return str(Path(path).resolve())
    except (OSError, ValueError, RuntimeError):  # too long, a NUL byte, a loop of links
        return path
