"""Offers are fetched one fetch at a time, and once more when a change came in meanwhile."""

import asyncio

import pytest

from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.plugin_api import Opening
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
