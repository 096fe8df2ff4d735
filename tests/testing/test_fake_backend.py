import anyio
import pytest

from mcp_orchestrator.core.wire.jsonrpc import decode
from mcp_orchestrator.model.call import ClientFace, Era, Invocation
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.plugin_api import ListChanged, Opening
from mcp_orchestrator.testing.fake_backend import FakeBackend, FakeClock, FakeTalk, tool

pytestmark = pytest.mark.anyio
LEGACY = ClientFace(Era.LEGACY, "2025-11-25")


def invocation(name="echo", **arguments):
    return Invocation("r1", "tools/call", {"name": name, "arguments": arguments}, {"traceparent": "t"}, LEGACY)


async def test_it_opens_in_the_era_asked_for_or_the_first_it_speaks():
    both = FakeBackend("b", speaks=(Era.LEGACY, Era.MODERN))
    assert (await both.open(Opening(None))).era is Era.LEGACY
    assert (await both.open(Opening(Era.MODERN))).era is Era.MODERN
    assert [session.era for session in both.sessions] == [Era.LEGACY, Era.MODERN]
    with pytest.raises(BackendError, match="does not speak the modern era") as refused:
        await FakeBackend("old").open(Opening(Era.MODERN))
    assert refused.value.kind is FailureKind.BAD_ANSWER


async def test_it_refuses_to_open_as_told_and_keeps_openers_waiting_at_its_gate():
    backend = FakeBackend("b")
    backend.refuse = BackendError(FailureKind.UNAVAILABLE, "no such program")
    with pytest.raises(BackendError, match="no such program"):
        await backend.open(Opening(None))
    backend.refuse, backend.gate = None, anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.open, Opening(None))
            await anyio.wait_all_tasks_blocked()
            assert backend.sessions == []
            backend.gate.set()
    assert len(backend.sessions) == 1


async def test_it_offers_what_it_was_told_to():
    backend = FakeBackend("b")
    backend.tools = [tool("one", word={"type": "string"})]
    backend.prompts = [{"name": "p"}]
    offers = await (await backend.open(Opening(None))).offers()
    assert offers.of(OfferKind.TOOL)[0]["inputSchema"]["properties"] == {"word": {"type": "string"}}
    assert offers.of(OfferKind.PROMPT) == ({"name": "p"},)
    assert offers.of(OfferKind.TEMPLATE) == ()


async def test_an_echo_holds_all_that_reached_the_backend():
    session = await FakeBackend("b").open(Opening(None))
    outcome = await session.invoke(invocation(word="hi"), FakeTalk())
    assert isinstance(outcome, Completed)
    (block,) = decode(outcome.result)["content"]
    assert decode(block["text"].encode()) == {
        "method": "tools/call",
        "params": {"name": "echo", "arguments": {"word": "hi"}},
        "meta": {"traceparent": "t"},
    }
    assert [seen.params["name"] for seen in session.invocations] == ["echo"]


async def test_a_call_under_which_the_session_dies_is_told_so_and_is_no_longer_played():
    ended = anyio.Event()

    async def hang(_invocation, _talk):
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    backend = FakeBackend("b", play=hang)
    session = await backend.open(Opening(None))
    outcomes = []

    async def call():
        outcomes.append(await session.invoke(invocation(), FakeTalk()))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            session.die("exit code 9")
        await ended.wait()
        assert await session.wait_closed() == "exit code 9"
    (outcome,) = outcomes
    assert isinstance(outcome, Failed)
    assert outcome.kind is FailureKind.DIED
    assert not outcome.retryable


async def test_cancelling_a_call_ends_its_play():
    ended = anyio.Event()

    async def hang(_invocation, _talk):
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    session = await FakeBackend("b", play=hang).open(Opening(None))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.invoke, invocation(), FakeTalk())
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await ended.wait()


async def test_closing_may_be_repeated_and_ends_the_wait():
    session = await FakeBackend("b").open(Opening(None))
    await session.close()
    await session.close()
    assert session.closed
    assert await session.wait_closed() == "closed"


async def test_what_a_session_says_and_is_told_is_kept():
    heard = []
    session = await FakeBackend("b").open(Opening(None, on_event=heard.append))
    session.say(ListChanged(OfferKind.TOOL))
    await session.notify("notifications/roots/list_changed", {})
    assert heard == [ListChanged(OfferKind.TOOL)]
    assert session.notified == ["notifications/roots/list_changed"]


async def test_a_talk_keeps_what_it_hears_and_declines_unless_told_otherwise():
    talk = FakeTalk()
    talk.progress({"progress": 1})
    talk.notify("notifications/message", {"data": "x"})
    question = Question("elicitation/create", {"message": "?"})
    assert (await talk.ask(question)).result == {"action": "decline"}
    assert (talk.progressed, talk.asked) == ([{"progress": 1}], [question])
    assert talk.notified == [("notifications/message", {"data": "x"})]
    agreed = Answer({"action": "accept", "content": {}})
    assert await FakeTalk(agreed).ask(question) is agreed


def test_the_clock_moves_only_when_told():
    clock = FakeClock(5.0)
    assert clock() == clock() == 5.0
    clock.advance(2.5)
    assert clock() == 7.5
