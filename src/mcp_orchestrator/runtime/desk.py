"""Questions that wait for somebody at the command line: open until answered, expired, or no longer needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mcp_orchestrator.core.answers import is_for_people
from mcp_orchestrator.core.translate.questions import expired
from mcp_orchestrator.model.conversation import Answer, Question

MOST: Final = 1000
"""Questions that may lie here at once; further ones are declined."""


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question of a run. Times are seconds since the epoch."""

    run: str
    key: str
    question: Question
    asked_at: float
    expires_at: float
    answered: asyncio.Future[Answer]


class Desk:
    """Where the command line finds what it may answer. The first answer wins."""

    def __init__(self, expiry: float, now: Callable[[], float], waits: Callable[[OpenQuestion], None]) -> None:
        """`expiry` is in seconds; `waits` is told of every new question."""
        self._expiry = expiry
        self._now = now
        self._waits = waits
        self._open: dict[tuple[str, str], OpenQuestion] = {}

    async def ask(self, run: str, key: str, question: Question, expiry: float | None = None) -> Answer | None:
        """Wait for an answer; None at once when the question is not for people or too many are open."""
        expiry = expiry or self._expiry
        if not is_for_people(question) or len(self._open) >= MOST:
            return None
        now = self._now()
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiting = OpenQuestion(run, key, question, now, now + expiry, future)
        self._open[run, key] = waiting
        self._waits(waiting)
        try:
            return await asyncio.wait_for(future, expiry)
        except TimeoutError:
            return expired(question)
        finally:
            self._open.pop((run, key), None)

    def questions(self, run: str | None = None) -> list[OpenQuestion]:
        """What is open, of one run or of all, the oldest first."""
        return [one for one in self._open.values() if run is None or one.run == run]

    def has(self, run: str, key: str) -> bool:
        """Whether such a question is open."""
        return (run, key) in self._open

    def find(self, run: str, key: str) -> OpenQuestion:
        """An open question. Raises LookupError when there is none: answered already, expired, or never asked."""
        found = self._open.get((run, key))
        if found is None:
            open_ones = ", ".join(one.key for one in self.questions(run))
            hint = f"open questions of this run: {open_ones}" if open_ones else "this run has no open question"
            raise LookupError(f"question '{key}' of run '{run}' is not open ({hint})")
        return found

    def give(self, waiting: OpenQuestion, answer: Answer) -> None:
        """Answer an open question."""
        self._open.pop((waiting.run, waiting.key), None)
        if not waiting.answered.done():
            waiting.answered.set_result(answer)
