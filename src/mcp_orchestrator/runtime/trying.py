"""Carries a call of a logical tool to its providers, one after another where that cannot double an effect.

A second provider is tried only when nothing was sent to the first, or when the configuration says of the first that a
call may be repeated (read-only or idempotent). Otherwise the caller is told exactly what is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mcp_orchestrator.core.budgeting import goes_elsewhere
from mcp_orchestrator.core.translate.questions import may_ask_back
from mcp_orchestrator.model.errors import INTERNAL_ERROR, REQUEST_CANCELLED
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome
from mcp_orchestrator.model.plan import Care, Target
from mcp_orchestrator.runtime.paying import paid

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.run import Run
    from mcp_orchestrator.runtime.supervisor import Supervisor
    from mcp_orchestrator.runtime.surroundings import Surroundings

_OF_THE_PROVIDER: Final = frozenset(
    {
        FailureKind.UNAVAILABLE, FailureKind.DIED, FailureKind.TIMEOUT, FailureKind.BAD_ANSWER, FailureKind.OVERLOADED,
        FailureKind.BACKEND_ERROR,
    }
)  # fmt: skip
"""Failures that another provider may not have."""

_ILL: Final = _OF_THE_PROVIDER - {FailureKind.BACKEND_ERROR}
"""Failures that speak against the health of a provider: an error that it answers may be the caller's."""


_NEVER_SENT: Final = frozenset(
    {FailureKind.UNAVAILABLE, FailureKind.OVERLOADED, FailureKind.REFUSED, FailureKind.INVALID}
)


class _Says(msgspec.Struct):
    is_error: bool = msgspec.field(default=False, name="isError")


_says: Final = msgspec.json.Decoder(_Says)


async def tried(run: Run, engine: Surroundings, supervisor: Supervisor, target: Target) -> Outcome:
    """Carry out a call that needs care: with its provider, and with the others for as long as that is safe."""
    return await _Tries(run, engine).all(supervisor, target)


