"""The cases of size and start: time to ready, warm start, idle memory, idle sessions and streams, leaks."""

from __future__ import annotations

import asyncio
import signal
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from procfs import Footprint, footprint
from results import Result, Target
from sessions import Crowd
from stdio_load import StdioServer
from subjects import (
    HERE,
    STARTERS,
    Programs,
    Stage,
    Subject,
    SubjectFailedError,
    end,
    environment,
    free_port,
    launch,
    ready,
    stdio_server,
    write_config,
)
from wire import Echo, ListTools, WrongAnswerError

REST: Final = 1.0
"""Seconds of rest before memory is read."""

SERVERS: Final = 10
TOOLS_EACH: Final = 10
SESSIONS: Final = 3000
STREAMS: Final = 1000
FIRST_SESSIONS: Final = 1000
FIRST_STREAMS: Final = 200
"""So many sessions and streams come first: they fill what the start left free, which would hide the cost of others."""

WARM_CALLS: Final = 5000
LEAK_CALLS: Final = 10_000


async def start(scratch: Path, programs: Programs, names: Sequence[str], rounds: int) -> Result:
    """From exec to the first whole tools/list with one HTTP backend, and memory at rest after the first call."""
    columns = ("subject", "ready s", "least-most", "idle PSS MB", "RSS MB", "processes")
    result = Result("start", "start to ready with one HTTP backend; idle memory", columns)
    times: dict[str, list[float]] = {}
    sizes: dict[str, Footprint] = {}
    for number in range(rounds):
        for name in (name for name in names if name != "direct"):
            stage = Stage(scratch / f"{name}-{number}", programs)
            stage.open()
            try:
                subject = await STARTERS[name](stage)
                times.setdefault(name, []).append(subject.ready_after)
                report = await subject.load(Echo(subject.tool, 200), concurrency=1, calls=10)
                result.failures += [f"{name}: {failure}" for failure in report.failures]
                await asyncio.sleep(REST)
                sizes[name] = footprint(subject.processes())
            finally:
                await stage.close()
    for name, taken in times.items():
        size = sizes[name]
        span = f"{min(taken):.2f}-{max(taken):.2f}"
        megabytes = (f"{size.pss / 1024:.1f}", f"{size.rss / 1024:.1f}")
        result.rows.append([name, f"{statistics.median(taken):.2f}", span, *megabytes, str(size.processes)])
        result.raw[name] = {"ready": taken} | asdict(size)
    if "ours" in times:
        result.targets.append(Target("ours, start to ready", statistics.median(times["ours"]), 0.8, "s"))
        result.targets.append(Target("ours, idle memory", sizes["ours"].pss / 1024, 100, "MB"))
    return result


async def warm_start(scratch: Path, programs: Programs, _names: Sequence[str], rounds: int) -> Result:
    """From exec to a whole tools/list of ten stdio backends, after a first run that made their offers known."""
    columns = ("client", "listed s", "least-most", "answers before that were not whole")
    title = f"warm start with {SERVERS} stdio backends of {TOOLS_EACH} tools"
    result = Result("warm-start", title, columns)
    stage, home, port = Stage(scratch, programs, tools=TOOLS_EACH, http=False), scratch / "ours", free_port()
    servers = {f"s{number}": stdio_server(stage.stdio_command(home)) for number in range(SERVERS)}
    config = write_config(home, port, servers)
    command = [*programs.gateway, "serve", "--config", str(config)]
    taken: dict[str, list[float]] = {"first run": [], "HTTP": [], "stdio": []}
    partial = dict.fromkeys(taken, 0)
    for number in range(rounds + 1):
        client = "HTTP" if number else "first run"
        began = time.perf_counter()
        process = launch(command, home)
        try:
            _, partial_answers = await ready(process, f"http://127.0.0.1:{port}/mcp", SERVERS * TOOLS_EACH, home)
            partial[client] += partial_answers
            taken[client].append(time.perf_counter() - began)
            await asyncio.sleep(REST)
        finally:
            await asyncio.to_thread(end, process)
    for _ in range(rounds):
        began = time.perf_counter()
        server = StdioServer()
        await server.start([*command, "--stdio"], environment(home))
        report = await server.load(ListTools(SERVERS * TOOLS_EACH), concurrency=1, calls=1)
        taken["stdio"].append(time.perf_counter() - began)
        result.failures += [f"stdio: {failure}" for failure in report.failures]
        await server.close()
    for client, seconds in taken.items():
        middle, span = statistics.median(seconds), f"{min(seconds):.2f}-{max(seconds):.2f}"
        result.rows.append([client, f"{middle:.2f}", span, str(partial[client])])
        if client != "first run":
            result.targets.append(Target(f"exec to all tools, {client} client", middle, 0.8, "s"))
    result.raw |= taken
    return result


