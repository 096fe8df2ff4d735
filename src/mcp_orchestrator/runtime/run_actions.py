"""What the command line does with runs that are going on: see what they ask, answer, cancel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.core.answers import answer_of
from mcp_orchestrator.core.approving import ALLOW
from mcp_orchestrator.core.delegating import status_word
from mcp_orchestrator.runtime.delegation import Delegation
from mcp_orchestrator.runtime.delegation import OpenQuestion as AgentQuestion
from mcp_orchestrator.runtime.desk import Desk, OpenQuestion
from mcp_orchestrator.runtime.engine import Engine

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.delegations import Delegations


class RunActions:
    """Actions on the runs of one engine; unknown runs and questions raise LookupError, bad input ValueError."""

    def __init__(self, engine: Engine, delegations: Callable[[], Delegations | None] = lambda: None) -> None:
        self._engine = engine
        self._delegations = delegations

    def table(self) -> dict[str, Callable[[dict[str, Any]], Awaitable[Any]]]:
        """Action by name."""
        return {"runs.questions": self.questions, "runs.answer": self.answer, "runs.cancel": self.cancel}

    async def questions(self, args: dict[str, Any]) -> list[dict[str, Any]]:
        """{run?} -> [{run, question, method, params, asked_at, expires_at}]; times are seconds since the epoch."""
        desk, delegations, run = self._engine.desk, self._delegations(), args.get("run")
        found = [_shown(one) for one in desk.questions(run)] if desk is not None else []
        found += [_shown(one) for one in self._engine.approvals.desk.questions(run)]
        asked = delegations.open_questions(run) if delegations is not None else []
        return [*found, *(_shown_of(one.kept.id, waiting) for one, waiting in asked)]

    async def answer(self, args: dict[str, Any]) -> dict[str, Any]:
        """{run, question, action, content?, option?} -> {run, question, answer: the result or {error}}."""
        delegations = self._delegations()
        delegation = delegations.live(str(args.get("run")), None) if delegations is not None else None
        if delegation is not None and str(args.get("question")) in {*delegation.open, *delegation.answered}:
            return _answered(delegation, args)
        approvals = self._engine.approvals.desk
        if approvals.has(str(args.get("run")), str(args.get("question"))):
            return self._given(approvals, _with_decision(args))
        desk = self._engine.desk
        if desk is None:
            text = "the command line answers no questions here: add cli to questions.mouths in the configuration"
            raise ValueError(text)
        return self._given(desk, args)

    @staticmethod
    def _given(desk: Desk, args: dict[str, Any]) -> dict[str, Any]:
        run, key, content = str(args.get("run")), str(args.get("question")), args.get("content")
        if content is not None and not isinstance(content, dict):
            raise ValueError("an answer is a JSON object: the fields of a form, a sampling result, or the roots")
        waiting = desk.find(run, key)
        answer = answer_of(
            waiting.question, str(args.get("action")), content=content, option=args.get("option"), by="cli"
        )
        desk.give(waiting, answer)
        refused = {"error": {"code": answer.code, "message": answer.message}}
        return {"run": run, "question": key, "answer": refused if answer.result is None else answer.result}

    async def cancel(self, args: dict[str, Any]) -> dict[str, Any]:
        """{run} -> {run, status} once the run is over."""
        delegations = self._delegations()
        if delegations is not None and delegations.live(str(args.get("run")), None) is not None:
            kept = await delegations.cancel(str(args.get("run")), None, "cancelled at the command line")
            return {"run": kept.id, "status": status_word(kept, asks=False)}
        run = self._engine.runs.get(str(args.get("run")))
        if run is None:
            raise LookupError(f"no run '{args.get('run')}' is going on in this gateway")
        run.cancel("cancelled at the command line")
        await run.outcome()
        return {"run": run.id, "status": "cancelled"}


def _with_decision(args: dict[str, Any]) -> dict[str, Any]:
    """Accepting an approval says yes to it: its form has no other field."""
    plain = args.get("action") == "accept" and args.get("option") is None and args.get("content") is None
    return {**args, "option": ALLOW} if plain else args


def _answered(delegation: Delegation, args: dict[str, Any]) -> dict[str, Any]:
    content = args.get("content")
    if content is not None and not isinstance(content, dict):
        raise ValueError("an answer is a JSON object: the fields of a form")
    action, option = str(args.get("action")), args.get("option")
    key = delegation.answer(str(args.get("question")), action, option=option, content=content, by="cli")
    return {"run": delegation.kept.id, "question": key, "answer": {"action": action}}


def _shown_of(run: str, one: AgentQuestion) -> dict[str, Any]:
    return _shown(OpenQuestion(run, one.key, one.question, one.asked_at, one.expires_at, one.answered))


def _shown(one: OpenQuestion) -> dict[str, Any]:
    return {
        "run": one.run,
        "question": one.key,
        "method": one.question.method,
        "params": one.question.params,
        "asked_at": one.asked_at,
        "expires_at": one.expires_at,
    }
