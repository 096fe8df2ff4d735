"""What becomes of a backend's outcome on its way to the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_orchestrator.core.bonds import Kept
from mcp_orchestrator.core.translate import ranges
from mcp_orchestrator.core.translate.questions import asked, may_ask_back, with_state
from mcp_orchestrator.model.call import Call, Era
from mcp_orchestrator.model.errors import INVALID_PARAMS
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome
from mcp_orchestrator.model.plan import Target

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.run import Run
    from mcp_orchestrator.runtime.surroundings import Surroundings


def homeward(run: Run, engine: Surroundings, outcome: Outcome, target: Target) -> Outcome:
    """Public URIs; and a modern backend's own questions: its state is sealed into ours before a client carries it."""
    outcome = engine.for_the_way(run.call, target, outcome)
    if run.call.client.era is Era.LEGACY or not isinstance(outcome, Completed) or not may_ask_back(outcome):
        return outcome
    found = asked(outcome.result)
    if found is None:
        return outcome
    state = found[1] if isinstance(found[1], str) else None
    whose = target.backend if target.care is None else target.care.provider
    sealed = engine.sealed(run.call, Kept(engine.now(), whose, state))
    return Completed(with_state(outcome.result, sealed), Era.MODERN)


def cut(call: Call, outcome: Outcome) -> Outcome:
    """The part of a resource that a client asked for. The form of the wish was checked when the call was made."""
    part = ranges.wanted(call.meta)
    if not isinstance(outcome, Completed) or not isinstance(part, ranges.Range):
        return outcome
    result = ranges.cut(outcome.result, part)
    if isinstance(result, str):
        return Failed(FailureKind.INVALID, INVALID_PARAMS, f"resources/read: {result}")
    return outcome if result is outcome.result else Completed(result, outcome.era)
