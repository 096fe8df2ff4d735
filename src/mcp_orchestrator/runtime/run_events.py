"""What a run says of itself: to the journal when it begins, asks and ends, and to its client when its time is up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, assert_never

from mcp_orchestrator.model.call import Call, CallKind
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.errors import REQUEST_CANCELLED, REQUEST_TIMEOUT
from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome, ToolRefusal
from mcp_orchestrator.model.plan import Target

SHOWN: Final = 12
"""Characters of the id of a task that are recorded."""

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.run import Run
    from mcp_orchestrator.runtime.surroundings import Surroundings


def opening(run: Run, target: Target, engine: Surroundings) -> Event:
    """`run.started`: who asked for what, where it goes and why; arguments as a digest, and as `capture` leaves them."""
    call = run.call
    data = {
        "method": call.method,
        "name": _told(call, call.name),
        "backend": target.backend,
        "target": _told(call, target.name),
        "principal": call.principal.id,
        "client": (call.client.info or {}).get("name", ""),
        "profile": call.profile,
        "arguments": engine.digest(call.params.get("arguments")),
        "trace": run.trace,
        "reasons": run.plan.reasons,
    }
    if engine.capture is not None:
        supervisor = engine.supervisor_of(target.backend)
        redact = supervisor.redact if supervisor is not None else str
        data["captured"] = engine.capture(call.params.get("arguments"), redact)
    if call.principal.run:
        data |= {"parent": call.principal.run, "depth": call.principal.depth}
    return Event(EventKind.RUN_STARTED, engine.now(), run.id, data)


def _told(call: Call, name: str) -> str:
    """The name for the record; of the id of a task only its beginning, for the whole of it opens the task."""
    return name[:SHOWN] if call.kind is CallKind.TASK else name


def closing(run: Run, outcome: Outcome, engine: Surroundings, started: float, redact: Callable[[str], str]) -> Event:
    """`run.ended`: how, after how long, with how many bytes or which error, without the secrets in its words."""
    ms = round((engine.clock() - started) * 1000, 2)
    data: dict[str, Any] = {"status": "completed", "ms": ms}
    match outcome:
        case Completed():
            data["bytes"] = len(outcome.result)
        case Failed():
            cancelled = outcome.kind is FailureKind.CANCELLED
            data["status"] = "cancelled" if cancelled else "failed"
            data |= {"kind": outcome.kind.value, "code": outcome.code, "text": redact(outcome.message)}
        case ToolRefusal():
            data |= {"status": "failed", "kind": outcome.kind.value, "text": outcome.text}
        case never:
            assert_never(never)
    return Event(EventKind.RUN_ENDED, engine.now(), run.id, data)


def answered(answer: Answer) -> dict[str, Any]:
    """What the journal keeps of an answer: whether somebody agreed, never what they said."""
    action = (answer.result or {}).get("action")
    return {"action": action} if isinstance(action, str) else {}


def timed_out(target: Target, *, sent: bool) -> Failed:
    """The outcome of a call whose time is up: what is known of its effects, and that nobody repeated it."""
    known = "it may have had effects and was not repeated" if sent else "nothing was sent"
    text = f"server '{target.backend}' gave no answer within {target.timeout:g} s; {known}"
    return Failed(FailureKind.TIMEOUT, REQUEST_TIMEOUT, text, retryable=not sent)


def cancelled(reason: str) -> Failed:
    """The outcome of a run that was asked to stop."""
    return Failed(FailureKind.CANCELLED, REQUEST_CANCELLED, f"cancelled: {reason or 'gateway stopping'}")


def never_sent(outcome: Outcome) -> bool:
    """Whether the session could not even take the call."""
    return isinstance(outcome, Failed) and outcome.kind is FailureKind.UNAVAILABLE and outcome.retryable
