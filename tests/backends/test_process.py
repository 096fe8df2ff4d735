"""Programs start, speak and end alike on every event loop, and inherit nothing but their pipes."""

import os
import sys

import anyio
import pytest

from mcp_orchestrator.backends import process as module
from mcp_orchestrator.backends.process import start

pytestmark = pytest.mark.anyio


class Run:
    """A started program with what came of it."""

    def __init__(self, program, *, output=True, environment=None):
        self.data, self.closed, self.exits = {1: b"", 2: b""}, set(), 0
        self.changed = anyio.Event()
        argv = [sys.executable, "-c", program]
        self.process = start(argv, environment or {}, None, self.exit, output=output)

    def exit(self):
        self.exits += 1
        self.changed.set()

    def take(self, fd, data):
        self.data[fd] += data
        self.changed.set()

    def close(self, fd):
        self.closed.add(fd)
        self.changed.set()

    async def until(self, condition):
        with anyio.fail_after(15):
            while not condition():
                self.changed = anyio.Event()
                await self.changed.wait()


@pytest.fixture
async def run():
    runs = []

    async def make(program, **settings):
        made = Run(program, **settings)
        runs.append(made)
        await made.process.connect(made.take, made.close)
        return made

    yield make
    for made in runs:
        if made.process.returncode is None:
            made.process.kill()
        await made.process.exited.wait()
        made.process.close()


async def test_what_is_written_comes_back_and_the_end_is_told_once(run):
    made = await run("import sys;sys.stdout.write(sys.stdin.read()[::-1]);sys.stderr.write('e');sys.exit(5)")
    made.process.stdin.write(b"abc")
    made.process.stdin.close()
    await made.until(lambda: made.exits and made.closed == {0, 1, 2})
    assert (made.data, made.process.returncode, made.exits) == ({1: b"cba", 2: b"e"}, 5, 1)


async def test_a_pipe_that_the_program_closes_is_told_while_it_runs(run):
    made = await run("import os,signal;os.close(1);signal.pause()")
    await made.until(lambda: 1 in made.closed)
    assert made.process.returncode is None


async def test_nothing_is_inherited_but_the_three_pipes(run):
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        made = await run("import os;print([f for f in range(3, 256) if os.path.exists(f'/dev/fd/{f}')])")
        await made.until(lambda: made.exits and 1 in made.closed)
        assert made.data[1] == b"[]\n"
    finally:
        os.close(reading)
        os.close(writing)


async def test_it_leads_a_session_and_has_only_the_given_environment(run):
    program = "import os;print(os.getsid(0) == os.getpid(), sorted(set(os.environ) - {'LC_CTYPE'}))"
    made = await run(program, environment={"A": "1"})
    await made.until(lambda: made.exits and 1 in made.closed)
    assert made.data[1] == b"True ['A']\n"


async def test_a_signal_is_told_as_a_negative_exit_code(run):
    made = await run("import signal;signal.pause()")
    made.process.kill()
    await made.until(lambda: made.exits)
    assert made.process.returncode == -9


async def test_the_end_is_heard_without_pidfd_too(run, monkeypatch):
    def refused(pid):
        raise OSError

    monkeypatch.setattr(module.os, "pidfd_open", refused, raising=False)
    made = await run("import sys;sys.exit(3)")
    await made.until(lambda: made.exits)
    assert made.process.returncode == 3


async def test_without_output_only_the_input_is_connected(run):
    made = await run("import sys;print('lost');sys.exit(len(sys.stdin.read()))", output=False)
    assert made.process.outputs == {}
    made.process.stdin.write(b"abcd")
    made.process.stdin.close()
    await made.until(lambda: made.exits)
    assert made.process.returncode == 4


async def test_what_was_never_connected_is_closed_all_the_same():
    made = Run("import sys;sys.stdin.read()")
    made.process.close()
    with anyio.fail_after(15):
        await anyio.to_thread.run_sync(made.process._popen.wait)


async def test_a_program_that_is_none_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        start([str(tmp_path / "none")], {}, None, lambda: None, output=True)


async def test_every_end_of_a_pipe_is_closed_exactly_once(run, monkeypatch):
    made = await run("import sys; sys.stdin.read()")
    transports = [made.process.stdin, *made.process.outputs.values()]
    ends = {transport.get_extra_info("pipe").fileno() for transport in transports}
    closed = []
    monkeypatch.setattr(module.os, "close", lambda fd: closed.append(fd) or os.closerange(fd, fd + 1))
    made.process.close()
    await made.until(lambda: made.closed == {0, 1, 2} and made.exits)
    uvloop = "uvloop" in type(made.process._loop).__module__
    assert sorted(fd for fd in closed if fd in ends) == ([] if uvloop else sorted(ends))
    for fd in ends:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
