import asyncio

import pytest

from mcp_orchestrator.backends.http_connection import MAX_HEAD_BYTES, Connection, Response, StaleError
from mcp_orchestrator.model.errors import BackendError

pytestmark = pytest.mark.anyio


class Transport:
    def __init__(self):
        self.written = []
        self.state = "open"

    def write(self, data):
        self.written.append(data)

    def close(self):
        self.state = "closed"

    def abort(self):
        self.state = "aborted"


class Pool:
    peer = "the server"
    max_body = 3_000_000

    def __init__(self):
        self.scratch = memoryview(bytearray(65536))
        self.free = []
        self.gone = []

    def connection_free(self, connection):
        self.free.append(connection)

    def connection_gone(self, connection):
        self.gone.append(connection)


class Wire:
    """A connection with its transport replaced: `read` is what the socket would bring."""

    def __init__(self):
        self.pool = Pool()
        self.transport = Transport()
        self.connection = Connection(self.pool, asyncio.get_running_loop())
        self.connection.connection_made(self.transport)

    def read(self, data):
        while data:
            buffer = self.connection.get_buffer(-1)
            taken = min(len(buffer), len(data))
            buffer[:taken] = data[:taken]
            self.connection.buffer_updated(taken)
            data = data[taken:]


async def test_a_request_is_one_write_and_the_connection_is_free_after_the_answer():
    wire = Wire()
    waiter = wire.connection.send(b"POST", None)
    wire.read(b"HTTP/1.1 200 OK\r\nX: 1\r\ncontent-length: 2\r\n\r\n{}")
    assert wire.transport.written == [b"POST"]
    assert (await waiter).body() == b"{}"
    assert wire.pool.free == [wire.connection]
    assert wire.connection.used


@pytest.mark.parametrize("cut", [1, 100, 65536, 65537, 1_500_000])
async def test_a_long_body_is_the_same_however_it_is_cut_and_the_next_answer_too(cut):
    wire = Wire()
    body = bytes(range(256)) * 8000
    for _ in range(2):
        waiter = wire.connection.send(b"", None)
        data = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        step = max(cut, 997)
        for start in range(0, len(data), step):
            wire.read(data[start : start + step])
        response = await waiter
        assert response.body() == body
        assert response.size == len(body)


async def test_bytes_that_nobody_asked_for_end_the_connection():
    wire = Wire()
    wire.read(b"HTTP/1.1 200 OK\r\n\r\n")
    assert wire.transport.state == "aborted"
    assert wire.pool.gone == [wire.connection]


async def test_a_loss_before_any_byte_is_stale_only_on_a_reused_connection():
    wire = Wire()
    waiter = wire.connection.send(b"", None)
    wire.connection.connection_lost(None)
    with pytest.raises(BackendError, match="before it answered"):
        await waiter

    wire = Wire()
    first = wire.connection.send(b"", None)
    wire.read(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (await first).status == 204
    second = wire.connection.send(b"", None)
    wire.connection.connection_lost(ConnectionResetError())
    with pytest.raises(StaleError):
        await second
    assert wire.pool.gone == [wire.connection]


async def test_a_head_without_end_is_bounded():
    wire = Wire()
    waiter = wire.connection.send(b"", None)
    wire.read(b"HTTP/1.1 200 OK\r\nx: ")
    for _ in range(MAX_HEAD_BYTES // 1000 + 2):
        if wire.transport.state == "open":
            wire.read(b"y" * 1000)
    with pytest.raises(BackendError, match="head"):
        await waiter


async def test_trailers_without_end_are_bounded():
    wire = Wire()
    waiter = wire.connection.send(b"", None)
    wire.read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx: ")
    for _ in range(MAX_HEAD_BYTES // 1000 + 2):
        if wire.transport.state == "open":
            wire.read(b"y" * 1000)
    with pytest.raises(BackendError, match="head"):
        await waiter


async def test_answers_of_the_old_protocol_close_the_connection():
    wire = Wire()
    waiter = wire.connection.send(b"", None)
    wire.read(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    assert (await waiter).body() == b"{}"
    assert wire.transport.state == "closed"
    assert wire.pool.free == []


def test_a_body_in_one_piece_is_not_copied():
    response = Response()
    response.chunks = [b"x" * 10]
    assert response.body() is response.chunks[0]
    response.chunks = [b"a", bytearray(b"b")]
    assert response.body() == b"ab"
    assert response.header(b"missing") == ""


async def test_a_flooding_event_stream_is_read_slowly_and_to_its_end(monkeypatch):
    wire, resumed = Wire(), asyncio.Event()
    wire.transport.pauses = 0

    def pause():
        wire.transport.pauses += 1

    wire.transport.pause_reading = pause
    wire.transport.resume_reading = resumed.set
    wire.transport.is_closing = lambda: False
    monkeypatch.setattr("mcp_orchestrator.backends.pacing.BURST", 0.0)
    seen = []
    answer = wire.connection.send(b"x", lambda chunk: seen.append(chunk) or b"last" in chunk)
    wire.read(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    for _ in range(3):
        wire.read(b": noise\n\n" * 100)
    assert wire.transport.pauses == 3
    async with asyncio.timeout(5):
        await resumed.wait()
    wire.read(b"data: last\n\n")
    assert (await answer).status == 200
    assert len([chunk for chunk in seen if chunk]) == 4
