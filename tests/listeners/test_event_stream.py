"""Event streams: order, bounds, pings, ends, and clients that are gone."""

import asyncio
import json

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_orchestrator.core.wire.sse import Parser
from mcp_orchestrator.listeners import event_stream
from mcp_orchestrator.listeners.event_stream import BACKLOG_FRAMES, EventStream, send_event, until_gone

pytestmark = pytest.mark.anyio


class Wire:
    """What an ASGI server would have been told; `gate` holds it back."""

    def __init__(self):
        self.messages = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False
        self.pinged = asyncio.Event()

    async def send(self, message):
        await self.gate.wait()
        if self.broken:
            raise ConnectionResetError
        self.messages.append(message)
        if message.get("body") == b": ping\n\n":
            self.pinged.set()

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def complete(self):
        return bool(self.messages) and self.messages[-1].get("more_body") is False


async def test_events_leave_in_order_and_the_stream_closes_after_the_last():
    wire = Wire()
    stream = EventStream(wire.send, [(b"x", b"y")])
    for number in range(5):
        assert stream.send(b"%d" % number)
    stream.end(b"last")
    assert stream.ended
    assert not stream.send(b"late")
    stream.end(b"twice")
    await stream.written()
    head = wire.messages[0]
    assert (head["status"], (b"x", b"y") in head["headers"]) == (200, True)
    assert [event.data for event in Parser().feed(wire.body)] == [b"0", b"1", b"2", b"3", b"4", b"last"]
    assert wire.complete


async def test_the_head_is_sent_before_there_is_any_event():
    wire = Wire()
    stream = EventStream(wire.send)
    stream.open()
    await stream.written()
    assert [message["type"] for message in wire.messages] == ["http.response.start", "http.response.body"]
    stream.abandon()


async def test_a_reader_that_lags_loses_the_stream_once_and_nothing_before():
    wire, told = Wire(), []
    wire.gate.clear()
    stream = EventStream(wire.send, overflowed=lambda: told.append(1))
    sent = [stream.send(b"%d" % number) for number in range(BACKLOG_FRAMES + 50)]
    assert sent == [True] * BACKLOG_FRAMES + [False] * 50
    assert told == [1]
    stream.end()
    wire.gate.set()
    await stream.written()
    assert len(Parser().feed(wire.body)) == BACKLOG_FRAMES


async def test_a_backlog_is_bounded_in_bytes_too_but_one_large_message_fits():
    wire = Wire()
    wire.gate.clear()
    stream = EventStream(wire.send)
    assert stream.send(b"x" * 9_000_000)
    assert not stream.send(b"x")
    stream.abandon()


async def test_an_idle_stream_pings(monkeypatch):
    monkeypatch.setattr(event_stream, "PING_SECONDS", 0.005)
    wire = Wire()
    stream = EventStream(wire.send)
    with anyio.fail_after(5):
        for _ in range(3):
            wire.pinged.clear()
            await wire.pinged.wait()
    assert Parser().feed(wire.body) == []
    stream.end()
    await stream.written()
    count = wire.body.count(b": ping")
    await anyio.sleep(0.02)
    assert wire.body.count(b": ping") == count


async def test_a_client_that_is_gone_loses_everything_at_once():
    wire = Wire()
    wire.gate.clear()
    stream = EventStream(wire.send)
    stream.send(b"1")
    await anyio.wait_all_tasks_blocked()
    stream.abandon()
    with anyio.fail_after(5):
        await stream.written()
    assert wire.messages == []
    assert not stream.send(b"2")


async def test_a_broken_wire_ends_the_stream_quietly():
    wire = Wire()
    wire.broken = True
    stream = EventStream(wire.send)
    stream.send(b"1")
    with anyio.fail_after(5):
        await stream.written()
    assert stream.ended


async def test_last_frames_are_written_though_the_backlog_is_full():
    wire = Wire()
    wire.gate.clear()
    stream = EventStream(wire.send)
    while stream.send(b"x"):
        pass
    stream.close(b"data: last\n\n")
    stream.close(b"data: twice\n\n")
    wire.gate.set()
    await stream.written()
    assert [event.data for event in Parser().feed(wire.body)][-2:] == [b"x", b"last"]
    assert wire.complete


async def test_a_reply_of_one_event_has_its_length_and_no_line_end_inside():
    wire = Wire()
    await send_event(wire.send, b'"a"', b'"result":{\r\n"x":\n1}', [(b"x", b"y")])
    (event,) = Parser().feed(wire.body)
    assert json.loads(event.data) == {"jsonrpc": "2.0", "id": "a", "result": {"x": 1}}
    headers = dict(wire.messages[0]["headers"])
    assert headers[b"content-length"] == b"%d" % len(wire.body)
    assert (headers[b"content-type"], headers[b"x"]) == (b"text/event-stream", b"y")
    assert len(wire.messages) == 2


async def test_a_large_event_is_not_copied():
    wire = Wire()
    member = b'"result":{"x":"' + b"y" * 100_000 + b'"}'
    await send_event(wire.send, b"1", member)
    assert any(message.get("body") is member for message in wire.messages)
    assert dict(wire.messages[0]["headers"])[b"content-length"] == b"%d" % len(wire.body)
    assert json.loads(Parser().feed(wire.body)[0].data)["id"] == 1


async def test_the_disconnect_is_told_from_what_is_left_of_the_body():
    queue = [{"type": "http.request"}, {"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive():
        return queue.pop(0)

    await until_gone(receive)
    assert queue == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.binary(min_size=1, max_size=20), max_size=4), max_size=5))
def test_whatever_is_sent_arrives_however_the_loop_turns(bursts):
    async def main():
        wire = Wire()
        stream = EventStream(wire.send)
        for burst in bursts:
            for message in burst:
                stream.send(message)
            await asyncio.sleep(0)
        stream.end()
        await stream.written()
        return wire.body

    sent = [
        b"\n".join(message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
        for burst in bursts
        for message in burst
    ]
    assert [event.data for event in Parser().feed(asyncio.run(main()))] == sent