async def crowd(scratch: Path, programs: Programs, names: Sequence[str], _rounds: int) -> Result:
    """Memory of each of thousands of idle legacy sessions, of their GET streams, and of modern listen streams."""
    columns = ("subject", "kB/session", "kB/GET stream", "kB/listen stream")
    result = Result("crowd", f"{SESSIONS} idle legacy sessions, {STREAMS} of each kind of stream", columns)
    for name in (name for name in names if name in {"ours", "sdk", "fastmcp"}):
        stage = Stage(scratch / name, programs)
        stage.open()
        try:
            subject = await STARTERS[name](stage)
            sizes = await _crowd_of(subject, modern=name == "ours")
        except (WrongAnswerError, OSError, TimeoutError) as error:
            result.failures.append(f"{name}: {error!r}")
            continue
        finally:
            await stage.close()
        result.rows.append([name, *(f"{size:.1f}" for size in sizes), *["-"] * (3 - len(sizes))])
        result.raw[name] = sizes
        if name == "ours":
            whats = ("idle legacy session", "open GET stream", "open listen stream")
            result.targets += [Target(f"ours, {what}", size, 15, "kB") for what, size in zip(whats, sizes, strict=True)]
    return result


async def _crowd_of(subject: Subject, *, modern: bool) -> list[float]:
    """Kilobytes (PSS) per session, per GET stream and, for a modern subject, per listen stream."""
    first, many = Crowd(subject.url), Crowd(subject.url)
    kinds = [(Crowd.settle_in, FIRST_SESSIONS, SESSIONS), (Crowd.open_streams, FIRST_STREAMS, STREAMS)]
    kinds += [(Crowd.listen, FIRST_STREAMS, STREAMS)] if modern else []
    sizes = []
    try:
        for kind, some, number in kinds:
            await kind(first, some)
            before = await _rested(subject)
            await kind(many, number)
            sizes.append((await _rested(subject) - before) / number)
        return sizes
    finally:
        await first.leave()
        await many.leave()


async def _rested(subject: Subject) -> float:
    await asyncio.sleep(REST)
    return float(footprint(subject.processes()).pss)


async def leak(scratch: Path, programs: Programs, _names: Sequence[str], _rounds: int) -> Result:
    """What ten thousand calls leave behind in the gateway: memory, descriptors, objects."""
    columns = ("when", "PSS kB", "RSS kB", "descriptors", "objects", "blocks")
    result = Result("leak", f"{LEAK_CALLS} calls after {WARM_CALLS} to warm up", columns)
    gateway, counts = programs.gateway, scratch / "counts"
    if gateway[1:2] == ("-m",):
        gateway = (gateway[0], str(HERE / "counted.py"), str(counts), *gateway[1:])
    stage = Stage(scratch, Programs(programs.peers_python, gateway, programs.python))
    stage.open()
    try:
        subject = await stage.ours()
        found: list[tuple[Footprint, tuple[int, int]]] = []
        for calls in (WARM_CALLS, LEAK_CALLS):
            report = await subject.load(Echo(subject.tool, 200), concurrency=32, calls=calls)
            result.failures += report.failures
            await asyncio.sleep(REST)
            objects = (0, 0)
            if subject.process is not None and gateway is not programs.gateway:
                objects = await asyncio.to_thread(_objects, subject.process, counts)
            found.append((footprint(subject.processes()), objects))
            size = found[-1][0]
            figures = (size.pss, size.rss, size.descriptors, *objects)
            result.rows.append([f"after {calls}", *(str(figure) for figure in figures)])
    finally:
        await stage.close()
    (size, objects), (later, later_objects) = found
    result.targets = [
        Target("memory grown (PSS)", later.pss - size.pss, 2048, "kB"),
        Target("descriptors grown", later.descriptors - size.descriptors, 2, ""),
        Target("objects grown per call", (later_objects[0] - objects[0]) / LEAK_CALLS, 0.1, ""),
        Target("blocks grown per call", (later_objects[1] - objects[1]) / LEAK_CALLS, 0.1, ""),
    ]
    return result


def _objects(process: subprocess.Popen[bytes], counts: Path) -> tuple[int, int]:
    """Ask a gateway that runs under counted.py for its counts."""
    counts.unlink(missing_ok=True)
    process.send_signal(signal.SIGUSR1)
    for _ in range(500):
        if counts.exists():
            objects, blocks = counts.read_text().split()
            return int(objects), int(blocks)
        time.sleep(0.01)
    raise SubjectFailedError("the gateway did not count its objects within five seconds")


CASES: Final[dict[str, Callable[[Path, Programs, Sequence[str], int], Awaitable[Result]]]] = {
    "start": start,
    "warm-start": warm_start,
    "crowd": crowd,
    "leak": leak,
}
"""By name: what is measured in processes that are started for it."""
