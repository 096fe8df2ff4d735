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

MOST_OPEN: Final = 32
"""Questions that one run may have open at once."""


class Detached:
    """The port of a run whose client has gone to ask its user: nobody hears, nobody can be asked in place."""

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Nobody hears: there is no request to send it on."""

    async def ask(self, question: Question) -> Answer | None:  # noqa: ARG002 - the protocol's signature
        """Not in place."""
        return None


@dataclass(slots=True)
class _Open:
    question: Question
    answered: asyncio.Future[Answer]


class Asking:
    """Questions by key. `changed` is called, a turn later, when there is something new to show to the client."""

    def __init__(self, expiry: float, changed: Callable[[], None]) -> None:
        self._expiry = expiry
        self._changed = changed
        self._open: dict[str, _Open] = {}
        self._count = 0
        self.round = 0

    def __bool__(self) -> bool:
        """Whether any question is open."""
        return bool(self._open)

    async def ask(self, question: Question) -> Answer | None:
        """Park until the client answers or the question expires; None when too many are open already."""
        if len(self._open) >= MOST_OPEN:
            return None
        self._count += 1
        key = f"q{self._count}"
        loop = asyncio.get_running_loop()
        waiting = _Open(question, loop.create_future())
        self._open[key] = waiting
        # A turn later: questions that a backend asks at the same time are shown together.
        loop.call_soon(self._changed)
        try:
            return await asyncio.wait_for(waiting.answered, self._expiry)
        except TimeoutError:
            return expired(question)
        finally:
            self._open.pop(key, None)

    def shown(self, state: Callable[[int], str]) -> bytes:
        """The `input_required` result with every open question; `state` seals the number of this round."""
        self.round += 1
        requests = {
            key: {"method": waiting.question.method, "params": _modern(waiting.question.params)}
            for key, waiting in self._open.items()
        }
        return encode({"resultType": "input_required", "inputRequests": requests, "requestState": state(self.round)})

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
