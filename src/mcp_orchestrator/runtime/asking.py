"""The open questions of one run towards a client that is asked by `input_required`: parked until it comes back.

The backend's call stays alive meanwhile and is never repeated. MCP 2026-07-28 basic/index (input required).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.core.translate.questions import expired, refused_shape
from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.model.conversation import Answer, Question

TOGETHER: Final = 0.01
"""Seconds without a new question until those that are open are shown: what a server asks at once stays together."""

MOST_OPEN: Final = 32
"""Questions that one run may have open at once."""


class Detached:
    """The port of a run whose client has gone to ask its user: nobody hears, nobody can be asked in place."""

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Nobody hears: there is no request to send it on."""

    def let_go(self, after: float) -> None:
        """Nobody is connected."""

    async def ask(self, question: Question) -> Answer | None:  # noqa: ARG002 - the protocol's signature
        """Not in place."""
        return None


@dataclass(slots=True)
class _Open:
    question: Question
    answered: asyncio.Future[Answer]


class Asking:
    """Questions by key. `changed` is called, a moment later, when there is something new to show to the client."""

    def __init__(self, expiry: float, changed: Callable[[], None]) -> None:
        self._expiry = expiry
        self._changed = changed
        self._open: dict[str, _Open] = {}
        self._showing: asyncio.TimerHandle | None = None
        self.round = 0

    def __bool__(self) -> bool:
        """Whether any question is open."""
        return bool(self._open)

    async def ask(self, key: str, question: Question) -> Answer | None:
        """Park until the client answers or the question expires; None when too many are open already."""
        if len(self._open) >= MOST_OPEN:
            return None
        loop = asyncio.get_running_loop()
        waiting = _Open(question, loop.create_future())
        self._open[key] = waiting
        if self._showing is not None:
            self._showing.cancel()
        self._showing = loop.call_later(TOGETHER, self._changed)
        try:
            return await asyncio.wait_for(waiting.answered, self._expiry)
        except TimeoutError:
            return expired(question)
        finally:
            self._open.pop(key, None)

    def shown(self, state: Callable[[int], str]) -> bytes:
        """The `input_required` result with every open question; `state` seals the number of this round."""
        self.round += 1
        shown = {"resultType": "input_required", "inputRequests": self.requests()}
        return encode({**shown, "requestState": state(self.round)})

    def requests(self) -> dict[str, dict[str, Any]]:
        """The open questions by key, as `inputRequests` of the modern era."""
        return {
            key: {"method": waiting.question.method, "params": _modern(waiting.question.params)}
            for key, waiting in self._open.items()
        }

    def questions(self) -> dict[str, Question]:
        """The open questions by key, as they were asked."""
        return {key: waiting.question for key, waiting in self._open.items()}

    def give(self, key: str, answer: Answer) -> None:
        """Answer one question in place; too late is harmless."""
        waiting = self._open.pop(key, None)
        if waiting is not None and not waiting.answered.done():
            waiting.answered.set_result(answer)

    def take(self, responses: Mapping[str, Any]) -> str:
        """Give the client's answers to whoever waits for them; returns "" or what is wrong with one of them.

        Nothing is given when something is wrong. Answers to what nobody asked are left alone.
        """
        for key, response in responses.items():
            waiting = self._open.get(key)
            wrong = refused_shape(waiting.question, response) if waiting is not None else ""
            if wrong:
                return f"inputResponses.{key}: {wrong}"
        for key, response in responses.items():
            waiting = self._open.pop(key, None)
            if waiting is not None and not waiting.answered.done():
                waiting.answered.set_result(Answer(response))
        return ""


def _modern(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without the id of an elicitation, which the modern era does not know."""
    return {key: value for key, value in params.items() if key != "elicitationId"}
