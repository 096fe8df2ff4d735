"""How a turn with an A2A agent ended: judged by the state that its task was told to be in, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from mcp_orchestrator.backends.a2a_reading import State
from mcp_orchestrator.backends.a2a_seen import Seen
from mcp_orchestrator.model.agent import Ended, EndStatus, TroubleKind
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

UNAUTHORIZED: Final = (401, 403)
_TOO_MANY: Final = 429
_SERVER_FAILED: Final = 500
_TROUBLES: Final[Mapping[FailureKind, TroubleKind]] = {
    FailureKind.UNAVAILABLE: TroubleKind.MISSING,
    FailureKind.TIMEOUT: TroubleKind.TIMEOUT,
    FailureKind.DIED: TroubleKind.CRASH,
}


def end(seen: Seen, clean: Callable[[str], str]) -> Ended:
    """The end that the agent told. `clean` takes secrets out of its words."""
    if seen.reply is not None:
        return _done(seen, "the agent answered with a message, without a task")
    said = clean(seen.message.text) if seen.message is not None else ""
    evidence = f"task {seen.task}: {seen.word}"
    usage, text = seen.usage, seen.text
    match seen.state:
        case State.COMPLETED:
            return _done(seen, evidence)
        case State.CANCELED:
            return Ended(EndStatus.CANCELLED, text, message=said, usage=usage, evidence=evidence)
        case State.REJECTED:
            message = said or "the agent rejected the task"
            return Ended(EndStatus.REFUSED, text, message=message, usage=usage, evidence=evidence)
        case _:
            message = said or "the agent failed without a word"
            trouble = _trouble_in(said)
            return Ended(EndStatus.FAILED, text, trouble=trouble, message=message, usage=usage, evidence=evidence)


def _done(seen: Seen, evidence: str) -> Ended:
    if seen.empty:
        message = "the agent says that it is done, and said, made and did nothing"
        silent = TroubleKind.SILENT
        return Ended(EndStatus.UNKNOWN, trouble=silent, message=message, usage=seen.usage, evidence=evidence)
    return Ended(EndStatus.COMPLETED, seen.text, structured=seen.structured, usage=seen.usage, evidence=evidence)


def given_up(seen: Seen, *, asked: bool) -> Ended:
    """The session was closed before the end was seen; `asked` whether the agent was asked to stop."""
    stopped = "it was asked to stop and did not confirm that" if asked else "nobody waits for it any more"
    where = f"task {seen.task}: {seen.word or 'no state'}" if seen.task else "no task was named"
    message = f"the agent's task was left: {stopped}"
    return Ended(EndStatus.UNKNOWN, seen.text, message=message, usage=seen.usage, evidence=where)


def unknown(seen: Seen, what: str, error: BackendError | None) -> Ended:
    """Nobody saw the end."""
    return Ended(
        EndStatus.UNKNOWN,
        seen.text,
        trouble=_trouble(error) if error is not None else TroubleKind.PROTOCOL,
        message=f"{what}: {error.message}" if error is not None else what,
        usage=seen.usage,
        evidence=f"task {seen.task or '(none)'}: last seen {seen.word or 'nothing'}",
    )


def failed(seen: Seen, error: BackendError) -> Ended:
    """Our message was refused or not delivered; or it was lost on the way, and nobody knows what became of it."""
    lost = error.sent and error.kind is not FailureKind.BACKEND_ERROR
    trouble = _trouble(error)
    return Ended(
        EndStatus.UNKNOWN if lost else EndStatus.FAILED,
        seen.text,
        trouble=trouble,
        message=error.message,
        retryable=not lost and (not error.sent or trouble is TroubleKind.RATE),
        usage=seen.usage,
        evidence="the answer to our message" if error.sent else "the message was not delivered",
    )


def http_status(error: BackendError) -> int:
    """The HTTP status behind an error; 0 where there is none."""
    status = error.data.get("httpStatus") if isinstance(error.data, Mapping) else None
    return status if isinstance(status, int) else 0


def _trouble(error: BackendError) -> TroubleKind:
    status = http_status(error)
    if status in UNAUTHORIZED:
        return TroubleKind.AUTH
    if status == _TOO_MANY:
        return TroubleKind.RATE
    if status >= _SERVER_FAILED:
        return TroubleKind.CRASH
    return _TROUBLES.get(error.kind, TroubleKind.PROTOCOL)


def _trouble_in(text: str) -> TroubleKind | None:
    """What the words of a failure tell; A2A has no field for it."""
    low = text.lower()
    if any(word in low for word in ("unauthorized", "401", "api key", "not authenticated", "permission_denied")):
        return TroubleKind.AUTH
    if any(word in low for word in ("429", "rate limit", "resource_exhausted", "too many requests")):
        return TroubleKind.RATE
    if any(word in low for word in ("http 500", "502 bad", "503", "overloaded", "model error")):
        return TroubleKind.MODEL
    return None
