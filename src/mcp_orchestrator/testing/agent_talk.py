"""Stands in for the delegation that an agent works for: keeps what the agent says, and answers what it asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from mcp_orchestrator.model.agent import AgentEvent
from mcp_orchestrator.model.conversation import Answer, Question

_Kind = TypeVar("_Kind")

Answering = Callable[[Question], Answer | Awaitable[Answer]]
"""From a question to its answer, at once or later."""

DECLINED = Answer({"action": "decline"}, by="gateway")


class FakeAgentTalk:
    """An `AgentTalk` that remembers.

    `events`, `raws` (the frame beside each event), `questions` and `bindings` (session, turn) are what came, in
    order. Without `answer`, every question is declined.
    """

    def __init__(self, answer: Answering | None = None) -> None:
        self._answer = answer
        self._changed = asyncio.Event()
        self.events: list[AgentEvent] = []
        self.raws: list[str | bytes | None] = []
        self.questions: list[Question] = []
        self.bindings: list[tuple[str, str | None]] = []

    def event(self, event: AgentEvent, raw: str | bytes | None = None) -> None:
        """Keep an event."""
        self.events.append(event)
        self.raws.append(raw)
        self._changed.set()

    async def ask(self, question: Question, raw: str | bytes | None = None) -> Answer:
        """Keep a question and answer it."""
        del raw
        self.questions.append(question)
        self._changed.set()
        if self._answer is None:
            return DECLINED
        answer = self._answer(question)
        return answer if isinstance(answer, Answer) else await answer

    async def bound(self, session: str, turn: str | None = None) -> None:
        """Keep the handles of a session and a turn."""
        self.bindings.append((session, turn))
        self._changed.set()

    def of(self, kind: type[_Kind]) -> list[_Kind]:
        """The events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds that changes only when the agent speaks (or asks, or binds).

        The caller sets the limit of time.
        """
        while not holds():
            self._changed.clear()
            await self._changed.wait()


def choosing(option: str) -> Callable[[Question], Answer]:
    """Answers every permission request with one option, and every other form by declining it."""

    def answer(question: Question) -> Answer:
        properties: dict[str, Any] = question.params.get("requestedSchema", {}).get("properties", {})
        if option in properties.get("decision", {}).get("enum", ()):
            return Answer({"action": "accept", "content": {"decision": option}})
        return DECLINED

    return answer
