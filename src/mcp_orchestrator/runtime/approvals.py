"""Approvals: a person named by a rule agrees, or nothing is done. What was agreed to is on record before it is done.

The model that asks is never asked: a client's user is, by elicitation, where they are among the approvers; everybody
else answers with `runs answer`. The first answer counts. An agreement is bound to the principal, what is called, the
exact arguments and the configuration; one for `once` is never kept, so that nothing can be done with it a second time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from mcp_orchestrator.core.approving import LARGEST, Case, agreed, by_operator, may_approve, question_of
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.rules import Approval, Scope
from mcp_orchestrator.plugin_api import JournalSink
from mcp_orchestrator.runtime.desk import Desk

MOST_KEPT: Final = 10_000
"""Agreements for a run or a context that are kept; the oldest go first and are asked for again."""

AskClient = Callable[[str, Question], Awaitable[Answer | None]]
"""Asks the user of the client whose call it is; None where that client cannot be asked."""

Record = Callable[[EventKind, str | None, Mapping[str, Any]], None]


class Approvals:
    """Who agreed to what. `expiry` is how long a question waits by default, in seconds; `desk` the command line's."""

    def __init__(self, desk: Desk, journal: JournalSink, record: Record, expiry: float) -> None:
        self.desk = desk
        self.operator: Callable[[], Principal] = lambda: Principal("local:")
        self._journal = journal
        self._record = record
        self._expiry = expiry
        self._count = 0
        self._kept: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    async def obtain(self, case: Case, approvals: Sequence[Approval], ask: AskClient | None) -> str:
        """Have every approval; "" when all are there, else why nothing may be done."""
        for approval in approvals:
            _, refused = await self.one(case, approval, ask)
            if refused:
                return refused
        return ""

    async def one(self, case: Case, approval: Approval, ask: AskClient | None) -> tuple[str, str]:
        """Have one approval: who agreed and "", or "" and why nothing may be done."""
        kept = self._found(case, approval)
        if kept:
            data = {"rule": approval.rule, "where": approval.where, "digest": case.digest, "by": kept}
            self._record(EventKind.APPROVAL_USED, case.run, data)
            return kept, ""
        if len(case.canonical) > LARGEST:
            text = f"the arguments are too large to be shown whole ({len(case.canonical)} characters)"
            return "", self._refused(approval, text)
        mouths = self._mouths(case, approval, ask)
        if not mouths:
            who = ", ".join(approval.approvers)
            return "", self._refused(approval, f"nobody who may agree can be asked here (approvers: {who})")
        return await self._asked(case, approval, mouths)

    async def _asked(
        self, case: Case, approval: Approval, mouths: Sequence[Coroutine[Any, Any, Answer | None]]
    ) -> tuple[str, str]:
        expiry = approval.expires or self._expiry
        about = {
            "rule": approval.rule,
            "where": approval.where,
            "digest": case.digest,
            "principal": case.principal.id,
            "name": case.name,
            "approvers": list(approval.approvers),
        }
        self._record(EventKind.APPROVAL_ASKED, case.run, {**about, "expires": expiry})
        answer = await _first(mouths, expiry)
        by = "time" if answer is None else answer.by
        if not agreed(answer):
            late = answer is None or answer.by == "time"
            action = "expired" if late else str((answer.result or {}).get("action") if answer is not None else "")
            self._record(EventKind.APPROVAL_DENIED, case.run, {**about, "by": by, "action": action})
            told = f"nobody answered within {expiry:g} s" if late else "it was not approved"
            return "", self._refused(approval, told)
        self._record(EventKind.APPROVAL_GRANTED, case.run, {**about, "by": by, "scope": approval.scope.value})
        try:
            await self._journal.commit()
        except OSError as error:
            return "", self._refused(approval, f"the agreement could not be recorded: {error}")
        self._keep(case, approval, by)
        return by, ""

    def _mouths(
        self, case: Case, approval: Approval, ask: AskClient | None
    ) -> list[Coroutine[Any, Any, Answer | None]]:
        """Everybody who can be asked, at the same time."""
        question = question_of(case, approval)
        self._count += 1
        key = f"a{self._count}"
        found: list[Coroutine[Any, Any, Answer | None]] = []
        if ask is not None and may_approve(case.principal, approval.approvers):
            found.append(_named(ask(key, question), case.principal.id))
        if by_operator(self.operator(), approval.approvers):
            expiry = approval.expires or self._expiry
            found.append(self.desk.ask(case.run, key, question, expiry))
        return found

    # -- agreements that hold for longer ----------------------------------------------------------------------------

    def _found(self, case: Case, approval: Approval) -> str:
        within = _within(case, approval.scope)
        return self._kept.get((within, approval.rule, case.digest), "") if within else ""

    def _keep(self, case: Case, approval: Approval, by: str) -> None:
        within = _within(case, approval.scope)
        if within:
            self._kept[within, approval.rule, case.digest] = by
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)

    @staticmethod
    def _refused(approval: Approval, why: str) -> str:
        place = f" ({approval.where})" if approval.where else ""
        return (
            f"refused by policy: rule '{approval.rule}'{place} wants somebody to agree"
            f"{f' ({approval.reason})' if approval.reason else ''}, and {why}. Nothing was sent. "
            f"Approvers: {', '.join(approval.approvers)}"
        )


def _within(case: Case, scope: Scope) -> str:
    """What an agreement of this scope is kept under; "" when it is not kept."""
    match scope:
        case Scope.ONCE:
            return ""
        case Scope.RUN:
            return f"run:{case.within}" if case.within else ""
        case Scope.CONTEXT:
            return f"context:{case.context}" if case.context else ""


async def _named(asked: Awaitable[Answer | None], who: str) -> Answer | None:
    """The answer of a client's user, under their name."""
    answer = await asked
    return (
        None
        if answer is None
        else Answer(answer.result, answer.code, answer.message, by=who if answer.by == "client" else answer.by)
    )


async def _first(mouths: Sequence[Coroutine[Any, Any, Answer | None]], expiry: float) -> Answer | None:
    """The first answer of anybody; None when there was none in time, or nobody could be asked after all."""
    tasks = [asyncio.ensure_future(mouth) for mouth in mouths]
    loop = asyncio.get_running_loop()
    end = loop.time() + expiry
    waiting = set(tasks)
    try:
        while waiting:
            done, waiting = await asyncio.wait(
                waiting, timeout=max(0.0, end - loop.time()), return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                return None
            for task in tasks:  # in an order of our own, where several answered at once
                answer = task.result() if task in done else None
                if answer is not None:
                    return answer
        return None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
