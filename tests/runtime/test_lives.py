"""A session lives in one task, from opening to close."""

import asyncio

import pytest

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.plugin_api import Opening
from mcp_orchestrator.runtime.lives import Lease, Life, LifeKey, LifeState, live
from mcp_orchestrator.testing.fake_backend import FakeBackend, FakeClock

pytestmark = pytest.mark.anyio


class Story:
    def __init__(self, backend, idle_stop=None):
        self.backend = backend
        self.clock = FakeClock()
        self.over = []
        self.life = Life(LifeKey(Era.LEGACY), asyncio.get_running_loop().create_future())
        self.task = asyncio.ensure_future(
            live(
                self.life,
                lambda: backend.open(Opening(None)),
                clock=self.clock,
                idle_stop=idle_stop,
                on_open=lambda _life, _session: None,
                on_over=lambda _life, reason, error: self.over.append((reason, error)),
            )
        )


async def test_a_session_that_ends_by_itself_says_why():
    story = Story(FakeBackend("one"))
    session = await story.life.opened
    session.die("exit code 3")
    await story.task
    assert story.over == [("exit code 3", None)]
    assert session.closed


async def test_a_session_that_is_stopped_on_purpose_gives_no_reason():
    story = Story(FakeBackend("one"))
    await story.life.opened
    story.life.stop.set()
    await story.task
    assert story.over == [("", None)]
    assert story.life.state is LifeState.OVER


async def test_a_stop_does_not_wait_for_a_server_that_is_still_starting():
    backend = FakeBackend("one")
    backend.gate = asyncio.Event()
    story = Story(backend)
    await asyncio.sleep(0)
    story.life.stop.set()
    async with asyncio.timeout(5):
        await story.task
    with pytest.raises(BackendError):
        await story.life.opened
    assert story.over == [("", None)]
    assert story.life.gone.is_set()
    assert not backend.sessions


async def test_a_stop_at_the_moment_of_the_opening_closes_the_session():
    backend = FakeBackend("one")
    backend.gate = asyncio.Event()
    story = Story(backend)
    await asyncio.sleep(0)
    story.life.stop.set()
    backend.gate.set()
    async with asyncio.timeout(5):
        await story.task
    assert story.over == [("", None)]
    assert [session.closed for session in backend.sessions] == [True] * len(backend.sessions)


async def test_a_session_that_cannot_be_opened_hands_its_error_to_whoever_waits():
    backend = FakeBackend("one")
    backend.refuse = BackendError(FailureKind.UNAVAILABLE, "no")
    story = Story(backend)
    with pytest.raises(BackendError):
        await story.life.opened
    await story.task
    assert story.over[0][1] is backend.refuse


async def test_the_owner_of_a_session_may_be_cancelled_and_closes_it():
    story = Story(FakeBackend("one"))
    session = await story.life.opened
    story.task.cancel()
    await asyncio.gather(story.task, return_exceptions=True)
    assert session.closed


async def test_a_lease_counts_users_and_tells_when_nobody_is_left():
    story = Story(FakeBackend("one"))
    session = await story.life.opened
    told = []
    leases = [Lease(story.life, session, story.clock, lambda: told.append(1)) for _ in range(2)]
    story.life.users = 2
    leases[0].release()
    assert not told
    leases[1].release()
    assert told
    story.life.stop.set()
    await story.task


def leases(story, session, count):
    story.life.users = count
    return [Lease(story.life, session, story.clock, lambda: None) for _ in range(count)]


async def test_a_log_level_is_applied_once_per_change():
    story = Story(FakeBackend("one"))
    session = await story.life.opened
    applied = []

    async def apply(_session, level):
        applied.append(level)

    (lease,) = leases(story, session, 1)
    for level in ("info", "info", None, "debug", "debug"):
        await lease.at_level(level, apply)
    lease.release()
    assert applied == ["info", "debug"]
    assert story.life.wanted_levels == []
    story.life.stop.set()
    await story.task


async def test_the_level_of_a_session_is_the_most_verbose_that_any_call_on_it_wants():
    story = Story(FakeBackend("one"))
    session = await story.life.opened
    applied = []

    async def apply(_session, level):
        applied.append(level)

    quiet, loud, late = leases(story, session, 3)
    await quiet.at_level("error", apply)
    await loud.at_level("debug", apply)
    await late.at_level("warning", apply)
    assert applied == ["error", "debug"]
    quiet.release()
    loud.release()
    await late.at_level("warning", apply)
    assert applied == ["error", "debug", "warning"]
    late.release()
    story.life.stop.set()
    await story.task


async def test_a_level_that_was_cut_off_on_its_way_is_said_again():
    story = Story(FakeBackend("one"))
    session = await story.life.opened
    (lease,) = leases(story, session, 1)

    async def never(_session, _level):
        await asyncio.Event().wait()

    said = asyncio.ensure_future(lease.at_level("info", never))
    await asyncio.sleep(0)
    said.cancel()
    await asyncio.gather(said, return_exceptions=True)
    assert story.life.log_level is None
    story.life.stop.set()
    await story.task


async def test_a_held_session_is_not_stopped_for_idleness_and_its_end_is_told():
    story = Story(FakeBackend("one"), idle_stop=0.0)
    session = await story.life.opened
    (lease,) = leases(story, session, 1)
    hold = lease.hold()
    lease.release()
    story.clock.advance(100)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(story.task), 0.12)
    hold.release()
    hold.release()
    story.clock.advance(100)
    await story.task
    assert hold.over.is_set()
    assert story.over == [("", None)]
