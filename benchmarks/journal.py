"""How many rows a second the journal acknowledges: callers that record one row each, wait until it is durable, and go on.

    .venv/bin/python benchmarks/journal.py [--callers 50] [--seconds 2] [--rounds 5] [--url postgresql://...] [--check]

A row is about 800 bytes, as `run.started` is. Each figure is the median over the rounds, of both durabilities in turn.
With `--check` the exit code is 1 when fewer than 10,000 rows a second are acknowledged at 50 callers with `full`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.snapshot import Durability, Secret, StorageSpec
from mcp_orchestrator.storage.choice import database_of
from mcp_orchestrator.storage.store import Store

LEAST: Final = 10_000
"""Acknowledged rows a second at 50 callers, SQLite, durability full."""

_DATA: Final = {
    "method": "tools/call", "name": "files__read_file", "backend": "files", "target": "read_file",
    "principal": "local:somebody", "client": "a client of some length", "profile": None,
    "arguments": "0123456789abcdef" * 4, "trace": "0123456789abcdef" * 2,
    "reasons": [{"step": step, "rule": "a-rule-of-some-name", "text": "a sentence " * 4, "where": "orchestrator.yaml:17"}
                for step in ("identity", "catalog", "schema", "policy")],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """What one slice saw: acknowledged rows a second, the median wait in ms, processor time of the process in µs a row."""

    rows: float
    wait: float
    cpu: float


async def slice_of(spec: StorageSpec, callers: int, seconds: float) -> Figure:
    """One slice of load on a store of its own; whoever opens it afterwards finds all of it and an unbroken chain."""
    store = Store(database_of(spec), spec.durability)
    await store.open()
    waits: list[float] = []
    until = time.perf_counter() + seconds

    ids = itertools.count(1)

    async def caller() -> None:
        while (began := time.perf_counter()) < until:
            store.record(Event(EventKind.RUN_STARTED, time.time(), f"0123456789{next(ids):06x}", _DATA))
            await store.commit()
            waits.append(time.perf_counter() - began)

    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    verdict = await store.verify()
    await store.aclose()
    if verdict.fault is not None or verdict.rows < len(waits):
        raise SystemExit(f"{len(waits)} rows were acknowledged, {verdict.rows} are there: {verdict.fault}")
    return Figure(len(waits) / took, statistics.median(waits) * 1e3, used / len(waits) * 1e6)


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--url", help="a PostgreSQL database instead of a file of SQLite; its journal is written to")
    parser.add_argument("--directory", type=Path, help="where the file is made: measure the disk that you will use")
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    found: dict[Durability, list[Figure]] = {durability: [] for durability in Durability}
    with tempfile.TemporaryDirectory(dir=chosen.directory) as directory:
        for number in range(chosen.rounds):
            for durability, figures in found.items():
                path = Path(directory) / f"{durability}-{number}" / "state.db"
                url = Secret(chosen.url) if chosen.url else None
                spec = StorageSpec(path, durability, url=url, name="the database")
                figures.append(asyncio.run(slice_of(spec, chosen.callers, chosen.seconds)))
    print(f"{'durability':<12}{'rows/s':>10}{'p50 ms':>10}{'cpu us/row':>12}   ({chosen.callers} callers)")
    for durability, figures in found.items():
        rows, wait, cpu = (statistics.median(column) for column in zip(*map(_cells, figures), strict=True))
        print(f"{durability:<12}{rows:>10,.0f}{wait:>10.2f}{cpu:>12.1f}")
    full = statistics.median(figure.rows for figure in found[Durability.FULL])
    return int(chosen.check and full < LEAST)


def _cells(figure: Figure) -> tuple[float, float, float]:
    return figure.rows, figure.wait, figure.cpu


if __name__ == "__main__":
    raise SystemExit(main())
