"""Whole results in files beside the state file."""

import asyncio
import hashlib
import os
import stat

import anyio
import pytest

from mcp_orchestrator.model.results import KeptResult
from mcp_orchestrator.storage.results import HALF_WRITTEN, SWEEP_EVERY, FileResults, MemoryResults, directory_beside

pytestmark = pytest.mark.anyio

ROOM = 1 << 30


def kept(run="run1", body=b'{"content":[]}', made=1000.0, keep=60.0, owner="ada"):
    return KeptResult(run, owner, "tools/call", made, made + keep, hashlib.sha256(body).hexdigest(), body)


@pytest.fixture(params=["files", "memory"])
def store(request, tmp_path):
    return FileResults(tmp_path / "results") if request.param == "files" else MemoryResults()


@pytest.fixture
def place(tmp_path):
    return tmp_path / "results"


async def test_what_was_kept_is_found_until_its_time_is_over(store):
    one = kept(body=b'{"a":\n1}\n')
    await store.keep(one, ROOM)
    assert await store.find("run1", 1059.9) == one
    assert await store.find("run1", 1060.0) is None
    assert await store.find("run2", 1000.0) is None


async def test_what_alone_is_more_than_all_may_take_is_refused(store):
    with pytest.raises(OSError, match=r"results\.space is 10"):
        await store.keep(kept(), 10)
    assert await store.find("run1", 1000.0) is None


async def test_beyond_the_space_the_oldest_go(store):
    for number in range(8):
        await store.keep(kept(f"run{number}", b"x" * 2000), 5200)
    found = [number for number in range(8) if await store.find(f"run{number}", 1000.0)]
    assert found in ([6, 7], [7])


@pytest.mark.parametrize("run", ["", "../state", "a/b", "a\0b", "x" * 65, ".."])
async def test_a_name_that_is_no_run_reads_no_file(store, run, tmp_path):
    (tmp_path / "state.result").write_text("{}\nsecret")
    assert await store.find(run, 1000.0) is None


async def test_another_gateway_on_the_same_state_file_finds_it_and_so_does_the_next(place):
    await FileResults(place).keep(kept(), ROOM)
    assert (await FileResults(place).find("run1", 1000.0)).body == kept().body


async def test_files_are_closed_to_others(place):
    await FileResults(place).keep(kept(), ROOM)
    (path,) = place.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


async def test_a_damaged_file_is_no_result(place):
    store = FileResults(place)
    await store.keep(kept(), ROOM)
    (path,) = place.iterdir()
    path.write_bytes(path.read_bytes().replace(b"content", b"CONTENT"))
    assert await store.find("run1", 1000.0) is None
    path.write_bytes(b"\x00\xff")
    assert await store.find("run1", 1000.0) is None


async def test_old_ones_and_half_written_ones_are_swept_when_something_is_kept(place):
    now = [0.0]
    store = FileResults(place, lambda: now[0])
    await store.keep(kept("old"), ROOM)
    half = place / "killed.1234abcd"
    half.write_bytes(b"half")
    os.utime(half, (1000, 1000 - HALF_WRITTEN))
    await store.keep(kept("new", made=2000.0), ROOM)
    assert {path.name for path in place.iterdir()} == {"old.result", "new.result", half.name}, "not at each turn"
    now[0] += SWEEP_EVERY
    await store.keep(kept("newer", made=2000.0), ROOM)
    assert {path.name for path in place.iterdir()} == {"new.result", "newer.result"}


async def test_what_is_over_goes_though_nothing_is_kept(place):
    store = FileResults(place)
    await store.keep(kept("old"), ROOM)
    await store.keep(kept("new", made=2000.0), ROOM)
    swept = anyio.Event()
    sweep = store.sweep
    loop = asyncio.get_running_loop()
    store.sweep = lambda now, space: (sweep(now, space), loop.call_soon_threadsafe(swept.set))
    store.look_after(60.0, ROOM, lambda: 1500.0)
    store.look_after(60.0, ROOM, lambda: 1500.0)
    with anyio.fail_after(10):
        await swept.wait()
    assert {path.name for path in place.iterdir()} == {"new.result"}


async def test_a_directory_that_cannot_be_looked_at_ends_nothing(place):
    place.write_text("a file where the directory should be")
    FileResults(place)._tidy(1000.0, ROOM)


async def test_what_cannot_be_written_is_told_and_leaves_nothing(place):
    place.write_text("a file where the directory should be")
    with pytest.raises(OSError, match="results"):
        await FileResults(place).keep(kept(), ROOM)


async def test_many_are_kept_at_once(place):
    first, second = FileResults(place), FileResults(place)
    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon((first, second)[number % 2].keep, kept(f"run{number}", b"%d" % number * 50), 100_000)
    for number in range(40):
        assert (await first.find(f"run{number}", 1000.0)).body == b"%d" % number * 50


def test_the_directory_is_beside_the_state_file(tmp_path):
    assert directory_beside(tmp_path / "state.db") == tmp_path / "state.db.results"
