"""Process trees are found and ended by group, marker and descent; strangers with a known number are spared."""

import os
import subprocess
import sys

import pytest

from mcp_orchestrator.backends.watchdog import CHILD_MARKER, kill_tree, start_of, victims

PAUSE = "import os,signal;print(os.getpid(),flush=True);signal.pause()"
STUBBORN = "import os,signal;signal.signal(15,signal.SIG_IGN);print(os.getpid(),flush=True);signal.pause()"


@pytest.fixture
def start():
    started = []

    def make(program=PAUSE, *, marker=None, env=None, session=True):
        variables = {"PATH": os.environ["PATH"], **(env or {})}
        if marker:
            variables[CHILD_MARKER] = marker
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", program],
            env=variables,
            start_new_session=session,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        child.printed = int(child.stdout.readline())
        return child

    yield make
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()


def needle(marker):
    return f"{CHILD_MARKER}={marker}".encode()


def test_what_carries_the_marker_is_found_in_whatever_session(start):
    child, other = start(marker="m-1"), start(marker="m-2")
    assert victims(needle("m-1"), {}) == {child.pid}
    assert other.pid not in victims(needle("m-1"), {})


def test_a_group_counts_when_its_leader_has_the_recorded_start_time(start):
    child = start()
    assert victims(needle("none"), {child.pid: start_of(child.pid)}) == {child.pid}


def test_a_group_number_that_now_belongs_to_a_stranger_is_spared(start):
    stranger = start()
    assert victims(needle("none"), {stranger.pid: "1", 1: ""}) == set()
    assert kill_tree(needle("none"), {stranger.pid: "1"}) == 0
    assert stranger.poll() is None


def test_descendants_without_marker_are_found_through_their_parent(start):
    program = (
        "import os,signal,subprocess,sys\n"
        f"c = subprocess.Popen([sys.executable, '-I', '-S', '-c', {PAUSE!r}], env={{}}, start_new_session=True)\n"
        "c.wait()"
    )
    child = start(program, marker="m-3")
    try:
        assert victims(needle("m-3"), {}) == {child.pid, child.printed}
    finally:
        kill_tree(needle("m-3"), {})


def test_a_tree_that_ignores_sigterm_is_killed(start):
    child = start(STUBBORN, marker="m-4")
    assert kill_tree(needle("m-4"), {child.pid: start_of(child.pid)}, term=0.05) == 1
    assert child.wait() == -9


def test_a_tree_that_obeys_sigterm_is_asked_first(start):
    child = start(marker="m-5")
    assert kill_tree(needle("m-5"), {}) == 1
    assert child.wait() == -15


def test_what_is_gone_has_no_start_time(start):
    child = start()
    assert start_of(child.pid).isdecimal()
    child.kill()
    child.wait()
    assert start_of(child.pid) == ""


def test_the_program_ends_registered_groups_when_its_input_ends(start):
    kept, released, marked = start(STUBBORN), start(), start(marker="x", env={"MCP_ORCHESTRATOR_GATEWAY": "gw-9"})
    import mcp_orchestrator.backends.watchdog as module  # noqa: PLC0415 - only its path is wanted

    lines = f"+ {kept.pid} {start_of(kept.pid)}\n+ {released.pid} {start_of(released.pid)}\n- {released.pid}\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", module.__file__, "gw-9"], input=lines, text=True, timeout=20, check=False
    )
    assert done.returncode == 0
    assert (kept.wait(), marked.wait()) == (-9, -15)
    assert released.poll() is None
