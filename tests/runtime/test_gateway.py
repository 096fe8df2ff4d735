"""The gateway answers lists at once, calls by plan, and tells clients what changed."""

import anyio
import pytest
from engines import MODERN, QUIET, Ear, FakeBackend, Whole, asking, tool_call, whole

from mcp_orchestrator.core.wire.jsonrpc import decode
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era
from mcp_orchestrator.model.catalog import OfferKind, Offers
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.plugin_api import LogLine, Notice, ResourceUpdated, View
from mcp_orchestrator.testing.fake_backend import tool

pytestmark = pytest.mark.anyio


MODERN_VIEW = View(Era.MODERN)


async def names(made, view=MODERN_VIEW):
    return [entry["name"] for entry in decode(await made.gateway.listing(view, OfferKind.TOOL, None))["tools"]]


async def test_tools_of_all_backends_are_one_list(tmp_path):
    async with whole(tmp_path, FakeBackend("one"), FakeBackend("two")) as made:
        assert await names(made) == ["one__echo", "two__echo"]
        assert await names(made, View(Era.MODERN, "narrow")) == ["one__echo"]
        assert made.gateway.has_profile("narrow")
        assert not made.gateway.has_profile("broad")


async def test_remembered_offers_are_listed_while_their_backend_has_not_even_started(tmp_path):
    made = Whole(tmp_path, FakeBackend("one"))
    made.supervisor("one").remember({Era.LEGACY: Offers("one", Era.LEGACY, "", tools=(tool("old"),))}, {})
    assert await names(made) == ["one__old"]
    assert not made.backends["one"].sessions
    await made.stop()


async def test_a_backend_that_hangs_at_its_start_delays_lists_only_while_it_is_young(tmp_path):
    slow, good = FakeBackend("slow"), FakeBackend("good")
    slow.gate = anyio.Event()
    made = Whole(tmp_path, slow, good, list_wait=0.05)
    for supervisor in made.gateway.generation.supervisors.values():
        supervisor.start()
    with anyio.fail_after(2):
        assert await names(made) == ["good__echo"]
    made.clock.advance(10)
    with anyio.fail_after(0.5):
        assert await names(made) == ["good__echo"]
    heard = []
    made.gateway.watch(View(Era.MODERN), None, heard.append)
    slow.gate.set()
    with anyio.fail_after(2):
        while not heard:
            await anyio.lowlevel.checkpoint()
    assert await names(made) == ["good__echo", "slow__echo"]
    await made.stop()


async def test_a_call_of_a_tool_that_is_not_known_yet_waits_for_its_backend(tmp_path):
    slow, good = FakeBackend("slow"), FakeBackend("good")
    slow.gate = anyio.Event()
    made = Whole(tmp_path, slow, good)
    for supervisor in made.gateway.generation.supervisors.values():
        supervisor.start()
    run = made.gateway.start(tool_call("slow__echo"), Ear())
    await anyio.wait_all_tasks_blocked()
    slow.gate.set()
    assert isinstance(await run.outcome(), Completed)
    await made.stop()


async def test_a_call_of_a_tool_that_is_not_known_yet_is_not_passed_to_the_only_server_that_is(tmp_path):
    slow, good = FakeBackend("slow"), FakeBackend("good")
    slow.gate = anyio.Event()
    made = Whole(tmp_path, slow, good)
    for supervisor in made.gateway.generation.supervisors.values():
        supervisor.start()
    await made.supervisor("good").settled.wait()
    run = made.gateway.start(tool_call("slow__echo"), Ear())
    await anyio.wait_all_tasks_blocked()
    slow.gate.set()
    assert isinstance(await run.outcome(), Completed)
    assert [one.method for session in good.sessions for one in session.invocations] == []
    await made.stop()


async def test_a_hung_backend_does_not_delay_calls_of_the_others(tmp_path):
    hung, good = FakeBackend("hung"), FakeBackend("good")
    hung.gate = anyio.Event()
    made = Whole(tmp_path, hung, good, list_wait=0.05)
    for supervisor in made.gateway.generation.supervisors.values():
        supervisor.start()
    with anyio.fail_after(1):
        assert isinstance(await made.call("good__echo"), Completed)
    hung.gate.set()
    await made.stop()


