"""The load on a stdio server: one child process, many requests in flight on one pair of pipes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from tally import Report, Tally
from wire import Operation, Request


class StdioWorker(asyncio.Protocol):
    """A pair of pipes with up to `concurrency` requests in flight, told apart by their ids."""

    def __init__(self, tally: Tally, writer: asyncio.WriteTransport) -> None:
        self._tally = tally
        self._writer = writer
        self._flights: dict[str, tuple[int, Request, int]] = {}
        self._rest: list[bytes] = []

    def begin(self) -> None:
        """Take the next operation and send its first request."""
        taken = self._tally.take()
        if taken is None:
            self._tally.rest()
            return
        self._send(taken[0], taken[1], time.perf_counter_ns())

    def _send(self, number: int, request: Request, began: int) -> None:
        self._flights[request.id] = (number, request, began)
        self._writer.write(request.body + b"\n")

    def feed(self, data: bytes) -> None:
        """Bytes of the server's standard output."""
        if b"\n" not in data:
            self._rest.append(data)
            return
        first, *lines = data.split(b"\n")
        whole = [b"".join([*self._rest, first]), *lines]
        self._rest = [whole.pop()]
        for line in whole:
            self._judge(line)

    def _judge(self, line: bytes) -> None:
        try:
            request_id = json.loads(line)["id"] if len(line) < 4096 else _id_of(line)
        except (ValueError, KeyError, TypeError):
            return  # a notification, or a line that is no message: not an answer
        flight = self._flights.pop(request_id, None)
        if flight is None:
            self.lose(f"there came an answer to {request_id!r}, which nobody waits for")
            return
        number, sent, began = flight
        following = self._tally.follow(number, sent, line, began)
        if following is None:
            self.begin()
        else:
            self._send(number, following, began)

    def lose(self, why: str) -> None:
        """Whatever is in flight failed."""
        for _, sent, _ in self._flights.values():
            self._tally.fail(f"{sent.id}: {why}")
        self._flights.clear()
        self._tally.rest()


def _id_of(line: bytes) -> Any:
    start = line.index(b'"id":') + 5
    return json.loads(line[start : line.index(b",", start)].rstrip(b"}"))


class StdioServer(asyncio.SubprocessProtocol):
    """A stdio server under load: started once, loaded as often as asked, ended by `close`."""

    def __init__(self) -> None:
        self.worker: StdioWorker | None = None
        self.ended = asyncio.Event()
        self._transport: Any = None
        self._number = 0

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return int(self._transport.get_pid())

    async def start(self, command: Sequence[str], env: dict[str, str] | None = None) -> None:
        """Start the server. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.subprocess_exec(lambda: self, *command, stderr=None, env=env)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Pass on standard output."""
        if fd == 1 and self.worker is not None:
            self.worker.feed(data)

    def process_exited(self) -> None:
        """Nothing more will come."""
        self.ended.set()
        if self.worker is not None:
            self.worker.lose("the server ended")

    async def load(
        self, operation: Operation, *, concurrency: int, calls: int | None = None, seconds: float | None = None
    ) -> Report:
        """Load on the running server; numbers go on where the last load ended, so that ids stay unique."""
        tally = Tally(operation, calls=calls, seconds=seconds, start=self._number)
        self.worker = StdioWorker(tally, self._transport.get_pipe_transport(0))
        for _ in range(concurrency):
            self.worker.begin()
        report = await tally.finish()
        self._number += report.calls + len(report.failures)
        return report

    async def close(self) -> None:
        """Close its standard input and wait for its end; kill it after five seconds."""
        self.worker = None
        self._transport.get_pipe_transport(0).close()
        try:
            async with asyncio.timeout(5):
                await self.ended.wait()
        except TimeoutError:
            self._transport.kill()
            await self.ended.wait()
        self._transport.close()
