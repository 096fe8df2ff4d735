"""Rounds of questions: a modern backend asks through us whoever cannot carry its questions, until it has enough."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp_orchestrator.core.bonds import CARRIED
from mcp_orchestrator.core.translate.questions import NOBODY, asked, may_ask, may_ask_back
from mcp_orchestrator.model.call import ClientFace, Era, Invocation
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MISSING_CAPABILITY,
    URL_ELICITATION_REQUIRED,
)
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome
from mcp_orchestrator.plugin_api import Session, Talk

MAX_ROUNDS: Final = 10
PAUSE: Final = 0.1
"""Seconds before a server that asks nothing but wants to be called again is; doubled with every further time."""

MAY_ASK: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""Requests that may be answered with questions (MCP 2026-07-28 basic/patterns/mrtr, supported requests)."""


async def rounds(
    talk: Talk,
    session: Session,
    invocation: Invocation,
    client: ClientFace | None = None,
    *,
    ours: Callable[[], bool] = lambda: False,
    first: Outcome | None = None,
) -> Outcome:
    """Invoke; where a modern backend answers with questions that the client cannot carry itself, put them and go on.

    A modern client carries what it declared: such a result passes through untouched. `client` is whoever may carry
    questions, where that is not the client as the backend sees it; with `ours` they are ours to put by now, for the
    call has become a task. `first` is what the first invocation gave, if it was made already.
    """
    client = client or invocation.client
    modern = client.era is Era.MODERN
    if modern and session.era is Era.LEGACY and "inputResponses" in invocation.params:
        # Whoever answers without the state is not the call that asked: beginning it anew could double its effects.
        text = "inputResponses came without the requestState of the questions that they answer"
        return Failed(FailureKind.INVALID, INVALID_PARAMS, text)
    outcome = first or await session.invoke(invocation, talk)
    outcome = await _after_urls(outcome, talk, session, invocation, client)
    if session.era is Era.LEGACY:
        return outcome
    for round_ in range(MAX_ROUNDS):
        needed = asked(outcome.result) if isinstance(outcome, Completed) and may_ask_back(outcome) else None
        if needed is None or (modern and not ours() and _carries(client, needed[0], invocation.method)):
            return outcome
        answered = await _answers(talk, needed[0], needed[1], round_)
        if isinstance(answered, Failed):
            return answered
        params = {key: value for key, value in invocation.params.items() if key not in CARRIED}
        if answered:
            params["inputResponses"] = answered
        if needed[1] is not None:
            params["requestState"] = needed[1]
        again = dataclasses.replace(invocation, params=params)
        outcome = await _after_urls(await session.invoke(again, talk), talk, session, again, client)
        if isinstance(outcome, Failed):  # the rounds before may have had effects
            return dataclasses.replace(outcome, retryable=False)
    text = f"the server asked for input more than {MAX_ROUNDS} times"
    return Failed(FailureKind.BAD_ANSWER, INTERNAL_ERROR, text)


def _carries(client: ClientFace, questions: Mapping[str, Question], method: str) -> bool:
    """Whether a modern client may be given these questions as the result of its request."""
    return method in MAY_ASK and all(may_ask(client, question) for question in questions.values())


async def _answers(talk: Talk, questions: Mapping[str, Question], state: Any, round_: int) -> dict[str, Any] | Failed:
    """The responses to the questions of one round, by key; a refusal of one ends the call."""
    if not questions and state is None:
        # MCP 2026-07-28 basic/patterns/mrtr: at least one of the two is there. Calling again would begin anew.
        text = "the server asks for input but gives neither a question nor a state to come back with"
        return Failed(FailureKind.BAD_ANSWER, INTERNAL_ERROR, text)
    if not questions:
        await asyncio.sleep(PAUSE * 2**round_)
    answers = await asyncio.gather(*(talk.ask(question) for question in questions.values()))
    refused = [answer for answer in answers if answer.result is None]
    if refused:
        text = f"a question of the server was answered with an error: {refused[0].message}"
        return Failed(FailureKind.BACKEND_ERROR, refused[0].code or INTERNAL_ERROR, text)
    return {key: answer.result for key, answer in zip(questions, answers, strict=True)}


async def _after_urls(
    outcome: Outcome, talk: Talk, session: Session, invocation: Invocation, client: ClientFace
) -> Outcome:
    """A server that wants addresses visited first (-32042): whoever does not know that error is asked to, then it is called again.

    The server has said that it did nothing yet, so calling again doubles nothing. It may want them still, for agreeing to
    visit an address is not having done there what is to be done: then they are asked for anew. A legacy client that can
    visit addresses gets the error as it is. MCP 2025-11-25 client/elicitation (URL elicitation required); in the modern
    era nobody may send that error, but the Python SDK's servers do (mcp 2.3.0, 2026-11-24).
    """
    modern = client.era is Era.MODERN
    for _ in range(MAX_ROUNDS):
        if not isinstance(outcome, Failed) or outcome.code != URL_ELICITATION_REQUIRED:
            return outcome
        questions = _addresses(outcome)
        if not modern and (not questions or all(may_ask(client, question) for question in questions)):
            return outcome
        answers = await asyncio.gather(*(talk.ask(question) for question in questions))
        if not questions or any((answer.result or {}).get("action") != "accept" for answer in answers):
            able = all(may_ask(client, question) for question in questions)
            return _unvisited(outcome, able=able) if modern else outcome
        outcome = await session.invoke(invocation, talk)
    text = f"the server wanted addresses visited more than {MAX_ROUNDS} times"
    return Failed(FailureKind.BAD_ANSWER, INTERNAL_ERROR, text)


def _addresses(wanted: Failed) -> list[Question]:
    """The elicitations that the error lists; a mode that was left out can only be this one."""
    listed = wanted.data.get("elicitations") if isinstance(wanted.data, dict) else None
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return [Question("elicitation/create", {**one, "mode": "url"}) for one in found]


def _unvisited(wanted: Failed, *, able: bool) -> Failed:
    """The error for a modern client: it lacks the ability, or somebody refused (with the code for that, of MCP sampling)."""
    if able:
        return Failed(FailureKind.BACKEND_ERROR, NOBODY, wanted.message, wanted.data)
    data = wanted.data if isinstance(wanted.data, dict) else {}
    missing: dict[str, Any] = {"requiredCapabilities": {"elicitation": {"url": {}}}}
    return Failed(FailureKind.BACKEND_ERROR, MISSING_CAPABILITY, wanted.message, {**data, **missing})


def with_elicitation_id(question: Question, minted: str) -> Question:
    """A url elicitation as legacy clients need it: with the `elicitationId` that the modern era dropped."""
    if question.method == "elicitation/create" and question.params.get("mode") == "url":
        return Question(question.method, {"elicitationId": minted, **question.params})
    return question
