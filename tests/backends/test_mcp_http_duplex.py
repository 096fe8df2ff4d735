import asyncio
import json

import pytest

from mcp_orchestrator.backends.mcp_http_duplex import HttpDuplex

pytestmark = pytest.mark.anyio


class Posts:
    """Stands for the transport: every request becomes a task that waits."""

    def __init__(self):
        self.sent = []
        self.harmless = []
        self.duplex = HttpDuplex("raw", self.send, hear=lambda _: None, stray=lambda _: None)

    def send(self, message, ident):
        self.sent.append(json.loads(message))
        if ident is not None:
            self.harmless.append(self.duplex.harmless)
            self.duplex.posts[ident] = asyncio.ensure_future(asyncio.Event().wait())


async def test_a_request_waits_until_its_answer_and_its_post_is_left_to_end_by_itself():
    posts = Posts()
    request = asyncio.ensure_future(posts.duplex.request("tools/call", {}))
    await asyncio.sleep(0)
    post = posts.duplex.posts[1]
    assert posts.duplex.waits(1)
    assert not posts.duplex.waits(2)
    posts.duplex.feed(b'{"jsonrpc":"2.0","id":1,"result":{}}', 1)
    assert not posts.duplex.waits(1)
    assert await request == b"{}"
    assert not posts.duplex.posts
    assert not post.cancelled()
    post.cancel()


async def test_a_caller_who_leaves_tells_the_server_and_takes_the_post_along():
    posts = Posts()
    request = asyncio.ensure_future(posts.duplex.request("tools/call", {}))
    await asyncio.sleep(0)
    post = posts.duplex.posts[1]
    request.cancel()
    await asyncio.wait([request, post])
    assert post.cancelled()
    assert [message["method"] for message in posts.sent] == ["tools/call", "notifications/cancelled"]


async def test_only_reading_requests_may_be_sent_twice():
    posts = Posts()
    for method in ("tools/list", "tools/call", "resources/read"):
        request = asyncio.ensure_future(posts.duplex.request(method, {}))
        await asyncio.sleep(0)
        request.cancel()
        await asyncio.wait([request])
    assert posts.harmless == [True, False, True]
