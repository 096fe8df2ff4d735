"""The cases of load: calls over HTTP and stdio in three sizes, and lists of tools from the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from measure import Line, interleave
from results import Result, Target, cpu_of, load_result, p50_of
from subjects import STARTERS, Stage, Subject
from wire import Echo, ListTools, Operation

KB: Final = 1000
"""Bytes in a kilobyte of payload."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to measure: `rounds` slices of `seconds` per subject."""

    seconds: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """One case of load. `targets` judges the lines; cases with equal `tools` and `http` share their subjects."""

    name: str
    title: str
    concurrency: int
    targets: Callable[[Sequence[Line]], list[Target]]
    size: int | None = 200
    tools: int = 1
    http: bool = True

    def operation(self, subject: Subject) -> Operation:
        """What is asked of the subject."""
        return ListTools(self.tools) if self.size is None else Echo(subject.tool, self.size)


def _within(
    limit: float, off: float | None = None, times_nginx: float | None = None
) -> Callable[[Sequence[Line]], list[Target]]:
    """Targets on processor time per call: of ours, of ours with the stages off, and of ours in terms of nginx."""

    def targets(lines: Sequence[Line]) -> list[Target]:
        ours, bare, nginx = (cpu_of(lines, name) for name in ("ours", "off", "nginx"))
        found = [Target("ours, processor time", ours, limit, "us/call")] if ours and limit else []
        if off is not None and bare:
            found.append(Target("all stages off, processor time", bare, off, "us/call"))
        if times_nginx is not None and ours and nginx:
            found.append(Target("ours, times nginx", ours / nginx, times_nginx, "x"))
        return found

    return targets


def _added(limit: float) -> Callable[[Sequence[Line]], list[Target]]:
    """A target on the median latency that ours adds to a direct connection, in microseconds."""

    def targets(lines: Sequence[Line]) -> list[Target]:
        direct, ours = p50_of(lines, "direct"), p50_of(lines, "ours")
        return [Target("p50 added to direct", ours - direct, limit, "us")] if direct and ours else []

    return targets


def _nothing(_lines: Sequence[Line]) -> list[Target]:
    return []


CASES: Final = (
    Traffic("http-1", "HTTP to HTTP, 200 B, 1 in flight", 1, _added(500)),
    Traffic("http-32", "HTTP to HTTP, 200 B, 32 in flight", 32, _within(200, off=100, times_nginx=11)),
    Traffic("http-10k", "HTTP to HTTP, 10 KB, 32 in flight", 32, _nothing, size=10 * KB),
    Traffic("http-1m", "HTTP to HTTP, 1 MB, 4 in flight", 4, _within(0, times_nginx=2), size=KB * KB),
    Traffic("stdio-1", "HTTP to stdio, 200 B, 1 in flight", 1, _added(500), http=False),
    Traffic("stdio-32", "HTTP to stdio, 200 B, 32 in flight", 32, _within(200, off=100, times_nginx=11), http=False),
    Traffic("list-10", "tools/list of 10 tools, 1 in flight", 1, _within(400), size=None, tools=10),
    Traffic("list-100", "tools/list of 100 tools, 1 in flight", 1, _within(400), size=None, tools=100),
    Traffic("list-1000", "tools/list of 1,000 tools, 1 in flight", 1, _within(400), size=None, tools=1000),
)


async def run(cases: Sequence[Traffic], stage: Stage, names: Sequence[str], pace: Pace) -> list[Result]:
    """Start the subjects once and measure each case on them; all cases fit the stage."""
    stage.open()
    try:
        subjects = [await STARTERS[name](stage) for name in names]
        results = []
        for case in cases:
            lines = await interleave(
                subjects, case.operation, concurrency=case.concurrency, seconds=pace.seconds, rounds=pace.rounds
            )
            result = load_result(case.name, case.title, lines)
            result.targets = case.targets(lines)
            print(result.text(), flush=True)
            results.append(result)
        return results
    finally:
        await stage.close()
