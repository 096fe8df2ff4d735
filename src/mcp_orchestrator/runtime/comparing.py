"""Several agents at the same task at once, each in a place of its own; the best work is chosen, or the caller chooses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mcp_orchestrator.core.delegating import Choice, added
from mcp_orchestrator.core.redaction import words_redactor
from mcp_orchestrator.model.agent import AgentUsage, Ended, EndStatus, TroubleKind
from mcp_orchestrator.model.delegation import Delegated, DelegationState
from mcp_orchestrator.runtime.delegation import Delegation
from mcp_orchestrator.runtime.orders import DelegationError, order_of, recorded

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.delegations import Delegations

SHOWN: Final = 300


async def compared(owner: Delegations, parent: Delegation) -> Ended:
    """Have every agent of a run do its task, wait for all of them, and choose. Raises OSError.

    A run that an earlier gateway began goes on with the runs that it had made.
    """
    await owner.taken_up.wait()
    kept = parent.kept
    runs: list[Delegation | Delegated] = []
    for run, agent in kept.compared.items():
        live = owner.live(run, None)
        known = live if live is not None else await owner.store.find(run)
        if isinstance(known, Delegated):
            parent.below += known.usage.cost or 0
        runs.append(known if known is not None else await _begun(owner, parent, run, agent))
    waits = [asyncio.ensure_future(one.over.wait()) for one in runs if isinstance(one, Delegation)]
    stopped = asyncio.ensure_future(parent.stop.wait())
    try:
        while not all(one.done() for one in waits):
            await asyncio.wait({*waits, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                owner.stop_children(kept.id)
                await asyncio.wait(waits)
    finally:
        for one in (stopped, *waits):
            one.cancel()
    return await _chosen(owner, parent, [one.kept if isinstance(one, Delegation) else one for one in runs])


async def _begun(owner: Delegations, parent: Delegation, run: str, agent: str) -> Delegation | Delegated:
    """One of the runs, set going; it is under its parent, and belongs to the same caller."""
    kept = parent.kept
    order = replace(order_of(kept), run=run, agent=agent)
    spec = next((one for one in owner.specs if one.name == agent), None)
    route = owner.steering.route_of(kept)
    if spec is None:
        gone = f"there is no agent '{agent}' in the configuration any more"
        return await _unable(owner, kept, (run, agent), gone, TroubleKind.MISSING)
    if route is not None:
        owner.steering.keep(run, route)
    made = recorded(order, Choice(spec, (), route=route), {}, owner.engine.now())
    made = replace(
        made,
        parent=kept.id,
        lineage=(kept.id, *kept.lineage),
        behalf=kept.behalf,
        decision=(
            {"step": "route", "text": f"compared with others in run {kept.id}", "rule": kept.route, "where": ""},
        ),
    )
    child = Delegation(made, owner, words_redactor(spec.confidential))
    try:
        await owner.wages.hold(replace(order, owner=replace(order.owner, lineage=made.lineage)), made, spec)
    except DelegationError as error:
        return await _unable(owner, kept, (run, agent), str(error), TroubleKind.BUDGET)
    await owner.store.save(made)
    owner.tell_accepted(made)
    owner.carry_on(child)
    return child


async def _unable(
    owner: Delegations, kept: Delegated, one: tuple[str, str], why: str, trouble: TroubleKind
) -> Delegated:
    """One of the runs that cannot be begun, on record as over."""
    ended = Ended(EndStatus.FAILED, trouble=trouble, message=why, evidence="nothing was started")
    run, agent = one
    made = replace(kept, id=run, agent=agent, compared={}, parent=kept.id, state=DelegationState.ENDED, ended=ended)
    await owner.store.save(made)
    return made


async def _chosen(owner: Delegations, parent: Delegation, runs: list[Delegated]) -> Ended:
    """The end of the run that compares: with the first good work in the order of the route, or with all to choose from."""
    route = owner.steering.route_of(parent.kept)
    usage = AgentUsage()
    for one in runs:
        if one.ended is not None:
            usage = one.ended.usage if usage == AgentUsage() else added(usage, one.ended.usage)
    if parent.stop.is_set():
        status = EndStatus.LIMIT if parent.limit is not None else EndStatus.CANCELLED
        return Ended(
            status, trouble=parent.limit, message=parent.stopping, usage=usage, evidence="it was asked to stop"
        )
    ends = [(one, one.ended) for one in runs if one.ended is not None]
    good = [(one, ended) for one, ended in ends if ended.status is EndStatus.COMPLETED]
    told = "\n".join(_line(one, ended) for one, ended in ends)
    if not good:
        worst = next((ended for _, ended in ends if ended.trouble is TroubleKind.VERIFY), ends[0][1] if ends else None)
        trouble = worst.trouble if worst is not None else TroubleKind.INTERNAL
        text = "none of the agents did it, or none of their work was accepted"
        return Ended(
            EndStatus.FAILED, told, trouble=trouble, message=text, usage=usage, evidence="each has its own run"
        )
    if route is None or route.verify is None:
        text = f"{told}\nChoose one: run_changes and run_apply take its run."
        return Ended(EndStatus.COMPLETED, text, usage=usage, evidence="the caller chooses")
    best, ended = good[0]
    await parent.save(chosen=best.id)
    evidence = f"run {best.id} of {best.agent} is the first whose work was accepted by route '{route.id}'"
    return Ended(EndStatus.COMPLETED, ended.text, ended.structured, usage=usage, evidence=evidence)


def _line(one: Delegated, ended: Ended) -> str:
    said = (
        ended.text.strip().replace("\n", " ")[:SHOWN] if ended.status is EndStatus.COMPLETED else ended.message[:SHOWN]
    )
    return f"- run {one.id} of {one.agent}: {ended.status.value}: {said}"
