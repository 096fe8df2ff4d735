"""One listen request stays open towards a modern server, and follows what is wanted."""

import asyncio

import anyio
import pytest

from mcp_orchestrator.backends import mcp_watch
from mcp_orchestrator.backends.mcp_handshake import RpcError
from mcp_orchestrator.backends.mcp_watch import Watch, declared_for
from mcp_orchestrator.model.call import ClientFace, Era, Invocation
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.plugin_api import ListChanged, TasksAgreed

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


TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
UNTOLD = TasksAgreed(frozenset())


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(mcp_watch, "TOGETHER", 0.0)
    monkeypatch.setattr(mcp_watch, "OVERLAP", 0.0)


async def until(condition):
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - timers of the loop
            await anyio.sleep(0.001)


async def test_tasks_have_a_request_of_their_own_that_follows_the_set(quick):
    ear = Ear({**CHANGING, **TASKS})
    ear.watch.start()
    stops = [ear.watch.listen_for_task(task) for task in ("a", "b", "a")]
    await until(lambda: len(ear.open) == 2)
    assert [wanted for wanted, _ in ear.open] == [{"toolsListChanged": True}, {"taskIds": ["a", "b"]}]
    stops[0]()
    stops[0]()
    ear.watch.listen_for_task("c")
    await until(lambda: ear.log[-1] == ("closed", {"taskIds": ["a", "b"]}))
    assert [wanted for wanted, _ in ear.open][1:] == [{"taskIds": ["a", "b", "c"]}], "a is followed twice"
    assert ear.log[-2] == ("open", {"taskIds": ["a", "b", "c"]}), "the wider request is there before the old one goes"
    ear.watch.stop()
    await until(lambda: ear.open == [])
    assert ear.events == [UNTOLD]


async def test_the_last_task_that_nobody_follows_any_more_ends_the_request(quick):
    ear = Ear(TASKS)
    stop = ear.watch.listen_for_task("a")
    await until(lambda: ear.open)
    stop()
    await until(lambda: not ear.open)
    assert ear.events == [UNTOLD]


async def test_a_server_without_the_extension_is_never_asked_to_tell_of_tasks(quick):
    ear = Ear(CHANGING)
    ear.watch.listen_for_task("a")()
    await anyio.sleep(0.01)
    assert ear.log == []


async def test_a_server_that_refuses_to_tell_of_tasks_is_not_asked_again(quick):
    ear = Ear(TASKS)
    ear.watch.listen_for_task("a")
    await until(lambda: ear.open)
    ear.open[0][1].set_exception(RpcError(-32601, "no"))
    await until(lambda: ear.events == [UNTOLD])
    ear.watch.listen_for_task("b")
    await anyio.sleep(0.01)
    assert len([one for one in ear.log if one[0] == "open"]) == 1


async def test_a_request_for_tasks_that_the_server_ends_counts_as_withdrawn_until_it_is_open_again(quick, monkeypatch):
    again = asyncio.Event()

    async def pause(_seconds):
        await again.wait()

    ear = Ear(TASKS)
    ear.watch.listen_for_task("a")
    await until(lambda: ear.open)
    real = asyncio.sleep
    monkeypatch.setattr(mcp_watch.asyncio, "sleep", pause)
    ear.open[0][1].set_result(b"{}")
    for _ in range(20):
        await real(0)
    assert ear.events == [UNTOLD]
    again.set()
    for _ in range(20):
        await real(0)
    monkeypatch.undo()
    assert [wanted for wanted, _ in ear.open] == [{"taskIds": ["a"]}]
    ear.watch.stop()
    await until(lambda: not ear.open)


def test_a_request_for_tasks_declares_the_extension_and_no_other_does():
    able = {"roots": {}, "extensions": {"x": {}}}
    assert declared_for({"notifications": {"toolsListChanged": True}}, able) == able
    assert declared_for({"notifications": {"taskIds": ["a"]}}, able) == {
        "roots": {}, "extensions": {"x": {}, "io.modelcontextprotocol/tasks": {}},
    }  # fmt: skip
