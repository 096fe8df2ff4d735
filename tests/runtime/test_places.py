"""Places: so many at once, whoever came first goes first, and who is stopped waits no longer."""

import asyncio
from types import SimpleNamespace

import anyio
import pytest

from mcp_orchestrator.runtime.places import Places

pytestmark = pytest.mark.anyio


def run(name, agent="one", depth=1):
    return SimpleNamespace(kept=SimpleNamespace(id=name, agent=agent, depth=depth), stop=asyncio.Event())


class Hall:
    """Runs that take places and hold them until they are told to go."""

    def __init__(self, **most):
        self.most = {None: 100, **most}
        self.places = Places(lambda agent: self.most.get(agent, 1))
        self.inside = []
        self.doors = {}

    def enter(self, delegation):
        door = self.doors[delegation.kept.id] = asyncio.Event()

        async def stay():
            async with self.places.place(delegation):
                self.inside.append(delegation.kept.id)
                await door.wait()
            self.inside.append(f"-{delegation.kept.id}")

        return asyncio.ensure_future(stay())


async def turns():
    """Let everything happen that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_run_that_comes_when_a_place_is_freed_does_not_overtake_those_that_wait():
    hall = Hall(one=1)
    tasks = [hall.enter(run(name)) for name in "abc"]
    await turns()
    assert hall.inside == ["a"]
    hall.doors["a"].set()
    tasks.append(hall.enter(run("late")))
    await turns()
    assert hall.inside == ["a", "-a", "b"]
    for name in ("b", "c", "late"):
        hall.doors[name].set()
    with anyio.fail_after(5):
        await asyncio.gather(*tasks)
    assert [name for name in hall.inside if not name.startswith("-")] == ["a", "b", "c", "late"]


async def test_only_runs_of_agents_that_are_free_overtake():
    hall = Hall(one=1, two=1)
    tasks = [hall.enter(run("a")), hall.enter(run("b")), hall.enter(run("c", "two"))]
    await turns()
    assert hall.inside == ["a", "c"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_all_agents_together_have_a_limit_for_each_depth():
    hall = Hall(one=5)
    hall.most[None] = 1
    tasks = [hall.enter(run("a")), hall.enter(run("b")), hall.enter(run("child", depth=2))]
    await turns()
    assert hall.inside == ["a", "child"], "what waits for its child does not keep it waiting"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_is_stopped_or_cancelled_while_waiting_gives_way():
    hall = Hall(one=1)
    stopped, cancelled = run("stopped"), run("cancelled")
    tasks = [hall.enter(run("a")), hall.enter(stopped), hall.enter(cancelled), hall.enter(run("d"))]
    await turns()
    stopped.stop.set()
    tasks[2].cancel()
    await turns()
    assert hall.inside == ["a", "stopped"], "it goes on at once, holding no place, to be told its end"
    hall.doors["stopped"].set()
    hall.doors["a"].set()
    await turns()
    assert hall.inside[-1] == "d"
    hall.doors["d"].set()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_more_places_are_noticed_by_those_that_wait():
    hall = Hall(one=1)
    tasks = [hall.enter(run(name)) for name in "ab"]
    await turns()
    hall.most["one"] = 2
    hall.places.reconsider()
    await turns()
    assert hall.inside == ["a", "b"]
    for name in "ab":
        hall.doors[name].set()
    await asyncio.gather(*tasks)
