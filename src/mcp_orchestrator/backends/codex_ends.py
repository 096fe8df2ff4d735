"""How a turn of Codex ended, judged from `turn/completed` and the kind of its error (`codexErrorInfo`).

The kinds are those of the schema of Codex 0.169.0 (2026-11-24). Some carry the status with which the model's endpoint
answered: `{"responseTooManyFailedAttempts": {"httpStatusCode": 429}}`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from mcp_orchestrator.backends.agent_link import Frame, record, whole, words_of
from mcp_orchestrator.model.agent import AgentUsage, Ended, EndStatus, TroubleKind

_KINDS: Final = {
    "usageLimitExceeded": TroubleKind.QUOTA,
    "rateLimitExceeded": TroubleKind.RATE,
    "serverOverloaded": TroubleKind.MODEL,
    "flexUnavailable": TroubleKind.MODEL,
    "policyCapacityUnavailable": TroubleKind.MODEL,
    "internalServerError": TroubleKind.MODEL,
    "modelNotFound": TroubleKind.MODEL,
    "badRequest": TroubleKind.MODEL,
    "contextWindowExceeded": TroubleKind.MODEL,
    "unauthorized": TroubleKind.AUTH,
    "sandboxError": TroubleKind.INTERNAL,
    "threadRollbackFailed": TroubleKind.SESSION,
    "activeTurnNotSteerable": TroubleKind.SESSION,
}
_REFUSALS: Final = frozenset({"cyberPolicy", "misalignmentPolicyViolation", "inferenceHookDenied"})
_HOPELESS: Final = frozenset({"modelNotFound", "badRequest", "contextWindowExceeded"})
_STATUS_IN_TEXT: Final = re.compile(r"\bstatus (\d{3})\b")
_BY_STATUS: Final = {401: TroubleKind.AUTH, 403: TroubleKind.AUTH, 429: TroubleKind.RATE}


def ended(
    turn: Frame,
    error: Frame,
    *,
    text: str,
    usage: AgentUsage,
    limits: Frame,
    did: bool,
    schema: bool,
    interrupted: bool,
) -> Ended:
    """The end of a turn.

    `error` is that of the turn, or the last one that was not tried again; `limits` the account's windows of use;
    `did` whether it used a tool; `schema` whether its last words are to be JSON.
    """
    status = words_of(turn.get("status"))
    evidence = f"turn/completed, status {status or '(none)'}"
    match status:
        case "completed":
            return _completed(text, usage, evidence, did=did, schema=schema)
        case "interrupted":
            why = "it was interrupted" if interrupted else "it was interrupted by a refusal or by the agent itself"
            return Ended(EndStatus.CANCELLED, text, message=why, usage=usage, evidence=evidence)
        case "failed":
            return failed(error, text=text, usage=usage, evidence=evidence, limits=limits)
        case _:
            message = f"the turn ended with a status that is not known: {status!r}"
            kind = TroubleKind.PROTOCOL
            return Ended(EndStatus.UNKNOWN, text, trouble=kind, message=message, usage=usage, evidence=evidence)


def failed(error: Frame, *, text: str, usage: AgentUsage, evidence: str, limits: Frame) -> Ended:
    """The end of a turn that failed with an error of Codex."""
    name, status = _kind(error.get("codexErrorInfo"))
    message = words_of(error.get("message")) or "Codex did not say why"
    if status is None and (found := _STATUS_IN_TEXT.search(message)):
        status = int(found[1])
    evidence = f"{evidence}, {name or 'no kind of error'}" + (f", HTTP {status}" if status else "")
    if name in _REFUSALS:
        return Ended(EndStatus.REFUSED, text, message=message, usage=usage, evidence=evidence)
    if name in ("sessionBudgetExceeded", "tooManyDenials"):
        end = EndStatus.LIMIT if name == "sessionBudgetExceeded" else EndStatus.REFUSED
        trouble = TroubleKind.BUDGET if end is EndStatus.LIMIT else None
        return Ended(end, text, trouble=trouble, message=message, usage=usage, evidence=evidence)
    kind = _KINDS.get(name) or _BY_STATUS.get(status or 0) or (TroubleKind.MODEL if status or name else None)
    if name in ("", "other") and status is None:
        kind = TroubleKind.INTERNAL
    return Ended(
        EndStatus.FAILED,
        text,
        trouble=kind,
        message=message,
        retryable=kind in (TroubleKind.RATE, TroubleKind.MODEL) and name not in _HOPELESS,
        usage=usage,
        evidence=evidence,
        resets_at=_reset(limits) if kind in (TroubleKind.QUOTA, TroubleKind.RATE) else None,
    )


def _completed(text: str, usage: AgentUsage, evidence: str, *, did: bool, schema: bool) -> Ended:
    if not text.strip() and not did:
        message = "the agent says that it is done, but said nothing and used no tool"
        silent = TroubleKind.SILENT
        return Ended(EndStatus.UNKNOWN, trouble=silent, message=message, usage=usage, evidence=evidence)
    return Ended(EndStatus.COMPLETED, text, _json(text) if schema else None, usage=usage, evidence=evidence)


def _kind(info: object) -> tuple[str, int | None]:
    """The name of a kind of error, and the HTTP status that it carries."""
    if isinstance(info, str):
        return info, None
    for name, details in record(info).items():
        return name, whole(record(details).get("httpStatusCode"))
    return "", None


def _reset(limits: Frame) -> float | None:
    """When the window that is used up begins anew; the later one, if both are."""
    windows = [record(limits.get(name)) for name in ("primary", "secondary")]
    full = [one for one in windows if (whole(one.get("usedPercent")) or 0) >= 100]  # noqa: PLR2004 - per cent
    times = [whole(one.get("resetsAt")) for one in full or windows]
    return max((float(time) for time in times if time is not None), default=None)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
