"""Rounds of questions: a modern backend asks a legacy client through us, in place, until it has what it needs."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any, Final

from mcp_orchestrator.core.translate.questions import asked
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.errors import INTERNAL_ERROR, INVALID_REQUEST, URL_ELICITATION_REQUIRED
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome
from mcp_orchestrator.plugin_api import Session, Talk

MAX_ROUNDS: Final = 10


async def rounds(talk: Talk, session: Session, invocation: Invocation) -> Outcome:
    """Invoke; where a modern backend answers a legacy client's call with questions, ask them and go on.

    A modern client carries the questions itself: its result passes through untouched.
    """
    outcome = await session.invoke(invocation, talk)
    if invocation.client.era is Era.MODERN and session.era is Era.LEGACY:
        return await _after_urls(outcome, talk, session, invocation)
    if invocation.client.era is Era.MODERN or session.era is Era.LEGACY:
        return outcome
    for _ in range(MAX_ROUNDS):
        needed = asked(outcome.result) if isinstance(outcome, Completed) else None
        if needed is None:
            return outcome
        questions, state = needed
        answers = await asyncio.gather(*(talk.ask(question) for question in questions.values()))
        refused = [answer for answer in answers if answer.result is None]
        if refused:
            text = f"the client answered a question of the server with an error: {refused[0].message}"
            return Failed(FailureKind.BACKEND_ERROR, refused[0].code or INTERNAL_ERROR, text)
        responses = {key: answer.result for key, answer in zip(questions, answers, strict=True)}
        params: dict[str, Any] = {**invocation.params, "inputResponses": responses}
        if state is not None:
            params["requestState"] = state
        outcome = await session.invoke(dataclasses.replace(invocation, params=params), talk)
    text = f"the server asked for input more than {MAX_ROUNDS} times"
    return Failed(FailureKind.BAD_ANSWER, INTERNAL_ERROR, text)


async def _after_urls(outcome: Outcome, talk: Talk, session: Session, invocation: Invocation) -> Outcome:
    """A legacy server that wants addresses visited first (-32042): a modern client is asked to, then it is called again.

    The server has said that it did nothing yet. MCP 2025-11-25 client/elicitation (URL elicitation required); modern
    servers must not send that error.
    """
    if not isinstance(outcome, Failed) or outcome.code != URL_ELICITATION_REQUIRED:
        return outcome
    wanted = outcome.data.get("elicitations") if isinstance(outcome.data, dict) else None
    questions = [Question("elicitation/create", dict(one)) for one in wanted or () if isinstance(one, dict)]
    answers = await asyncio.gather(*(talk.ask(question) for question in questions))
    if not questions or any((answer.result or {}).get("action") != "accept" for answer in answers):
        return Failed(FailureKind.BACKEND_ERROR, INVALID_REQUEST, outcome.message, outcome.data)
    return await session.invoke(invocation, talk)


def with_elicitation_id(question: Question, minted: str) -> Question:
    """A url elicitation as legacy clients need it: with the `elicitationId` that the modern era dropped."""
    if question.method == "elicitation/create" and question.params.get("mode") == "url":
        return Question(question.method, {"elicitationId": minted, **question.params})
    return question
