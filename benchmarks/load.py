"""Makes load on one MCP endpoint and measures it: callbacks on raw transports, no task per call, every answer checked.

As a program: `load.py --url URL | --command ... [--size N] [--concurrency C] [--seconds T | --calls N]`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
import urllib.parse
from typing import Any

import httptools
import uvloop
from stdio_load import StdioServer
from tally import Report, Tally
from wire import Echo, Operation, Request, WrongAnswerError, last_event


class HttpWorker(asyncio.Protocol):
    """One keep-alive connection with one request in flight."""

    def __init__(self, tally: Tally, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._tally = tally
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._head = (
            f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            "Accept: application/json, text/event-stream\r\n"
        )
        self._flight: tuple[int, Request, int] | None = None
        self._waiting: tuple[int, Request, int] | None = None
        self._transport: Any = None
        self._body: list[bytes] = []
        self._stream = False
        self._closed = False
        self._opening: asyncio.Future[None] | None = None
        self._parser: Any = None

    async def connect(self) -> None:
        """Open the connection. Raises OSError."""
        await asyncio.get_running_loop().create_connection(lambda: self, *self._address)

    def begin(self) -> None:
        """Go on with the operation under way, or take the next one; send its request."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._send(*waiting)
            return
        taken = self._tally.take()
        if taken is None:
            self._tally.rest()
        else:
            self._send(*taken, time.perf_counter_ns())

    def _send(self, number: int, request: Request, began: int) -> None:
        self._flight = (number, request, began)
        own = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        head = f"{self._head}{own}Content-Length: {len(request.body)}\r\n\r\n"
        self._transport.write(head.encode() + request.body)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start afresh on a new connection."""
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._lose(f"not HTTP: {error}")
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note whether the answer is an event stream."""
        if name.lower() == b"content-type":
            self._stream = value.startswith(b"text/event-stream")

    def on_message_begin(self) -> None:
        """Forget the answer before."""
        self._body.clear()
        self._stream = False

    def on_body(self, data: bytes) -> None:
        """Collect the answer."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Judge the answer and go on."""
        if self._flight is None:
            self._tally.report.failures.append("an answer that nobody asked for")
            return
        number, sent, began = self._flight
        body = b"".join(self._body)
        status = self._parser.get_status_code()
        if status != 200:
            self._tally.fail(f"{sent.id}: HTTP {status}: {body[:300]!r}")
            following = None
        else:
            following = self._tally.follow(number, sent, _message(body, self._stream), began)
        self._flight = None
        self._waiting = None if following is None else (number, following, began)
        if self._parser.should_keep_alive():
            self.begin()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection lost in flight is a failure; in any case go on with a new one."""
        if self._flight is not None:
            self._lose(f"connection lost: {exc or 'closed by the server'}")
        if not self._closed and not self._tally.over.done():
            self._opening = asyncio.ensure_future(self._again())

    async def _again(self) -> None:
        try:
            await self.connect()
        except OSError as error:
            if self._waiting is None:
                self._tally.report.failures.append(f"no connection: {error}")
            else:
                self._tally.fail(f"{self._waiting[1].id}: no connection: {error}")
            self._tally.rest()
        else:
            self.begin()

    def _lose(self, why: str) -> None:
        if self._flight is not None:
            self._tally.fail(f"{self._flight[1].id}: {why}")
            self._flight = None

    def close(self) -> None:
        """Close the connection for good."""
        self._flight = None
        self._closed = True
        if self._transport is not None:
            self._transport.abort()


def _message(body: bytes, stream: bool) -> bytes:
    if not stream:
        return body
    try:
        return last_event(body)
    except WrongAnswerError:
        return body


async def over_http(
    url: str,
    operation: Operation,
    *,
    concurrency: int,
    calls: int | None = None,
    seconds: float | None = None,
    start: int = 0,
) -> Report:
    """Load on an HTTP endpoint: `calls` operations, or as many as begin within `seconds`, numbered from `start`.

    Raises:
        OSError: nobody listens there.
    """
    tally = Tally(operation, calls=calls, seconds=seconds, start=start)
    workers = [HttpWorker(tally, url) for _ in range(concurrency)]
    for worker in workers:
        await worker.connect()
    tally.begin()
    for worker in workers:
        worker.begin()
    report = await tally.finish()
    for worker in workers:
        worker.close()
    return report


async def _main(chosen: argparse.Namespace) -> Report:
    much = {"concurrency": chosen.concurrency, "calls": chosen.calls, "seconds": chosen.seconds}
    if chosen.url:
        return await over_http(chosen.url, Echo(chosen.tool, chosen.size), **much)
    server = StdioServer()
    await server.start(chosen.command)
    report = await server.load(Echo(chosen.tool, chosen.size), **much)
    await server.close()
    return report


def main() -> int:
    """Read the options, make the load, print the figures; 1 when an answer was wrong."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--url")
    options.add_argument("--tool", default="echo")
    options.add_argument("--size", type=int, default=200)
    options.add_argument("--concurrency", type=int, default=1)
    options.add_argument("--calls", type=int)
    options.add_argument("--seconds", type=float)
    options.add_argument("--command", nargs=argparse.REMAINDER)
    chosen = options.parse_args()
    if chosen.calls is None and chosen.seconds is None:
        chosen.seconds = 3.0
    report = uvloop.run(_main(chosen))
    print(
        f"{report.calls} calls in {report.seconds:.2f} s, {report.throughput:.0f}/s, "
        f"p50 {report.percentile(0.5):.0f} us, p99 {report.percentile(0.99):.0f} us, {len(report.failures)} failures"
    )
    for failure in report.failures[:5]:
        print("  ", failure, file=sys.stderr)
    return 1 if report.failures or not report.calls else 0


if __name__ == "__main__":
    sys.exit(main())
