"""What becomes of delegations that an earlier gateway left open: gone on with, never begun twice, or asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mcp_orchestrator.core.redaction import words_redactor
from mcp_orchestrator.core.translate.permissions import Option, decision, permission
from mcp_orchestrator.model.agent import Ended, EndStatus, TroubleKind
from mcp_orchestrator.model.delegation import Delegated, DelegationState
from mcp_orchestrator.runtime.delegation import Delegation

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.delegations import Delegations

MOST_ATTEMPTS: Final = 5
"""How often one delegation is taken up again before a person is asked."""

_AGAIN: Final = Option("start_again", "start the agent on the task from the beginning; work may be done twice")
_GIVE_UP: Final = Option("give_up", "leave it; the run ends as unknown")
_EVIDENCE: Final = "the gateway ended while the agent was being started; whether it began is not on record"


async def take_up(owner: Delegations) -> int:
    """Take up what is open; returns how many there were.

    Accepted and never started: started now. With a session of the agent on record: resumed, or its task joined.
    Anything else is not known, and nothing is started until somebody says so.
    """
    left = await owner.store.unfinished()
    for kept in left:
        backend = owner.agents.get(kept.agent)
        delegation = Delegation(kept, owner, words_redactor(backend.spec.confidential if backend is not None else ()))
        if _can_go_on(kept):
            owner.carry_on(delegation)
        else:
            owner.set_going(delegation, _ask(owner, delegation))
    return len(left)


def _can_go_on(kept: Delegated) -> bool:
    if kept.state is DelegationState.ACCEPTED:
        return True
    return kept.state is DelegationState.WORKING and kept.native is not None and kept.attempts < MOST_ATTEMPTS


async def _ask(owner: Delegations, delegation: Delegation) -> None:
    kept = delegation.kept
    options = (_AGAIN, _GIVE_UP)
    details = f"run {kept.id} of agent {kept.agent}: {_EVIDENCE}\n\nThe task: {kept.task}"
    question = permission("The gateway", "know what to do about a run that was cut off", details, options)
    answer = await delegation.ask(question)
    if decision(answer, options) == _AGAIN.id:
        await delegation.save(state=DelegationState.ACCEPTED, native=None, turn=None)
        await owner.carry(delegation)
        return
    ended = Ended(EndStatus.UNKNOWN, trouble=TroubleKind.CRASH, message="it was cut off", evidence=_EVIDENCE)
    await owner.finish(delegation, ended)
