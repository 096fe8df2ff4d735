"""One write per reply, and nothing ever held back for good."""

import asyncio

import pytest
from listener_wire import raw_request, serving

from mcp_orchestrator.listeners.http_protocol import OneWrite

pytestmark = pytest.mark.anyio
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Under:
    """A transport that keeps what it is told."""

    def __init__(self):
        self.writes = []
        self.done = []

    def write(self, data):
        self.writes.append(bytes(data))

    def __getattr__(self, name):
        return lambda *arguments: self.done.append((name, *arguments))


def pair():
    under = Under()
    return under, OneWrite(under, asyncio.get_running_loop())


async def test_head_and_body_leave_together_and_the_next_body_alone():
    under, transport = pair()
    transport.write(HEAD)
    assert under.writes == []
    transport.write(b"body")
    transport.write(b"more")
    transport.write(b"")
    await asyncio.sleep(0)
    assert under.writes == [HEAD + b"body", b"more"]


async def test_a_large_body_is_not_copied():
    under, transport = pair()
    transport.write(HEAD)
    transport.write(b"x" * 100_000)
    assert under.writes == [HEAD, b"x" * 100_000]


async def test_a_head_without_a_body_waits_for_the_next_turn_only():
    under, transport = pair()
    transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    await asyncio.sleep(0)
    assert under.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    transport.write(HEAD)
    transport.write(b"")
    assert under.writes[1] == HEAD


async def test_closing_writes_first_and_aborting_does_not():
    under, transport = pair()
    transport.write(HEAD)
    transport.close()
    assert (under.writes, under.done) == ([HEAD], [("close",)])
    under, transport = pair()
    transport.write(HEAD)
    transport.abort()
    await asyncio.sleep(0)
    assert (under.writes, under.done) == ([], [("abort",)])


async def test_all_else_is_the_connections_own():
    under, transport = pair()
    transport.pause_reading()
    transport.resume_reading()
    transport.is_closing()
    transport.get_extra_info("socket")
    names = [done[0] for done in under.done]
    assert names == ["pause_reading", "resume_reading", "is_closing", "get_extra_info"]


async def test_a_reply_without_a_body_arrives():
    async with serving() as served:
        assert (await raw_request(served.url, "HEAD", {}, path="/healthz"))[0] == 200
        expecting = {"expect": "100-continue", "content-type": "application/json"}
        assert (await raw_request(served.url, "POST", expecting, b"{}"))[0] == 100
