"""Interleaved measurement: short slices of load on one subject after the other, again and again, then medians.

What disturbs a shared machine then disturbs all subjects alike, and ratios between them hold where figures do not.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from procfs import cpu_seconds
from subjects import Subject
from wire import Operation

SETTLE: Final = 0.1
"""Seconds after a slice in which what the subject left for later (group commits, logs) still goes on its account."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice: operations, processor microseconds per operation, latencies in microseconds, operations a second."""

    calls: int
    cpu: float
    p50: float
    p99: float
    throughput: float


@dataclass(slots=True)
class Line:
    """All slices of one subject, and what went wrong in them."""

    subject: str
    slices: list[Slice] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def median(self, of: str) -> float:
        """Median of one figure over the slices; 0 without any."""
        return statistics.median(getattr(item, of) for item in self.slices) if self.slices else 0.0

    def spread(self, of: str) -> tuple[float, float]:
        """Least and greatest of one figure over the slices."""
        values = [getattr(item, of) for item in self.slices] or [0.0]
        return min(values), max(values)


async def slice_of(subject: Subject, operation: Operation, concurrency: int, seconds: float, line: Line) -> None:
    """Load one subject for `seconds` and add the slice to its line."""
    before = cpu_seconds(subject.processes())
    report = await subject.load(operation, concurrency=concurrency, seconds=seconds)
    await asyncio.sleep(SETTLE)
    spent = cpu_seconds(subject.processes()) - before
    line.failures += report.failures
    if report.calls:
        figures = (spent / report.calls * 1e6, report.percentile(0.5), report.percentile(0.99), report.throughput)
        line.slices.append(Slice(report.calls, *figures))


async def interleave(
    subjects: Sequence[Subject],
    operation: Callable[[Subject], Operation],
    *,
    concurrency: int,
    seconds: float,
    rounds: int,
) -> list[Line]:
    """Warm every subject up, then `rounds` times a slice of each; one line per subject, in their order."""
    lines = [Line(subject.name) for subject in subjects]
    for subject, line in zip(subjects, lines, strict=True):
        warm = await subject.load(operation(subject), concurrency=concurrency, seconds=min(0.5, seconds))
        line.failures += warm.failures
    for _ in range(rounds):
        for subject, line in zip(subjects, lines, strict=True):
            await slice_of(subject, operation(subject), concurrency, seconds, line)
    return lines
