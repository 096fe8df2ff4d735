"""Processes kept ready: taken once, replaced behind, never one that has died, and all of them ended."""

import anyio
import pytest

from mcp_orchestrator.backends import acp_warm
from mcp_orchestrator.backends.acp_warm import Warm
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

pytestmark = pytest.mark.anyio


class Session:
    def __init__(self, place):
        self.place = place
        self.usable = True
        self.closed = False

    async def close(self):
        self.closed = True


class Starts:
    """Starts sessions, the first so many in vain."""

    def __init__(self, fails=0):
        self.fails = fails
        self.made = []

    async def __call__(self, place):
        if self.fails:
            self.fails -= 1
            raise BackendError(FailureKind.UNAVAILABLE, "not yet")
        self.made.append(Session(place))
        return self.made[-1]


async def full(warm, number):
    with anyio.fail_after(10):
        while len(warm) < number:
            warm.changed = anyio.Event()
            await warm.changed.wait()


async def test_as_many_as_were_asked_for_are_ready_and_one_that_is_taken_is_replaced():
    starts = Starts()
    warm = Warm(2, starts)
    assert warm.take() is None
    await full(warm, 2)
    assert warm.take() is starts.made[0]
    await full(warm, 2)
    assert len(starts.made) == 3
    await warm.aclose()
    assert [session.closed for session in starts.made] == [False, True, True], "what was taken is its taker's"
    assert not any(session.place.exists() for session in starts.made)


async def test_one_that_has_died_is_not_given_away():
    starts = Starts()
    warm = Warm(1, starts)
    warm.fill()
    await full(warm, 1)
    starts.made[0].usable = False
    assert warm.take() is None
    await full(warm, 1)
    assert warm.take() is starts.made[1]
    await warm.aclose()


async def test_an_agent_that_does_not_start_is_tried_again_later(monkeypatch):
    monkeypatch.setattr(acp_warm, "PAUSE", 0.0)
    starts = Starts(fails=2)
    warm = Warm(1, starts)
    warm.fill()
    await full(warm, 1)
    await warm.aclose()


async def test_nothing_is_kept_where_nothing_was_asked_for():
    starts = Starts()
    warm = Warm(0, starts)
    warm.fill()
    assert warm.take() is None
    await warm.aclose()
    assert starts.made == []
