"""What becomes of delegations that an earlier gateway left open: gone on with, never begun twice, or asked about."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.redaction import words_redactor
from mcp_orchestrator.model.agent import Ended, EndStatus
from mcp_orchestrator.model.delegation import Delegated, DelegationState
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.runtime.attachments import child_of
from mcp_orchestrator.runtime.delegation import Delegation

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.delegations import Delegations

MOST_ATTEMPTS: Final = 5
"""How often one delegation is taken up again before a person is asked."""

MOST_CHILDREN: Final = 1000
"""Ended delegations of an agent that are looked at for what they cost; budgets stop long before."""

_CUT_OFF: Final = "it was cut off"
_NOT_KNOWN: Final = "the gateway ended while the agent was being started; whether it began is not on record"
_TOO_OFTEN: Final = "the gateway ended {} times while it was being carried out; how far it got is not known"


async def take_up(owner: Delegations) -> int:
    """Take up what is open; returns how many there were.

    Accepted and never started: started now. With a session of the agent on record: resumed, or its task joined.
    With an end that was not told yet: told. Delegated by an agent whose run is over: over as well. Anything else is
    not known, and nothing is started until somebody says so.
    """
    owner.taken_up.clear()
    try:
        return await _take_up(owner)
    finally:
        owner.taken_up.set()


async def _take_up(owner: Delegations) -> int:
    left = await owner.store.unfinished()
    going_on = {kept.id for kept in left if kept.ended is None}
    for kept in left:
        backend = owner.agents.get(kept.agent)
        delegation = Delegation(kept, owner, words_redactor(backend.spec.confidential if backend is not None else ()))
        delegation.below = await _spent_below(owner, kept)
        await _complete_journal(owner, kept)
        await owner.wages.adopt(kept.id)
        owner.set_going(delegation, _work(owner, delegation, orphan=kept.parent not in {None, *going_on}))
    return len(left)


def _work(owner: Delegations, delegation: Delegation, *, orphan: bool) -> Coroutine[Any, Any, None]:
    kept = delegation.kept
    if kept.ended is not None:
        return _close(owner, delegation, kept.ended)
    if orphan:
        text = f"the run {kept.parent} that delegated it is over"
        evidence = "its agent ended with the gateway"
        return owner.finish(delegation, Ended(EndStatus.CANCELLED, message=text, evidence=evidence))
    if kept.state is DelegationState.STARTING:
        return owner.carry(delegation, (_CUT_OFF, _NOT_KNOWN))
    if kept.state is DelegationState.WORKING and (kept.native is None or kept.attempts >= MOST_ATTEMPTS):
        return owner.carry(delegation, (_CUT_OFF, _TOO_OFTEN.format(kept.attempts)))
    return owner.carry(delegation)


async def _close(owner: Delegations, delegation: Delegation, ended: Ended) -> None:
    try:
        owner.wages.settle(delegation, ended)
        told = await owner.store.told(delegation.kept.id, EventKind.DELEGATION_ENDED)
        await owner.close(delegation, ended, told=told)
    except OSError as error:
        owner.engine.log.error("the end of a run could not be recorded", run=delegation.kept.id, error=str(error))  # noqa: TRY400


async def _complete_journal(owner: Delegations, kept: Delegated) -> None:
    """Journal what the earlier gateway had no time to: that a run was accepted, and that nobody answered it."""
    if not await owner.store.told(kept.id, EventKind.DELEGATION_ACCEPTED):
        owner.tell_accepted(kept)
    for key in kept.questions if kept.ended is None else ():
        data = {"question": key, "by": "nobody: the gateway ended"}
        owner.engine.record(EventKind.QUESTION_ANSWERED, kept.id, data)


async def _spent_below(owner: Delegations, kept: Delegated) -> int:
    """Micro-dollars used by what the agent of a run delegated, as far as that has ended."""
    below = await owner.store.recent(child_of(kept).id, MOST_CHILDREN)
    ended = [one for one in below if one.ended is not None]
    return sum([(one.ended.usage.cost or 0) + await _spent_below(owner, one) for one in ended if one.ended is not None])
