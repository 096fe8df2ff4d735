"""What the command line does with runs that are going on: see what they ask, answer, cancel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mcp_orchestrator.core.answers import answer_of
from mcp_orchestrator.runtime.desk import OpenQuestion
from mcp_orchestrator.runtime.engine import Engine


class RunActions:
    """Actions on the runs of one engine; unknown runs and questions raise LookupError, bad input ValueError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def table(self) -> dict[str, Callable[[dict[str, Any]], Awaitable[Any]]]:
        """Action by name."""
        return {"runs.questions": self.questions, "runs.answer": self.answer, "runs.cancel": self.cancel}

    async def questions(self, args: dict[str, Any]) -> list[dict[str, Any]]:
        """{run?} -> [{run, question, method, params, asked_at, expires_at}]; times are seconds since the epoch."""
        desk = self._engine.desk
        return [_shown(one) for one in desk.questions(args.get("run"))] if desk is not None else []

    async def answer(self, args: dict[str, Any]) -> dict[str, Any]:
        """{run, question, action, content?, option?} -> {run, question, answer}."""
        desk = self._engine.desk
        if desk is None:
            text = "the command line answers no questions here: add cli to questions.mouths in the configuration"
            raise ValueError(text)
        run, key, content = str(args.get("run")), str(args.get("question")), args.get("content")
        if content is not None and not isinstance(content, dict):
            raise ValueError("the fields of a form are a JSON object")
        waiting = desk.find(run, key)
        answer = answer_of(
            waiting.question, str(args.get("action")), content=content, option=args.get("option"), by="cli"
        )
        desk.give(waiting, answer)
        return {"run": run, "question": key, "answer": answer.result}

    async def cancel(self, args: dict[str, Any]) -> dict[str, Any]:
        """{run} -> {run, status} once the run is over."""
        run = self._engine.runs.get(str(args.get("run")))
        if run is None:
            raise LookupError(f"no run '{args.get('run')}' is going on in this gateway")
        run.cancel("cancelled at the command line")
        await run.outcome()
        return {"run": run.id, "status": "cancelled"}


def _shown(one: OpenQuestion) -> dict[str, Any]:
    return {
        "run": one.run,
        "question": one.key,
        "method": one.question.method,
        "params": one.question.params,
        "asked_at": one.asked_at,
        "expires_at": one.expires_at,
    }
