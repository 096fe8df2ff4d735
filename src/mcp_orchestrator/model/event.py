"""What the journal keeps: one event per arrow of the picture."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class EventKind(enum.StrEnum):
    """Every kind of journal event; each has its heading in `docs/reference/events.md`."""

    GATEWAY_STARTED = "gateway.started"
    GATEWAY_STOPPED = "gateway.stopped"
    CONFIG_LOADED = "config.loaded"
    CONFIG_REFUSED = "config.refused"
    BACKEND_READY = "backend.ready"
    BACKEND_FAILED = "backend.failed"
    BACKEND_ENDED = "backend.ended"
    CATALOG_CHANGED = "catalog.changed"
    CALL_REFUSED = "call.refused"
    RUN_STARTED = "run.started"
    RUN_ENDED = "run.ended"
    RUN_TRIED = "run.tried"
    RESULT_KEPT = "result.kept"
    QUESTION_ASKED = "question.asked"
    QUESTION_ANSWERED = "question.answered"
    TASK_CREATED = "task.created"
    TASK_ENDED = "task.ended"
    DELEGATION_ACCEPTED = "delegation.accepted"
    DELEGATION_STARTED = "delegation.started"
    DELEGATION_BOUND = "delegation.bound"
    DELEGATION_PASSED = "delegation.passed"
    DELEGATION_VERIFIED = "delegation.verified"
    DELEGATION_ENDED = "delegation.ended"
    AGENT_EVENT = "agent.event"
    AGENT_ATTACHED = "agent.attached"
    AGENT_BENCHED = "agent.benched"
    WORKSPACE_MADE = "workspace.made"
    WORKSPACE_APPLIED = "workspace.applied"
    TOKEN_CREATED = "token.created"  # noqa: S105 - the name of an event
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - likewise
    CALLER_REFUSED = "caller.refused"
    BUDGET_SOFT = "budget.soft"
    BUDGET_REFUSED = "budget.refused"
    BUDGET_RAISED = "budget.raised"
    BUDGET_EXPIRED = "budget.expired"
    APPROVAL_ASKED = "approval.asked"
    APPROVAL_GRANTED = "approval.granted"
    APPROVAL_DENIED = "approval.denied"
    APPROVAL_USED = "approval.used"
    RESULT_JUDGED = "result.judged"
    QUESTION_REFUSED = "question.refused"
    JOURNAL_GAP = "journal.gap"


@dataclass(frozen=True, slots=True)
class Event:
    """One journal record. `at` is seconds since the epoch, `run` the run id or None; `data` is plain JSON."""

    kind: EventKind
    at: float
    run: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
