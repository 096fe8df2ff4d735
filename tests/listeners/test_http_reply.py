"""One reply: JSON or events, watched only when it lasts."""

import asyncio
import json

import anyio
import pytest

from mcp_orchestrator.core.wire.sse import Parser
from mcp_orchestrator.listeners import http_reply
from mcp_orchestrator.listeners.http_reply import Reply

pytestmark = pytest.mark.anyio


class Peer:
    """An ASGI server with a client that may leave."""

    def __init__(self):
        self.messages = []
        self.gone = asyncio.Event()
        self.watched = asyncio.Event()
        self.pinged = asyncio.Event()

    async def receive(self):
        self.watched.set()
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.messages.append(message)
        if b": ping" in message.get("body", b""):
            self.pinged.set()

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.messages)


async def test_a_result_at_once_is_json_in_two_sends_and_nobody_watches():
    peer = Peer()
    reply = Reply(peer.receive, peer.send)
    await reply.finish(404, 1, b'"error":{}')
    assert [message["type"] for message in peer.messages] == ["http.response.start", "http.response.body"]
    assert peer.messages[0]["status"] == 404
    assert json.loads(peer.body) == {"jsonrpc": "2.0", "id": 1, "error": {}}
    assert not peer.watched.is_set()


async def test_a_large_result_is_not_copied_into_one():
    peer = Peer()
    member = b'"result":{"x":"' + b"y" * 100_000 + b'"}'
    await Reply(peer.receive, peer.send).finish(200, "k", member)
    assert any(message.get("body") is member for message in peer.messages)
    assert dict(peer.messages[0]["headers"])[b"content-length"] == b"%d" % len(peer.body)
    assert json.loads(peer.body)["id"] == "k"


async def test_a_message_before_the_result_makes_it_a_stream():
    peer = Peer()
    reply = Reply(peer.receive, peer.send)
    assert reply.send(b'{"method":"n"}')
    assert reply.streaming
    await reply.finish(404, 1, b'"error":{}')
    assert peer.messages[0]["status"] == 200
    events = [json.loads(event.data) for event in Parser().feed(peer.body)]
    assert events == [{"method": "n"}, {"jsonrpc": "2.0", "id": 1, "error": {}}]
    assert peer.messages[-1]["more_body"] is False


async def test_a_client_that_leaves_is_told_once():
    peer, told, left = Peer(), [], asyncio.Event()
    reply = Reply(peer.receive, peer.send)
    reply.on_leaving(lambda: (told.append(1), left.set()))
    with anyio.fail_after(5):
        await peer.watched.wait()
        peer.gone.set()
        await left.wait()
    assert reply.left
    assert not reply.send(b"{}")
    await reply.finish(200, 1, b'"result":{}')
    assert told == [1]


async def test_a_long_silence_becomes_a_stream_with_pings(monkeypatch):
    monkeypatch.setattr(http_reply, "PING_SECONDS", 0.06)
    peer = Peer()
    reply = Reply(peer.receive, peer.send)
    with anyio.fail_after(5):
        await peer.pinged.wait()
    await reply.finish(404, 1, b'"result":{}')
    assert len(Parser().feed(peer.body)) == 1


async def test_whole_messages_and_nothing_at_all():
    peer = Peer()
    await Reply(peer.receive, peer.send).finish_whole(b"[]")
    assert peer.body == b"[]"
    streamed = Peer()
    reply = Reply(streamed.receive, streamed.send)
    reply.send(b"{}")
    await reply.finish_whole(None)
    assert len(Parser().feed(streamed.body)) == 1
    assert streamed.messages[-1]["more_body"] is False


async def test_a_dropped_reply_leaves_nothing_running():
    peer = Peer()
    reply = Reply(peer.receive, peer.send)
    reply.send(b"{}")
    reply.drop()
    await anyio.wait_all_tasks_blocked()
    assert {task for task in asyncio.all_tasks() if "Reply" in repr(task) or "EventStream" in repr(task)} == set()
    assert not reply.send(b"{}")
