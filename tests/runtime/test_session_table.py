"""The sessions of one backend are found by whom they are for, and give way when there are too many."""

import asyncio

import anyio
import pytest

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.plugin_api import Opening
from mcp_orchestrator.runtime.lives import LifeKey, LifeState
from mcp_orchestrator.runtime.session_table import SessionTable
from mcp_orchestrator.testing.fake_backend import FakeBackend, FakeClock

pytestmark = pytest.mark.anyio
SHARED = LifeKey(Era.LEGACY)


def own(client):
    return LifeKey(Era.LEGACY, client)


async def opened(table, key):
    life = table.begin(key)
    life.opened.set_result(await FakeBackend("one").open(Opening(Era.LEGACY)))
    life.state = LifeState.OPEN
    return life


async def test_a_session_is_found_until_it_is_over():
    table = SessionTable(4, FakeClock())
    life = await opened(table, SHARED)
    assert table.get(SHARED) is life
    assert table.open_session(Era.LEGACY, None) is life.session
    table.over(life)
    assert table.get(SHARED) is None
    assert list(table) == []


async def test_a_retired_session_is_told_to_stop_and_makes_place_for_another():
    table = SessionTable(4, FakeClock())
    first = await opened(table, SHARED)
    table.retire(first)
    second = await opened(table, SHARED)
    table.over(first)
    assert first.stop.is_set()
    assert table.get(SHARED) is second


async def test_the_idle_client_session_that_was_used_longest_ago_gives_way_and_the_shared_one_never():
    clock = FakeClock()
    table = SessionTable(3, clock)
    shared, a, b = [await opened(table, key) for key in (SHARED, own("a"), own("b"))]
    a.last_used, b.last_used = 1.0, 2.0
    assert table.makes_room()
    assert (a.stop.is_set(), b.stop.is_set(), shared.stop.is_set()) == (True, False, False)


async def test_busy_sessions_do_not_give_way_and_whoever_waits_is_woken():
    table = SessionTable(2, FakeClock())
    await opened(table, SHARED)
    busy = await opened(table, own("a"))
    busy.users = 1
    assert not table.makes_room()
    waiting = asyncio.ensure_future(table.release())
    await anyio.lowlevel.checkpoint()
    table.lease(busy, busy.session).release()
    with anyio.fail_after(1):
        await waiting
    assert table.makes_room()


async def test_a_session_that_speaks_the_other_era_is_found_under_that_one():
    table = SessionTable(2, FakeClock())
    life = await opened(table, LifeKey(Era.MODERN))
    table.refile(life, Era.LEGACY)
    assert table.get(LifeKey(Era.MODERN)) is None
    assert table.get(SHARED) is life


async def test_only_the_sessions_of_a_client_that_left_end():
    table = SessionTable(9, FakeClock())
    shared, a, b = [await opened(table, key) for key in (SHARED, own("a"), own("b"))]
    table.retire_client("a")
    assert [life.stop.is_set() for life in (shared, a, b)] == [False, True, False]
    table.retire_all()
    assert all(life.stop.is_set() for life in (shared, b))


async def test_a_user_that_gives_up_before_the_session_is_open_is_no_user_any_more():
    table = SessionTable(4, FakeClock())
    life = table.begin(SHARED)
    life.users += 1
    waiting = asyncio.ensure_future(table.unused())
    await anyio.wait_all_tasks_blocked()
    table.leave(life)
    with anyio.fail_after(2):
        await waiting
