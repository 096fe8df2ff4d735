import anyio
import pytest
from a2a_door import FakeDoor

from mcp_orchestrator.listeners import a2a_feeds
from mcp_orchestrator.listeners.a2a_feeds import Feeds
from mcp_orchestrator.model.call import ANONYMOUS, Principal

pytestmark = pytest.mark.anyio


async def held(run):
    run.work_on()
    await anyio.Event().wait()


@pytest.fixture
async def door():
    made = FakeDoor(held)
    yield made
    await made.aclose()


async def begun(door):
    glimpse = await door.begin("x", ANONYMOUS)
    return door.runs[glimpse.kept.id]


async def told(ear):
    with anyio.fail_after(5):
        return [event async for event in _all(ear)]


async def _all(ear):
    while (event := await ear.next()) is not None:
        yield event


async def test_who_comes_later_begins_where_the_others_are(door):
    run = await begun(door)
    feeds = Feeds(door)
    first = await feeds.join(run.kept.id, ANONYMOUS)
    run.say("one")
    with anyio.fail_after(5):
        await first.next()
    second = await feeds.join(run.kept.id, ANONYMOUS)
    assert second.seen.text == "one"
    run.end(text="done")
    assert (await told(first))[-1] == (await told(second))[-1]


async def test_a_run_that_is_over_has_no_events(door):
    run = await begun(door)
    run.end(text="done")
    ear = await Feeds(door).join(run.kept.id, ANONYMOUS)
    assert await told(ear) == []


async def test_the_last_one_to_leave_ends_the_look_out_and_the_next_begins_another(door):
    run = await begun(door)
    feeds = Feeds(door)
    ear = await feeds.join(run.kept.id, ANONYMOUS)
    ear.close()
    run.say("meanwhile")
    again = await feeds.join(run.kept.id, ANONYMOUS)
    assert again.seen.text == "meanwhile"
    run.end(text="done")
    assert await told(again)


async def test_a_run_of_somebody_else_is_not_there(door):
    run = await begun(door)
    with pytest.raises(LookupError):
        await Feeds(door).join(run.kept.id, Principal("local:eve"))


async def test_who_is_too_far_behind_is_let_go_of_and_the_others_are_not(door, monkeypatch):
    monkeypatch.setattr(a2a_feeds, "MOST_WAITING", 4)
    monkeypatch.setattr(a2a_feeds, "TOGETHER_SECONDS", 0)
    run = await begun(door)
    feeds = Feeds(door)
    slow, quick = await feeds.join(run.kept.id, ANONYMOUS), await feeds.join(run.kept.id, ANONYMOUS)
    with anyio.fail_after(5):
        for number in range(9):
            run.say(f"{number}")
            await quick.next()
    run.end(text="done")
    assert (await told(quick))[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert await told(slow) == []


async def test_a_run_that_is_no_longer_kept_ends_its_streams(door):
    run = await begun(door)
    ear = await Feeds(door).join(run.kept.id, ANONYMOUS)
    del door.runs[run.kept.id]
    run.say("gone")
    assert await told(ear) == []
    run.work.cancel()
