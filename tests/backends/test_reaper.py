"""No child outlives its gateway, not even one that was killed with -9 and whose grandchildren left their session."""

import json
import os
import signal
import subprocess
import sys

import anyio
import pytest
from stdio_kit import GATEWAY, gone

from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.backends.watchdog import CHILD_MARKER, GATEWAY_MARKER

pytestmark = pytest.mark.anyio
PAUSE = "import os,signal;print(os.getpid(),flush=True);signal.pause()"


def start_child(reaper, child="c-1", *, marked=True):
    """A program in a session of its own, as a backend would be."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", PAUSE],
        env={GATEWAY_MARKER: reaper.marker, CHILD_MARKER: child} if marked else {},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )


def gateway():
    """A gateway-like process with a backend and its offspring; returns it and what it printed."""
    process = subprocess.Popen([sys.executable, GATEWAY], stdout=subprocess.PIPE, start_new_session=True, text=True)
    return process, json.loads(process.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_killed_gateway_leaves_no_process_behind(number):
    process, told = await anyio.to_thread.run_sync(gateway)
    with anyio.fail_after(30):
        try:
            assert len(set(told["pids"])) == 3
            assert len({os.getsid(pid) for pid in told["pids"]}) == 2, "one grandchild has left the session"
            process.send_signal(number)
            process.wait()
            for pid in [*told["pids"], told["watchdog"]]:
                assert await anyio.to_thread.run_sync(gone, pid), pid
        finally:
            process.stdout.close()


async def test_signals_to_the_foreground_do_not_stop_the_watchdog_from_its_work():
    process, told = await anyio.to_thread.run_sync(gateway)
    with anyio.fail_after(30):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(told["watchdog"], number)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for pid in told["pids"]:
            assert await anyio.to_thread.run_sync(gone, pid)


async def test_a_watchdog_that_dies_is_replaced_and_the_new_one_knows_everything():
    reaper = Reaper()
    with anyio.fail_after(20):
        await reaper.ensure()
        first = reaper.watchdog_pid
        child = start_child(reaper)
        reaper.watch(child.pid)
        os.kill(first, signal.SIGKILL)
        assert await anyio.to_thread.run_sync(gone, first)
        while reaper.watchdog_pid in {first, None}:
            await reaper.ensure()
            await anyio.lowlevel.checkpoint()
        await reaper.aclose()
        assert child.wait() == -signal.SIGTERM


async def test_closing_ends_the_watchdog_and_may_be_repeated():
    reaper = Reaper()
    await reaper.ensure()
    await reaper.ensure()
    pid = reaper.watchdog_pid
    with anyio.fail_after(10):
        await reaper.aclose()
        await reaper.aclose()
        assert await anyio.to_thread.run_sync(gone, pid)
    assert reaper.watchdog_pid is None


async def test_closing_without_any_child_starts_nothing():
    reaper = Reaper()
    await reaper.aclose()
    assert reaper.watchdog_pid is None


async def test_one_childs_tree_is_ended_and_the_others_are_left_alone():
    reaper = Reaper()
    await reaper.ensure()
    one, two = start_child(reaper, "c-1"), start_child(reaper, "c-2")
    try:
        reaper.watch(one.pid)
        assert await reaper.kill_tree("c-1", one.pid) == 1
        assert one.wait() == -signal.SIGTERM
        assert two.poll() is None
    finally:
        await reaper.aclose()
    assert two.wait() == -signal.SIGTERM, "marked with the gateway's id, though never registered"


async def test_a_forgotten_group_is_not_killed_by_its_number():
    reaper = Reaper()
    await reaper.ensure()
    stranger = start_child(reaper, marked=False)
    try:
        reaper.watch(stranger.pid)
        reaper.forget(stranger.pid)
        await reaper.aclose()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_watchdog_is_small_and_does_nothing_while_idle():
    reaper = Reaper()
    await reaper.ensure()
    try:
        reaper.forget(1)
        rollup = await anyio.Path(f"/proc/{reaper.watchdog_pid}/smaps_rollup").read_text()
        pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        assert pss < 10_000
    finally:
        await reaper.aclose()
