"""A supervisor keeps one backend usable: era, sessions, restarts, offers."""

import anyio
import anyio.lowlevel
import pytest
from engines import MODERN, QUIET, Ear, FakeBackend, Whole, asking, spec, whole

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind, Offers
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import Completed, FailureKind
from mcp_orchestrator.model.snapshot import EraPolicy, StartPolicy
from mcp_orchestrator.plugin_api import ListChanged, View
from mcp_orchestrator.runtime.record import State
from mcp_orchestrator.testing.fake_backend import echo, tool

pytestmark = pytest.mark.anyio
BOTH = (Era.MODERN, Era.LEGACY)


async def test_a_backend_is_probed_once_and_the_verdict_is_remembered(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        assert made.supervisor("one").eras.verdicts == {Era.LEGACY: True, Era.MODERN: False}
        await made.gateway.settle_down()
        assert made.store.eras == {"one": {Era.LEGACY: True, Era.MODERN: False}}


async def test_each_client_is_served_in_its_own_era_where_the_backend_has_both(tmp_path):
    async with whole(tmp_path, FakeBackend("one", speaks=BOTH)) as made:
        for client in (MODERN, QUIET):
            lease = await made.supervisor("one").lease(client)
            assert lease.session.era is client.era
            lease.release()


async def test_a_legacy_client_is_bridged_to_a_backend_that_is_only_modern(tmp_path):
    async with whole(tmp_path, FakeBackend("one", speaks=(Era.MODERN,))) as made:
        lease = await made.supervisor("one").lease(QUIET)
        assert lease.session.era is Era.MODERN
        lease.release()
        assert made.supervisor("one").eras.verdicts[Era.LEGACY] is False


async def test_clients_that_can_be_asked_get_legacy_sessions_of_their_own(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        leases = [
            await made.supervisor("one").lease(client) for client in (asking("a"), asking("b"), asking("a"), QUIET)
        ]
        sessions = [lease.session for lease in leases]
        assert sessions[0] is sessions[2]
        assert len({id(session) for session in sessions}) == 3
        assert sessions[0].opening.exclusive
        assert not sessions[3].opening.exclusive
        for lease in leases:
            lease.release()
        made.supervisor("one").client_gone("a")
        with anyio.fail_after(2):
            while not sessions[0].closed:
                await anyio.lowlevel.checkpoint()
        assert not sessions[1].closed


async def test_a_remembered_era_that_proves_wrong_is_probed_again(tmp_path):
    made = Whole(tmp_path, FakeBackend("one", speaks=(Era.LEGACY,)))
    supervisor = made.supervisor("one")
    supervisor.remember({}, {Era.MODERN: True})
    with pytest.raises(BackendError):
        await supervisor.lease(MODERN)
    made.clock.advance(10)
    lease = await supervisor.lease(MODERN)
    assert lease.session.era is Era.LEGACY
    lease.release()
    await made.stop()


async def test_a_fixed_era_is_the_only_one_tried(tmp_path):
    backend = FakeBackend("one", speaks=BOTH)
    async with whole(tmp_path, backend, specs=[spec("one", era=EraPolicy.LEGACY)]) as made:
        assert {session.era for session in backend.sessions} == {Era.LEGACY}
        assert isinstance(await made.call("one__echo"), Completed)


async def test_a_backend_that_cannot_start_is_settled_and_tried_again_only_after_a_pause(tmp_path):
    backend = FakeBackend("one")
    backend.refuse = BackendError(FailureKind.UNAVAILABLE, "command not found: none")
    async with whole(tmp_path, backend) as made:
        supervisor = made.supervisor("one")
        assert supervisor.state is State.WAITING
        backend.refuse = None
        with pytest.raises(BackendError, match="next try in"):
            await supervisor.lease(MODERN)
        made.clock.advance(1)
        (await supervisor.lease(MODERN)).release()
        assert supervisor.state is State.READY
        assert "backend.failed" in made.journal.kinds()


async def test_a_session_that_dies_is_replaced_at_the_next_call_without_a_pause(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        backend.sessions[0].die()
        await anyio.wait_all_tasks_blocked()
        assert isinstance(await made.call("one__echo"), Completed)
        assert len(backend.sessions) == 2
        assert made.supervisor("one").record.restarts == 1


async def test_a_backend_that_keeps_dying_is_given_longer_and_longer_pauses(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        supervisor = made.supervisor("one")
        for _ in range(3):
            (await supervisor.lease(MODERN)).release()
            backend.sessions[-1].die()
            await anyio.wait_all_tasks_blocked()
            made.clock.advance(supervisor.record.retry_at - made.clock.now if supervisor.record.retry_at else 0)
        assert supervisor.record.failures == 3


async def test_an_eager_backend_comes_back_by_itself(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend, specs=[spec("one", start=StartPolicy.EAGER)]):
        backend.sessions[0].die()
        with anyio.fail_after(2):
            while len(backend.sessions) < 2:
                await anyio.lowlevel.checkpoint()


async def test_an_idle_lazy_backend_is_stopped_and_a_used_one_is_not(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend, specs=[spec("one", idle_stop=0.05)]) as made:
        lease = await made.supervisor("one").lease(MODERN)
        made.clock.advance(100)
        with anyio.move_on_after(0.2):
            await backend.sessions[0].wait_closed()
        assert not backend.sessions[0].closed
        lease.release()
        made.clock.advance(100)
        with anyio.fail_after(2):
            await backend.sessions[0].wait_closed()
        await anyio.wait_all_tasks_blocked()
        assert made.supervisor("one").state is State.IDLE


async def test_offers_are_fetched_again_when_the_backend_says_they_changed(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        heard = []
        made.gateway.announcements.watch(None, None, heard.append)
        backend.tools.append(tool("second"))
        backend.sessions[0].say(ListChanged(OfferKind.TOOL))
        with anyio.fail_after(2):
            while not heard:
                await anyio.lowlevel.checkpoint()
        assert heard == [ListChanged(OfferKind.TOOL)]
        assert isinstance(await made.call("one__second"), Completed)


async def test_idle_sessions_make_room_and_for_busy_ones_one_waits(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend, specs=[spec("one", max_sessions=2)]) as made:
        supervisor = made.supervisor("one")
        first = await supervisor.lease(asking("a"))
        with anyio.move_on_after(0.05) as waiting:
            await supervisor.lease(asking("b"))
        assert waiting.cancelled_caught
        async with anyio.create_task_group() as group:
            group.start_soon(supervisor.lease, asking("b"))
            await anyio.wait_all_tasks_blocked()
            first.release()
        assert [session.closed for session in backend.sessions] == [False, True, False]


async def test_a_backend_that_was_down_at_the_start_is_looked_for_until_it_is_seen(tmp_path):
    backend = FakeBackend("one")
    backend.refuse = BackendError(FailureKind.UNAVAILABLE, "connection refused")
    async with whole(tmp_path, backend) as made:
        assert not made.supervisor("one").record.offers
        backend.refuse = None
        made.clock.advance(60)
        with anyio.fail_after(5):
            while not made.supervisor("one").record.offers:
                await anyio.lowlevel.checkpoint()


async def test_a_question_outside_of_any_call_reaches_the_client_whose_session_it_is(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        ear = Ear(Answer({"roots": [{"uri": "file:///a"}]}))
        made.gateway.session_opened(asking("a"), View(Era.LEGACY), ear)
        (await made.supervisor("one").lease(asking("a"))).release()
        question = Question("roots/list", {})
        assert (await backend.sessions[-1].opening.on_question(question)).result["roots"]
        assert ear.asked == [question]
        made.gateway.session_closed("a")
        assert (await backend.sessions[-1].opening.on_question(question)).result == {"roots": []}
        assert backend.sessions[0].opening.on_question is None


async def test_stop_closes_every_session_and_releases_the_backend(tmp_path):
    backend = FakeBackend("one")
    made = Whole(tmp_path, backend)
    await made.known()
    (await made.supervisor("one").lease(asking("a"))).release()
    await made.stop()
    assert all(session.closed for session in backend.sessions)
    assert backend.released
    with pytest.raises(BackendError):
        await made.supervisor("one").lease(MODERN)


async def test_restart_opens_a_new_session(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        await made.supervisor("one").restart()
        assert len(backend.sessions) == 2


async def test_a_backend_that_does_not_open_in_time_is_unavailable(tmp_path):
    backend = FakeBackend("one")
    backend.gate = anyio.Event()
    async with whole(tmp_path, backend, specs=[spec("one", start_timeout=0.05)]) as made:
        assert "did not answer within" in made.supervisor("one").record.last_error


async def test_a_session_that_does_not_answer_a_ping_after_a_timeout_is_replaced(tmp_path, monkeypatch):
    async def silent(_invocation, _talk):
        await anyio.sleep_forever()

    monkeypatch.setattr("mcp_orchestrator.runtime.supervisor.PING_SECONDS", 0.05)
    backend = FakeBackend("one", play=silent)
    async with whole(tmp_path, backend, specs=[spec("one", timeout=0.05)]) as made:
        assert (await made.call("one__echo")).kind is FailureKind.TIMEOUT
        with anyio.fail_after(2):
            await backend.sessions[0].wait_closed()
        assert "no answer to a ping" in made.supervisor("one").record.last_error
        assert [invocation.method for invocation in backend.sessions[0].invocations] == ["tools/call", "ping"]
        backend.play = echo
        assert isinstance(await made.call("one__echo"), Completed)


async def test_a_slow_tool_of_a_server_that_answers_pings_costs_nobody_the_session(tmp_path):
    async def slow(invocation, _talk):
        if invocation.method == "tools/call":
            await anyio.sleep_forever()
        return Completed(b"{}", Era.LEGACY)

    backend = FakeBackend("one", play=slow)
    async with whole(tmp_path, backend, specs=[spec("one", timeout=0.05)]) as made:
        await made.call("one__echo")
        await anyio.wait_all_tasks_blocked()
        assert not backend.sessions[0].closed


async def test_remembered_offers_are_looked_at_anew_when_a_client_looks_at_the_catalog(tmp_path):
    backend = FakeBackend("one")
    made = Whole(tmp_path, backend)
    made.supervisor("one").remember({Era.LEGACY: Offers("one", Era.LEGACY, "", tools=(tool("old"),))}, {})
    made.supervisor("one").start()
    await anyio.wait_all_tasks_blocked()
    assert not backend.sessions
    for names in (b"one__old", b"one__echo"):
        assert names in await made.gateway.listing(View(Era.LEGACY), OfferKind.TOOL, None)
        await made.gateway.settle_down()
        await anyio.wait_all_tasks_blocked()
    assert len(backend.sessions) == 1
    await made.stop()


async def test_a_session_that_has_answered_is_replaced_at_once_however_often_it_ends(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        for turn in range(5):
            assert isinstance(await made.call("one__echo"), Completed)
            assert len(backend.sessions) == turn + 1
            backend.sessions[-1].die()
            await anyio.wait_all_tasks_blocked()
        assert made.supervisor("one").record.failures == 0


async def test_a_session_that_never_answers_anything_is_replaced_with_growing_pauses(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        backend.sessions[-1].die()
        await anyio.wait_all_tasks_blocked()
        (await made.supervisor("one").lease(MODERN)).release()
        backend.sessions[-1].die()
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(BackendError, match="next try in"):
            await made.supervisor("one").lease(MODERN)


async def test_offers_in_the_other_era_that_are_the_same_are_no_change(tmp_path):
    async with whole(tmp_path, FakeBackend("one", speaks=BOTH)) as made:
        heard = []
        made.gateway.watch(View(Era.MODERN), None, heard.append)
        supervisor = made.supervisor("one")
        supervisor.look_in(Era.LEGACY)
        with anyio.fail_after(2):
            while supervisor.needs_look_in(Era.LEGACY):
                await anyio.lowlevel.checkpoint()
        assert heard == []


async def test_stopping_does_not_wait_for_a_session_that_is_still_opening(tmp_path):
    backend = FakeBackend("one")
    backend.gate = anyio.Event()
    made = Whole(tmp_path, backend)
    made.supervisor("one").start()
    await anyio.wait_all_tasks_blocked()
    with anyio.fail_after(2):
        await made.stop()
