"""Offers are fetched one fetch at a time, and once more when a change came in meanwhile."""

import asyncio

import anyio
import anyio.lowlevel
import pytest

from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.plugin_api import Opening
from mcp_orchestrator.runtime import looking
from mcp_orchestrator.runtime.looking import Look
from mcp_orchestrator.testing.fake_backend import FakeBackend

pytestmark = pytest.mark.anyio


async def test_a_change_during_a_fetch_means_one_more_fetch_and_no_third():
    session = await FakeBackend("one").open(Opening(None))
    offers, go = await session.offers(), asyncio.Event()

    async def slow():
        await go.wait()
        return offers

    session.offers = slow
    taken, failed = [], []
    look = Look(5, asyncio.ensure_future, taken.append, failed.append)
    look.at(session)
    await asyncio.sleep(0)
    for _ in range(5):
        look.at(session)
    go.set()
    await asyncio.gather(*look._running.values())
    assert len(taken) == 2
    assert not failed


async def test_a_fetch_that_fails_is_told():
    session = await FakeBackend("one").open(Opening(None))

    async def broken():
        raise BackendError(FailureKind.BAD_ANSWER, "nonsense")

    session.offers = broken
    failed = []
    look = Look(5, asyncio.ensure_future, lambda _offers: None, failed.append)
    look.at(session)
    await asyncio.gather(*look._running.values())
    assert failed == ["nonsense"]


async def test_a_server_that_announces_changes_without_end_is_asked_ever_more_rarely(monkeypatch):
    monkeypatch.setattr(looking, "FIRST_REST", 0.001)
    monkeypatch.setattr(looking, "LONGEST_REST", 0.008)
    session = await FakeBackend("one").open(Opening(None))
    times, rests, enough = [], [], asyncio.Event()

    def taken(_offers):
        times.append(asyncio.get_running_loop().time())
        rests.append(look._rest.get(session.era))
        look.at(session)
        if len(times) == 6:
            enough.set()

    look = Look(5, asyncio.ensure_future, taken, [].append)
    look.at(session)
    with anyio.fail_after(5):
        await enough.wait()
    look.stop()
    assert rests == [None, 0.001, 0.002, 0.004, 0.008, 0.008]
    assert times[-1] - times[0] > 0.015  # they were kept; uvloop counts whole milliseconds, so each may be short of one


async def test_changes_that_come_after_the_rest_are_looked_at_at_once_however_many_there_were(monkeypatch):
    monkeypatch.setattr(looking, "FIRST_REST", 0.001)
    session = await FakeBackend("one").open(Opening(None))
    look = Look(5, asyncio.ensure_future, lambda _offers: None, [].append)
    for _ in range(5):
        look.at(session)
        await asyncio.gather(*look._running.values())
        assert look._rest[session.era] == 0.001
        while look._rested[session.era] > asyncio.get_running_loop().time():
            await anyio.lowlevel.checkpoint()


async def test_a_session_that_ended_during_the_fetch_says_nothing_when_another_is_there():
    old, new = [await FakeBackend("one").open(Opening(None)) for _ in range(2)]
    go = asyncio.Event()

    async def broken():
        await go.wait()
        raise BackendError(FailureKind.DIED, "gone")

    old.offers = broken
    taken, failed = [], []
    look = Look(5, asyncio.ensure_future, taken.append, failed.append)
    look.at(old)
    await asyncio.sleep(0)
    look.at(new)
    go.set()
    await asyncio.gather(*look._running.values())
    assert (len(taken), failed) == (1, [])