async def test_the_face_is_made_of_all_backends_of_the_view(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        capabilities, instructions = await made.gateway.face(View(Era.LEGACY))
        assert capabilities["tools"] == {"listChanged": True}
        assert instructions is None


async def test_a_subscription_is_noted_once_the_backend_agreed_and_updates_reach_that_session(tmp_path):
    backend = FakeBackend("one")
    backend.resources.append({"uri": "memo://a", "name": "a"})
    async with whole(tmp_path, backend) as made:
        client = asking("s1")
        heard, others = [], []
        made.gateway.watch(View(Era.LEGACY), "s1", heard.append)
        made.gateway.watch(View(Era.LEGACY), "s2", others.append)
        params = {"uri": "memo://a"}
        call = Call(CallKind.SUBSCRIPTION, "resources/subscribe", "memo://a", params, {}, client)
        await made.gateway.start(call, Ear()).outcome()
        await made.gateway.settle_down()
        own = backend.sessions[-1]
        assert own.opening.exclusive
        own.say(ResourceUpdated({"uri": "memo://a"}))
        assert heard == [ResourceUpdated({"uri": "memo://a"})]
        own.say(LogLine({"level": "info", "data": "x"}))
        assert heard[-1] == LogLine({"level": "info", "data": "x"})
        own.say(Notice("notifications/elicitation/complete", {"elicitationId": "e"}))
        assert heard[-1] == Notice("notifications/elicitation/complete", {"elicitationId": "e"})
        assert others == []


async def test_what_a_shared_session_says_outside_of_calls_reaches_the_legacy_clients_of_its_server(tmp_path):
    backend = FakeBackend("two")
    async with whole(tmp_path, FakeBackend("one"), backend) as made:
        quiet, narrow, listening, own = [], [], [], []
        await made.call("two__echo", asking("able"))
        made.gateway.watch(View(Era.LEGACY), "quiet", quiet.append)
        made.gateway.watch(View(Era.LEGACY, "narrow"), "narrow", narrow.append)
        made.gateway.watch(View(Era.LEGACY), "able", own.append)
        made.gateway.watch(View(Era.MODERN), None, listening.append)
        line = LogLine({"level": "error", "data": "disk full"}, common=True)
        shared = next(session for session in backend.sessions if not session.opening.exclusive)
        shared.say(line)
        assert (quiet, narrow, listening, own) == ([line], [], [], [])


async def test_one_client_may_stop_hearing_of_a_resource_without_silencing_the_others(tmp_path):
    backend = FakeBackend("one")
    backend.resources.append({"uri": "memo://a", "name": "a"})
    async with whole(tmp_path, backend) as made:

        async def ask(method, session):
            client = ClientFace(Era.LEGACY, "2025-11-25", session=session)
            call = Call(CallKind.SUBSCRIPTION, method, "memo://a", {"uri": "memo://a"}, {}, client)
            assert isinstance(await made.gateway.start(call, Ear()).outcome(), Completed)
            await made.gateway.settle_down()

        for session in ("s1", "s2"):
            await ask("resources/subscribe", session)
        await ask("resources/unsubscribe", "s1")
        heard = {"s1": [], "s2": []}
        for session, ears in heard.items():
            made.gateway.watch(View(Era.LEGACY), session, ears.append)
        backend.sessions[0].say(ResourceUpdated({"uri": "memo://a"}))
        assert (heard["s1"], len(heard["s2"])) == ([], 1)
        await ask("resources/unsubscribe", "s2")
        sent = [invocation.method for invocation in backend.sessions[0].invocations]
        assert (sent.count("resources/subscribe"), sent.count("resources/unsubscribe")) == (1, 1)


async def test_a_subscription_that_nobody_hears_any_more_is_withdrawn_from_the_shared_session(tmp_path):
    backend = FakeBackend("one", speaks=(Era.MODERN,))
    backend.resources.append({"uri": "memo://a", "name": "a"})
    async with whole(tmp_path, backend) as made:
        for session in ("listen-1", "listen-2"):
            client = ClientFace(Era.MODERN, "2026-07-28", {"elicitation": {}}, session=session)
            call = Call(CallKind.SUBSCRIPTION, "resources/subscribe", "memo://a", {"uri": "memo://a"}, {}, client)
            await made.gateway.start(call, Ear()).outcome()
            await made.gateway.settle_down()
        assert len(backend.sessions) == 1
        for session, withdrawn in (("listen-1", 0), ("listen-2", 1)):
            made.gateway.session_closed(session)
            await anyio.wait_all_tasks_blocked()
            sent = [invocation.method for invocation in backend.sessions[0].invocations]
            assert sent.count("resources/unsubscribe") == withdrawn


async def test_a_client_session_that_ends_takes_its_backend_sessions_along(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        await made.call("one__echo", asking("s1"))
        made.gateway.session_closed("s1")
        with anyio.fail_after(2):
            while not backend.sessions[-1].closed:
                await anyio.lowlevel.checkpoint()


async def test_notifications_of_a_client_reach_its_own_backend_sessions(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        await made.call("one__echo", asking("s1"))
        await made.gateway.client_notified("s1", "notifications/roots/list_changed", {})
        assert backend.sessions[-1].notified == ["notifications/roots/list_changed"]
        assert backend.sessions[0].notified == []


async def test_an_unknown_tool_of_several_backends_is_refused(tmp_path):
    async with whole(tmp_path, FakeBackend("one"), FakeBackend("two")) as made:
        outcome = await made.call("nothing__here", QUIET)
        assert isinstance(outcome, Failed)
        assert outcome.retryable


async def test_a_schema_with_headers_is_given_to_the_listener_and_others_are_not(tmp_path):
    backend = FakeBackend("one")
    backend.tools = [tool("a", r={"type": "string", "x-mcp-header": "R"}), tool("b")]
    async with whole(tmp_path, backend) as made:
        assert made.gateway.header_schema(View(Era.MODERN), "one__a") is not None
        assert made.gateway.header_schema(View(Era.MODERN), "one__b") is None
        assert made.gateway.plan(tool_call("one__b", MODERN)).target is not None


async def test_an_early_call_waits_for_its_own_server_and_for_no_other(tmp_path):
    hung, soon = FakeBackend("hung"), FakeBackend("soon")
    hung.gate, soon.gate = anyio.Event(), anyio.Event()
    made = Whole(tmp_path, hung, soon)
    for name in ("hung", "soon"):
        made.supervisor(name).start()
    run = made.gateway.start(tool_call("soon__echo"), Ear())
    await anyio.wait_all_tasks_blocked()
    soon.gate.set()
    with anyio.fail_after(2):
        assert isinstance(await run.outcome(), Completed)
    await made.stop()


async def test_an_early_call_is_not_passed_to_the_only_server_that_is_known_so_far(tmp_path):
    first, second = FakeBackend("first"), FakeBackend("second")
    second.gate = anyio.Event()
    made = Whole(tmp_path, first, second)
    for name in ("first", "second"):
        made.supervisor(name).start()
    await made.supervisor("first").settled.wait()
    run = made.gateway.start(tool_call("second__echo"), Ear())
    await anyio.wait_all_tasks_blocked()
    second.gate.set()
    with anyio.fail_after(2):
        assert isinstance(await run.outcome(), Completed)
    assert not any(session.invocations for session in first.sessions)
    await made.stop()


async def test_a_tool_of_a_server_that_never_came_up_says_why(tmp_path):
    down = FakeBackend("down")
    down.refuse = BackendError(FailureKind.UNAVAILABLE, "connection refused")
    async with whole(tmp_path, FakeBackend("up"), down) as made:
        for name in ("down__echo", "down.echo"):
            refused = await made.call(name)
            assert refused.kind is FailureKind.UNAVAILABLE
            assert refused.retryable
            assert refused.message.startswith("server 'down' is not available")
            assert "connection refused" in refused.message
        assert (await made.call("up__nothing")).kind is FailureKind.UNKNOWN_NAME
