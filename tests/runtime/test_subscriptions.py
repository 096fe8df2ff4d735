"""One subscription upstream serves all who share a session, and outlives that session."""

import asyncio

import anyio
import pytest
from engines import Ear, asking, spec, whole

from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.plugin_api import ResourceUpdated, View
from mcp_orchestrator.runtime.lives import LifeKey
from mcp_orchestrator.testing.fake_backend import FakeBackend, echo

pytestmark = pytest.mark.anyio

MEMO = {"uri": "memo://a", "name": "a"}


def backend(name="one", **more):
    made = FakeBackend(name, **more)
    made.resources.append(MEMO)
    return made


def quiet(session):
    return ClientFace(Era.LEGACY, "2025-11-25", session=session)


def listening(session):
    """What a `subscriptions/listen` of a client that can be asked looks like to the gateway."""
    return ClientFace(Era.MODERN, "2026-07-28", {"elicitation": {}}, session=session)


async def ask(made, method, client, uri="memo://a"):
    call = Call(CallKind.SUBSCRIPTION, f"resources/{method}", uri, {"uri": uri}, {}, client)
    return await made.gateway.start(call, Ear(Answer({}))).outcome()


def sent(session):
    return [(each.method.removeprefix("resources/"), each.params["uri"]) for each in session.invocations]


def ears(made, *sessions):
    heard = {session: [] for session in sessions}
    for session, mine in heard.items():

        def hear(event, mine=mine):
            if isinstance(event, ResourceUpdated):
                mine.append(event.params["uri"])

        made.gateway.watch(View(Era.LEGACY), session, hear)
    return heard


async def until(condition):
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - what ends tells nobody
            await asyncio.sleep(0.005)


async def test_the_backend_is_asked_for_the_first_and_told_of_the_last_only(tmp_path):
    one = backend()
    async with whole(tmp_path, one) as made:
        heard = ears(made, "s1", "s2", "l1")
        for client in (quiet("s1"), quiet("s2"), listening("l1")):
            assert isinstance(await ask(made, "subscribe", client), Completed)
        one.sessions[0].say(ResourceUpdated({"uri": "memo://a"}))
        assert heard == {"s1": ["memo://a"], "s2": ["memo://a"], "l1": ["memo://a"]}
        await ask(made, "unsubscribe", quiet("s1"))
        made.gateway.session_closed("s2")
        assert sent(one.sessions[0]) == [("subscribe", "memo://a")]
        made.gateway.session_closed("l1")
        await until(lambda: len(sent(one.sessions[0])) == 2)
        assert sent(one.sessions[0])[-1] == ("unsubscribe", "memo://a")
        assert len(one.sessions) == 1


async def test_subscriptions_at_the_same_time_ask_the_backend_once(tmp_path):
    gate = asyncio.Event()

    async def slow(invocation, talk):
        await gate.wait()
        return await echo(invocation, talk)

    one = backend(play=slow)
    async with whole(tmp_path, one) as made:
        asked = [asyncio.ensure_future(ask(made, "subscribe", quiet(f"s{n}"))) for n in range(5)]
        await until(lambda: sent(one.sessions[0]))
        gate.set()
        assert all(isinstance(outcome, Completed) for outcome in await asyncio.gather(*asked))
        assert sent(one.sessions[0]) == [("subscribe", "memo://a")]


async def test_a_refusal_is_passed_on_and_nothing_is_kept(tmp_path):
    async def refuse(_invocation, _talk):
        return Failed(FailureKind.BACKEND_ERROR, -32601, "no such method")

    one = backend(play=refuse)
    async with whole(tmp_path, one) as made:
        outcome = await ask(made, "subscribe", quiet("s1"))
        assert (outcome.code, outcome.message) == (-32601, "no such method")
        assert not made.gateway.subscriptions._channels
        one.play = echo
        assert isinstance(await ask(made, "subscribe", quiet("s1")), Completed)


async def test_a_backend_that_comes_back_is_subscribed_to_anew_and_everybody_is_told(tmp_path):
    one = backend()
    async with whole(tmp_path, one) as made:
        heard = ears(made, "s1", "s2")
        for session in heard:
            await ask(made, "subscribe", quiet(session))
        one.sessions[0].die()
        await until(lambda: len(one.sessions) > 1 and sent(one.sessions[-1]))
        assert sent(one.sessions[-1]) == [("subscribe", "memo://a")]
        await until(lambda: heard == {"s1": ["memo://a"], "s2": ["memo://a"]})
        one.sessions[-1].say(ResourceUpdated({"uri": "memo://a"}))
        assert heard == {"s1": ["memo://a"] * 2, "s2": ["memo://a"] * 2}