class _Tries:
    """The tries of one run."""

    def __init__(self, run: Run, engine: Surroundings) -> None:
        self._run = run
        self._engine = engine
        self._redact: Callable[[str], str] = str
        self._began = self._engine.clock()
        self._done: list[dict[str, Any]] = []

    async def all(self, supervisor: Supervisor, target: Target) -> Outcome:
        """One provider after the other."""
        first: Target | None = target
        outcome: Outcome | None = None
        others = self._run.plan.others
        while first is not None:
            care = first.care or Care(first.backend)
            known = supervisor if first is target else self._engine.supervisor_of(first.backend)
            made = await self._one(known, first, care)
            outcome = made if outcome is None or not _says_less(made, outcome) else outcome
            if not self._may_go_on(made, care):
                break
            first = others.next() if others is not None else None
            if first is not None:
                left = self._left(care)
                if left <= 0:
                    break
                first = replace(first, timeout=min(first.timeout, left))
        if outcome is None:
            outcome = Failed(FailureKind.INTERNAL, INTERNAL_ERROR, "no provider was tried")
        return self._told(outcome, target)

    def _left(self, care: Care) -> float:
        """Seconds that are left for all further tries together."""
        total = care.logical.timeout if care.logical is not None else 0.0
        asked = self._run.call.timeout
        return min(total, total if asked is None else asked) - (self._engine.clock() - self._began)

    async def _one(self, supervisor: Supervisor | None, target: Target, care: Care) -> Outcome:
        if supervisor is None:
            return self._noted(care, _never(f"server '{target.backend}' is not there any more"), sent=False)
        self._redact = supervisor.redact
        if care.logical is None:
            return _capped(await paid(self._run, self._engine, supervisor, target), care)
        visit = self._engine.health.enter(care)
        if isinstance(visit, str):
            text = f"{care.provider} takes no call now: {visit}"
            failed = Failed(FailureKind.OVERLOADED, INTERNAL_ERROR, text, retryable=True)
            return self._noted(care, failed, sent=False)
        self._run.plan = replace(self._run.plan, target=target)
        well: bool | None = None
        try:
            outcome = await paid(self._run, self._engine, supervisor, target)
            well = _health_of(outcome, care)
        except asyncio.CancelledError:
            self._noted(care, Failed(FailureKind.CANCELLED, REQUEST_CANCELLED, "cancelled"), sent=True)
            raise
        finally:
            visit.leave(well=well)
        sent = not (isinstance(outcome, Failed) and (outcome.retryable or outcome.kind in _NEVER_SENT))
        outcome = _capped(outcome, care)
        if isinstance(outcome, Completed) and care.shape is not None and not may_ask_back(outcome):
            outcome = care.shape(outcome)
        return self._noted(care, outcome, sent=sent)

    def _noted(self, care: Care, outcome: Outcome, *, sent: bool) -> Outcome:
        """Tell the journal of this try."""
        said: dict[str, Any] = {"try": len(self._done) + 1, "provider": care.provider, "sent": sent}
        if isinstance(outcome, Failed):
            said |= {"status": "failed", "kind": outcome.kind.value, "text": self._redact(outcome.message)}
        else:
            said |= {"status": "error" if _is_error(outcome) else "completed"}
        self._done.append({**said, "text": outcome.message} if isinstance(outcome, Failed) else said)
        self._engine.record(EventKind.RUN_TRIED, self._run.id, said)
        return outcome

    def _may_go_on(self, outcome: Outcome, care: Care) -> bool:
        """Whether another provider may be tried after this outcome."""
        logical = care.logical
        if logical is None:
            return False
        if isinstance(outcome, Failed):
            never_sent = goes_elsewhere(outcome) or (outcome.retryable and outcome.kind in _OF_THE_PROVIDER)
            return never_sent or (care.repeatable and outcome.kind in _OF_THE_PROVIDER)
        return logical.next_on_error and care.repeatable and _is_error(outcome)

    def _told(self, outcome: Outcome, target: Target) -> Outcome:
        """The failure as the caller learns it: who was tried, what was sent to whom, and what nobody knows."""
        logical = target.care.logical if target.care is not None else None
        if logical is None or not isinstance(outcome, Failed) or outcome.kind not in _OF_THE_PROVIDER:
            return outcome
        sent = [one["provider"] for one in self._done if one["sent"]]
        data = outcome.data if isinstance(outcome.data, dict) else {}
        shown = [{key: one[key] for key in ("provider", "sent", "status", "kind") if key in one} for one in self._done]
        told = [f"{one['provider']}: {one['text']}" for one in self._done if "text" in one]
        text = outcome.message if len(told) < 2 else "; ".join(told)  # noqa: PLR2004 - one speaks for itself
        if outcome.kind is FailureKind.BACKEND_ERROR and len(told) < 2:  # noqa: PLR2004 - the server's own words stay
            return outcome
        whom = f"sent to {' and '.join(sent)}" if sent else "nothing was sent"
        message = f"'{logical.name}': {text} ({whom})"
        data = {**data, "tool": logical.name, "tries": shown}
        return Failed(outcome.kind, outcome.code, message, data, retryable=not sent)


def _says_less(new: Outcome, old: Outcome) -> bool:
    """Whether a later failure, before which nothing was sent, would hide one after which something was."""
    return isinstance(new, Failed) and new.retryable and isinstance(old, Failed) and not old.retryable


def _never(text: str) -> Failed:
    return Failed(FailureKind.UNAVAILABLE, INTERNAL_ERROR, text, retryable=True)


def _health_of(outcome: Outcome, care: Care) -> bool | None:
    if isinstance(outcome, Failed):
        return False if outcome.kind in _ILL else None
    return not (care.logical is not None and care.logical.next_on_error and _is_error(outcome))


def _is_error(outcome: Outcome) -> bool:
    """Whether a result is the tool's own error."""
    if not isinstance(outcome, Completed):
        return True
    if b'"isError"' not in outcome.result:
        return False
    try:
        return _says.decode(outcome.result).is_error
    except ValueError:
        return False


def _capped(outcome: Outcome, care: Care) -> Outcome:
    """A result that is larger than the configuration takes is none."""
    if care.cap is None or not isinstance(outcome, Completed) or len(outcome.result) <= care.cap:
        return outcome
    text = (
        f"{care.provider} gave a result of {len(outcome.result)} bytes; its maxResultBytes is {care.cap}. "
        "The call was carried out."
    )
    return Failed(FailureKind.BAD_ANSWER, INTERNAL_ERROR, text)
