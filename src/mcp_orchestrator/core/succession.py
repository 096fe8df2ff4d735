"""What follows the end of an agent's turn by the route of its run, decided purely: verified, handed on, or over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from mcp_orchestrator.core.delegating import taken_over
from mcp_orchestrator.model.agent import Ended, EndStatus, TroubleKind
from mcp_orchestrator.model.agent_routes import AgentRoute, Then, Verdict
from mcp_orchestrator.model.delegation import Tried

_QUOTA: Final = frozenset({TroubleKind.QUOTA, TroubleKind.RATE})
_MISSING: Final = frozenset({TroubleKind.MISSING, TroubleKind.AUTH})
_FAILED: Final = frozenset({TroubleKind.MODEL, TroubleKind.SILENT})


def wants_next(route: AgentRoute, ended: Ended) -> bool:
    """Whether the next agent may have a run that ended so, as far as its route is concerned."""
    if ended.status is EndStatus.REFUSED:
        return route.on_failed is Then.NEXT
    if ended.status is EndStatus.UNKNOWN or ended.trouble is None:
        return False
    for kinds, then in ((_QUOTA, route.on_quota), (_MISSING, route.on_missing), (_FAILED, route.on_failed)):
        if ended.trouble in kinds:
            return then is Then.NEXT
    return False


def misfit(route: AgentRoute, ended: Ended) -> bool:
    """Whether the answer was refused already for not fitting the schema of the route."""
    return ended.trouble is TroubleKind.INVALID and route.verify is not None and route.verify.schema is not None


def unverified(ended: Ended, route: AgentRoute, verdict: Verdict) -> Ended:
    """The end of a run whose work did not pass: it may well be done, and it is not good."""
    return replace(
        ended,
        status=EndStatus.FAILED,
        trouble=TroubleKind.VERIFY,
        message=f"route '{route.id}' ({route.where}) did not accept the work: {verdict.said}",
        evidence=also(ended.evidence, "looked at by the gateway"),
    )


def not_verified(ended: Ended, stopping: str, limit: TroubleKind | None) -> Ended:
    """The end of a run that was stopped before its work could be verified: done is what was verified."""
    if ended.status is not EndStatus.COMPLETED:
        return ended
    status = EndStatus.LIMIT if limit is not None else EndStatus.CANCELLED
    evidence = also(ended.evidence, "it was stopped before its work was verified")
    return replace(ended, status=status, trouble=limit, message=stopping, evidence=evidence)


def handed_on(task: str, tried: Sequence[Tried]) -> str:
    """What an agent is told to do: the task, and what was wrong with the work of another one that it goes on with."""
    last = next((one for one in reversed(tried) if one.trouble is TroubleKind.VERIFY), None)
    return task if last is None else taken_over(task, last.message)


def word_of(ended: Ended) -> str:
    """The one word for what went wrong."""
    return ended.trouble.value if ended.trouble is not None else ended.status.value


def also(known: str, more: str) -> str:
    """Evidence with more of it."""
    return f"{known}; {more}" if known else more
