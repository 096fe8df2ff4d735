"""Counts a load: hands out the work, judges what comes back, and says when all of it is over."""

from __future__ import annotations

import asyncio
import time
from array import array
from dataclasses import dataclass, field
from typing import Final

from wire import Operation, Request, WrongAnswerError

MAX_FAILURES: Final = 20
"""After so many failures a load gives up: what follows would measure the failing."""

GRACE: Final = 30.0
"""Seconds that a load may take longer than it was told before it counts as hung."""


@dataclass(slots=True)
class Report:
    """What a load saw. Latencies are nanoseconds per operation, `seconds` is the wall time of the whole load."""

    latencies: array[int] = field(default_factory=lambda: array("q"))
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def calls(self) -> int:
        """Operations that ended well."""
        return len(self.latencies)

    @property
    def throughput(self) -> float:
        """Operations per second."""
        return self.calls / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Latency in microseconds that `share` (0 to 1) of the operations did not exceed; 0 without any."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000


class Tally:
    """Hands out numbers until the load is over and keeps what came back."""

    def __init__(self, operation: Operation, *, calls: int | None, seconds: float | None, start: int = 0) -> None:
        self.operation = operation
        self.report = Report()
        self.over = asyncio.get_running_loop().create_future()
        self._next = start
        self._end = None if calls is None else start + calls
        self._seconds = seconds
        self._began = time.perf_counter_ns()
        self._busy = 0

    def begin(self) -> None:
        """The clock starts now, not when the connections were opened."""
        self._began = time.perf_counter_ns()

    def take(self) -> tuple[int, Request] | None:
        """A new operation and its first request, or None when there is nothing left to begin."""
        late = self._seconds is not None and time.perf_counter_ns() - self._began > self._seconds * 1e9
        if late or self._next == self._end or len(self.report.failures) >= MAX_FAILURES:
            return None
        number, self._next = self._next, self._next + 1
        self._busy += 1
        return number, self.operation.first(number)

    def follow(self, number: int, sent: Request, message: bytes, began: int) -> Request | None:
        """Judge an answer; the next request of the operation, or None when the operation is over."""
        try:
            following = self.operation.follow(number, sent, message)
        except WrongAnswerError as error:
            self.fail(str(error))
            return None
        if following is None:
            self.report.latencies.append(time.perf_counter_ns() - began)
            self._done()
        return following

    def fail(self, why: str) -> None:
        """An operation that was taken ended badly."""
        self.report.failures.append(why)
        self._done()

    def _done(self) -> None:
        self._busy -= 1

    def rest(self) -> None:
        """A worker found nothing to do; the load is over when none is busy."""
        if not self._busy and not self.over.done():
            self.report.seconds = (time.perf_counter_ns() - self._began) / 1e9
            self.over.set_result(None)

    async def finish(self) -> Report:
        """Wait until every operation has ended, bounded in time."""
        limit = (self._seconds or 600) + GRACE
        try:
            async with asyncio.timeout(limit):
                await self.over
        except TimeoutError:
            self.report.failures.append(f"no end within {limit:.0f} s: an answer never came")
            self.report.seconds = limit
        return self.report
