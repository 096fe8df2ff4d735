"""What both legacy HTTP transports share, over a transport that a test plays by hand."""

import asyncio
import json

import anyio
import pytest
from http_kit import LEGACY_CLIENT

from mcp_orchestrator.backends.http_pool import Endpoint, HttpPool
from mcp_orchestrator.backends.mcp_http_legacy import LegacyHttpSession
from mcp_orchestrator.backends.mcp_http_session import PostingSession
from mcp_orchestrator.backends.mcp_sse import SseSession
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.errors import CONNECTION_CLOSED
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec, Secret, TransportKind
from mcp_orchestrator.plugin_api import Opening
from mcp_orchestrator.testing.fake_backend import FakeTalk

pytestmark = pytest.mark.anyio
ANSWERS = {
    "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "played"}},
    "tools/list": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]},
    "tools/call": {"content": [], "unknown": 1},
}


class Played(PostingSession):
    """Answers from `ANSWERS`; a method that is not there stays open."""

    def __init__(self, opening):
        url = "http://127.0.0.1:9/mcp"
        spec = BackendSpec("played", TransportKind.HTTP, url=Secret(url))
        endpoint = Endpoint.of(spec)
        super().__init__(spec, endpoint, HttpPool.of(spec, endpoint), opening)
        self.sent = []

    async def _say(self, method, params):
        self.sent.append({"method": method, "params": params})

    def _send(self, message, ident):
        body = json.loads(message)
        self.sent.append(body)
        if ident is not None:
            self.duplex.posts[ident] = self._spawn(self._carry(body["method"], ident))

    async def _carry(self, method, ident):
        if method not in ANSWERS:
            await anyio.sleep_forever()
        self.duplex.feed(json.dumps({"jsonrpc": "2.0", "id": ident, "result": ANSWERS[method]}).encode(), ident)

    async def close(self):
        self.duplex.end("was closed by this program")
        self._over.set()
        await self._drop()


@pytest.fixture
async def session():
    opening = Opening(Era.LEGACY, capabilities={"roots": {}}, client_info={"name": "ada", "version": "7"})
    made = Played(opening)
    yield made
    with anyio.fail_after(5):
        await made.close()


def call(method="tools/call"):
    return Invocation("r1", method, {"name": "echo", "arguments": {}}, {"traceparent": "t"}, LEGACY_CLIENT)


def test_both_transports_are_such_sessions():
    assert issubclass(LegacyHttpSession, PostingSession)
    assert issubclass(SseSession, PostingSession)


async def test_nothing_is_agreed_before_the_handshake(session):
    with pytest.raises(RuntimeError, match="not open"):
        _ = session.agreement
    await session._shake_hands(session._ask)
    assert (session.era, session.pid, session.agreement.version) == (Era.LEGACY, None, "2025-06-18")
    first, then = session.sent
    assert first["params"]["clientInfo"] == {"name": "ada", "version": "7"}
    assert first["params"]["capabilities"] == {"roots": {}}
    assert then["method"] == "notifications/initialized"


async def test_a_call_is_one_post_and_its_result_passes_untouched(session):
    await session._shake_hands(session._ask)
    outcome = await session.invoke(call(), FakeTalk())
    assert isinstance(outcome, Completed)
    assert outcome.era is Era.LEGACY
    assert json.loads(outcome.result) == ANSWERS["tools/call"]
    assert session.sent[-1]["params"]["_meta"] == {"traceparent": "t"}
    offers = await session.offers()
    assert [tool["name"] for tool in offers.tools] == ["echo"]
    assert (offers.version, offers.server_info) == ("2025-06-18", {"name": "played"})


async def test_a_notification_is_sent_and_the_end_is_told_to_calls_and_waiters(session):
    await session._shake_hands(session._ask)
    await session.notify("notifications/roots/list_changed", {})
    assert session.sent[-1]["method"] == "notifications/roots/list_changed"
    calling = asyncio.ensure_future(session.invoke(call("x/slow"), FakeTalk()))
    waiting = asyncio.ensure_future(session.wait_closed())
    await anyio.wait_all_tasks_blocked()
    with anyio.fail_after(5):
        await session.close()
        outcome, reason = await calling, await waiting
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.code) == (FailureKind.DIED, CONNECTION_CLOSED)
    assert reason == "backend played was closed by this program"
    assert not session._tasks


async def test_a_caller_that_leaves_takes_its_post_along_and_the_server_is_told(session):
    await session._shake_hands(session._ask)
    calling = asyncio.ensure_future(session.invoke(call("x/slow"), FakeTalk()))
    await anyio.wait_all_tasks_blocked()
    assert len(session._tasks) == 1
    calling.cancel()
    with anyio.fail_after(5):
        await asyncio.gather(calling, return_exceptions=True)
        await anyio.wait_all_tasks_blocked()
    assert not session._tasks
    assert session.sent[-1]["method"] == "notifications/cancelled"