async def test_a_session_that_was_replaced_under_a_subscription_is_subscribed_to_anew(tmp_path):
    one = backend()
    one.resources.append({"uri": "memo://b", "name": "b"})
    async with whole(tmp_path, one) as made:
        await ask(made, "subscribe", quiet("s1"))
        await made.supervisor("one").restart()
        await ask(made, "subscribe", quiet("s1"), "memo://b")
        await until(lambda: len(sent(one.sessions[-1])) == 2)
        assert sorted(sent(one.sessions[-1])) == [("subscribe", "memo://a"), ("subscribe", "memo://b")]


async def test_nobody_is_woken_for_a_backend_that_nobody_hears_of_any_more(tmp_path):
    one = backend()
    async with whole(tmp_path, one) as made:
        await ask(made, "subscribe", quiet("s1"))
        await ask(made, "unsubscribe", quiet("s1"))
        one.sessions[0].die()
        await until(lambda: one.sessions[0].closed)
        await asyncio.sleep(0.6)
        assert len(one.sessions) == 1


async def test_a_client_with_a_backend_session_of_its_own_hears_that_one_alone(tmp_path):
    one = backend()
    async with whole(tmp_path, one) as made:
        heard = ears(made, "mine", "other")
        await ask(made, "subscribe", asking("mine"))
        await ask(made, "subscribe", quiet("other"))
        shared, own = one.sessions
        own.say(ResourceUpdated({"uri": "memo://a"}))
        assert heard == {"mine": ["memo://a"], "other": []}
        shared.say(ResourceUpdated({"uri": "memo://a"}))
        assert heard == {"mine": ["memo://a"], "other": ["memo://a"]}
        made.gateway.session_closed("mine")
        await until(lambda: own.closed)
        await asyncio.sleep(0.6)
        assert len(one.sessions) == 2, "the session of a client that left is not opened again"


async def test_uris_are_told_as_the_client_knows_them_parts_of_a_resource_too(tmp_path):
    one, two = backend("one"), backend("two")
    async with whole(tmp_path, one, two) as made:
        heard = ears(made, "s1")
        assert isinstance(await ask(made, "subscribe", quiet("s1"), "mcp://one/memo://a"), Completed)
        assert sent(one.sessions[0]) == [("subscribe", "memo://a")]
        for uri in ("memo://a", "memo://a/part", "memo://ab", "memo://b"):
            one.sessions[0].say(ResourceUpdated({"uri": uri}))
            two.sessions[0].say(ResourceUpdated({"uri": uri}))
        assert heard["s1"] == ["mcp://one/memo://a", "mcp://one/memo://a/part"]


@pytest.mark.parametrize("era", list(Era))
async def test_one_who_hears_no_more_is_told_no_more_and_the_others_are(tmp_path, era):
    one = backend(speaks=(era,))  # a legacy client finds out by its first subscription which era there is
    async with whole(tmp_path, one) as made:
        heard = ears(made, "s1", "s2")
        for name in ("s1", "s2"):
            assert isinstance(await ask(made, "subscribe", quiet(name)), Completed)
        (session,) = [each for each in one.sessions if each.invocations]
        assert isinstance(await ask(made, "unsubscribe", quiet("s1")), Completed)
        session.say(ResourceUpdated({"uri": "memo://a"}))
        assert heard == {"s1": [], "s2": ["memo://a"]}
        assert sent(session) == [("subscribe", "memo://a")]
        await ask(made, "unsubscribe", quiet("s2"))
        assert sent(session)[1:] == [("unsubscribe", "memo://a")]


async def test_a_backend_of_both_eras_tells_each_client_once(tmp_path):
    one = backend(speaks=(Era.MODERN, Era.LEGACY))
    async with whole(tmp_path, one) as made:
        heard = ears(made, "s1", "l1")
        await ask(made, "subscribe", quiet("s1"))
        await ask(made, "subscribe", listening("l1"))
        for session in one.sessions:
            made.gateway.heard(made.supervisor("one"), LifeKey(session.era), ResourceUpdated({"uri": "memo://a"}))
        assert heard == {"s1": ["memo://a"], "l1": ["memo://a"]}


async def test_a_resource_nobody_has_is_refused_without_asking_anybody(tmp_path):
    one, two = backend("one"), backend("two")
    async with whole(tmp_path, one, two) as made:
        assert isinstance(await ask(made, "subscribe", quiet("s1"), "nobody://knows"), Failed)
        assert sent(one.sessions[0]) == sent(two.sessions[0]) == []


async def test_a_backend_that_never_answers_times_out(tmp_path):
    async def never(_invocation, _talk):
        await asyncio.Event().wait()

    one = backend(play=never)
    async with whole(tmp_path, one, specs=[spec("one", timeout=0.05)]) as made:
        outcome = await ask(made, "subscribe", quiet("s1"))
        assert outcome.kind is FailureKind.TIMEOUT
        assert not made.gateway.subscriptions._channels
