"""One reply in events: a single write when quick, a stream that outlives its connection when not."""

import asyncio
import json

import anyio
import pytest

from mcp_orchestrator.core.wire.sse import Parser
from mcp_orchestrator.listeners import streamed_reply
from mcp_orchestrator.listeners.event_stream import EventStream
from mcp_orchestrator.listeners.replay import Shelf, Streams
from mcp_orchestrator.listeners.streamed_reply import StreamedReply

pytestmark = pytest.mark.anyio


class Peer:
    """An ASGI server with a client that may leave."""

    def __init__(self):
        self.messages = []
        self.gone = asyncio.Event()
        self.opened = asyncio.Event()
        self.complete = asyncio.Event()

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.messages.append(message)
        self.opened.set()
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.complete.set()
            self.gone.set()

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def events(self):
        return Parser().feed(self.body)


def made(*, primed=True):
    """A peer, the session's streams, and how often they were asked for."""
    peer, streams, asked = Peer(), Streams(Shelf(lambda: 0.0)), []

    def find():
        asked.append(1)
        return streams

    return peer, streams, asked, StreamedReply(peer.receive, peer.send, find, primed=primed)


async def back_at(streams, event_id):
    """The client comes back; what it hears."""
    peer = Peer()
    track, place = streams.find(event_id)
    wire = EventStream(peer.send)
    track.resume(wire, place, primed=True)
    return peer, track


async def test_a_quick_result_is_one_event_in_one_body_and_leaves_nothing_behind():
    peer, _streams, asked, reply = made()
    await reply.finish(1, b'"result":{}')
    assert [message["type"] for message in peer.messages] == ["http.response.start", "http.response.body"]
    assert peer.body == b'event: message\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\n'
    assert dict(peer.messages[0]["headers"])[b"content-length"] == b"%d" % len(peer.body)
    assert not reply.streaming
    assert asked == []
    assert {task for task in asyncio.all_tasks() if "StreamedReply" in repr(task)} == set()


async def test_a_message_before_the_result_begins_a_stream_that_can_be_resumed():
    peer, streams, asked, reply = made()
    assert reply.send(b'{"method":"n"}')
    assert reply.streaming
    await reply.finish(7, b'"error":{}')
    assert [event.id for event in peer.events] == ["1-0", "1-1", "1-2"]
    assert json.loads(peer.events[-1].data) == {"jsonrpc": "2.0", "id": 7, "error": {}}
    assert peer.complete.is_set()
    assert asked == [1]
    again, _track = await back_at(streams, b"1-1")
    with anyio.fail_after(5):
        await again.complete.wait()
    assert [event.id for event in again.events] == ["1-2"]


@pytest.mark.parametrize(("primed", "events"), [(True, ["1-0"]), (False, [])])
async def test_a_silent_call_that_lasts_gets_its_stream(monkeypatch, primed, events):
    monkeypatch.setattr(streamed_reply, "OPEN_AFTER", 0.001)
    peer, _streams, _asked, reply = made(primed=primed)
    with anyio.fail_after(5):
        await peer.opened.wait()
        await anyio.wait_all_tasks_blocked()
    assert [event.id for event in peer.events] == events
    assert reply.streaming
    await reply.finish(1, b'"result":{}')
    assert len(peer.events) == len(events) + 1


async def test_what_is_said_while_the_client_is_away_waits_for_it():
    peer, streams, _asked, reply = made()
    reply.send(b'"before"')
    await anyio.wait_all_tasks_blocked()
    peer.gone.set()
    await anyio.wait_all_tasks_blocked()
    assert reply.send(b'"meanwhile"')
    with anyio.fail_after(5):
        again, track = await back_at(streams, b"1-1")
        reply.send(b'"after"')
        await reply.finish(1, b'"result":{}')
        await again.complete.wait()
    assert [event.data for event in peer.events if event.data] == [b'"before"']
    assert [event.data for event in again.events if event.data] == [
        b'"meanwhile"',
        b'"after"',
        b'{"jsonrpc":"2.0","id":1,"result":{}}',
    ]
    assert track.finished


async def test_letting_go_ends_the_reply_but_not_the_call():
    peer, streams, _asked, reply = made()
    reply.let_go(0.5)
    with anyio.fail_after(5):
        await peer.complete.wait()
        assert [(event.id, event.retry) for event in peer.events] == [("1-0", 1000), (None, 500)]
        await reply.finish(1, b'"result":{}')
        again, _track = await back_at(streams, b"1-0")
        await again.complete.wait()
    assert again.events[-1].id == "1-1"
    assert len(peer.events) == 2


async def test_a_dropped_reply_leaves_nothing_running():
    peer, _streams, _asked, reply = made()
    reply.send(b"{}")
    reply.drop()
    await anyio.wait_all_tasks_blocked()
    assert {task for task in asyncio.all_tasks() if "Reply" in repr(task) or "EventStream" in repr(task)} == set()
    assert not peer.complete.is_set()
    made()[3].drop()
