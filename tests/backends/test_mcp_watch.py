"""One listen request stays open towards a modern server, and follows what is wanted."""

import asyncio

import anyio
import pytest

from mcp_orchestrator.backends import mcp_watch
from mcp_orchestrator.backends.mcp_handshake import RpcError
from mcp_orchestrator.backends.mcp_watch import Watch
from mcp_orchestrator.model.call import ClientFace, Era, Invocation
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.plugin_api import ListChanged

pytestmark = pytest.mark.anyio
CHANGING = {"tools": {"listChanged": True}, "prompts": {"listChanged": False}, "resources": {"subscribe": True}}


class Ear:
    def __init__(self, capabilities=CHANGING):
        self.open, self.log, self.events = [], [], []
        self.watch = Watch(self.listen, capabilities, self.events.append)

    async def listen(self, params):
        wanted = params["notifications"]
        end = asyncio.get_running_loop().create_future()
        self.open.append((wanted, end))
        self.log.append(("open", wanted))
        try:
            return await end
        finally:
            self.open.remove((wanted, end))
            self.log.append(("closed", wanted))


async def settle():
    for _ in range(8):
        await anyio.lowlevel.checkpoint()


async def test_what_the_server_advertises_is_listened_for_without_waiting():
    ear = Ear()
    ear.watch.start()
    assert ear.open == []
    await settle()
    assert [wanted for wanted, _ in ear.open] == [{"toolsListChanged": True}]
    ear.watch.stop()
    await settle()
    assert ear.open == []


@pytest.mark.parametrize("capabilities", [{}, {"tools": {}}, {"tools": {"listChanged": 1}, "prompts": True}])
async def test_nothing_is_opened_for_a_server_that_never_changes(capabilities):
    ear = Ear(capabilities)
    ear.watch.start()
    await settle()
    assert ear.log == []
    ear.watch.stop()


async def test_a_subscription_opens_the_wider_request_before_it_ends_the_old_one():
    ear = Ear()
    ear.watch.start()
    await settle()
    ear.watch.subscribe("a:b")
    ear.watch.subscribe("a:b")
    await settle()
    wide = {"toolsListChanged": True, "resourceSubscriptions": ["a:b"]}
    assert ear.log == [("open", {"toolsListChanged": True}), ("open", wide), ("closed", {"toolsListChanged": True})]
    ear.watch.unsubscribe("a:b")
    ear.watch.unsubscribe("never")
    await settle()
    assert [wanted for wanted, _ in ear.open] == [{"toolsListChanged": True}]
    ear.watch.stop()
    await settle()


async def test_the_last_unsubscription_ends_it_where_nothing_else_is_wanted():
    ear = Ear({})
    ear.watch.subscribe("a:b")
    await settle()
    assert len(ear.open) == 1
    ear.watch.unsubscribe("a:b")
    await settle()
    assert ear.open == []


@pytest.mark.parametrize("error", [RpcError(-32601, "no"), BackendError(FailureKind.DIED, "gone")])
async def test_a_refusal_is_final(error):
    ear = Ear()
    ear.watch.start()
    await settle()
    ear.open[0][1].set_exception(error)
    await settle()
    assert (ear.open, ear.events) == ([], [])


async def test_a_request_that_the_server_ends_is_opened_again_and_what_was_missed_is_assumed_changed(monkeypatch):
    pauses = []

    async def no_pause(seconds):
        pauses.append(seconds)

    ear = Ear()
    monkeypatch.setattr(mcp_watch.asyncio, "sleep", no_pause)
    ear.watch.start()
    for _ in range(10):
        await settle()
        if ear.open:
            ear.open[0][1].set_result(b"{}")
    await settle()
    monkeypatch.undo()
    assert ear.open == [], "a server that ends it again and again is left alone"
    assert pauses == [1, 2, 4, 8, 16, 30]
    assert ear.events == [ListChanged(OfferKind.TOOL)] * 6


async def test_the_subscription_methods_that_modern_servers_lack_widen_and_narrow_what_is_listened_for():
    def asked(method, **params):
        return Invocation("r1", method, params, {}, ClientFace(Era.LEGACY, "2025-11-25"))

    ear = Ear({})
    ear.watch.start()
    assert ear.watch.subscription(asked("resources/read", uri="a:b")) is None
    done = ear.watch.subscription(asked("resources/subscribe", uri="a:b"))
    assert (done.result, done.era) == (b'{"resultType":"complete"}', Era.MODERN)
    assert ear.watch.subscription(asked("resources/subscribe")) == done
    await settle()
    assert [wanted for wanted, _ in ear.open] == [{"resourceSubscriptions": ["a:b"]}]
    assert ear.watch.subscription(asked("resources/unsubscribe", uri="a:b")) == done
    await settle()
    assert ear.open == []
