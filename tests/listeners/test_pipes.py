"""Lines cut anywhere, bounded; descriptors of every kind; writers that lag, break and coalesce."""

import asyncio
import contextlib
import os

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.listeners.pipes import LineSplitter, PipeReader, PipeWriter, can_be_waited_for

pytestmark = pytest.mark.anyio


@given(st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_are_the_same_however_the_stream_is_cut(lines, data):
    stream = b"".join(line + b"\n" for line in lines)
    got = []
    splitter = LineSplitter(1000, got.append, lambda: None)
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        splitter.feed(stream[:cut])
        stream = stream[cut:]
    assert got == [stripped for line in lines if (stripped := line.strip(b" \t\r"))]


@given(st.integers(0, 60), st.integers(1, 7))
def test_a_line_beyond_the_limit_is_dropped_and_told_once(size, step):
    got, told = [], []
    splitter = LineSplitter(20, got.append, lambda: told.append(1))
    stream = b"before\n" + b"x" * size + b"\nafter\n"
    for start in range(0, len(stream), step):
        splitter.feed(stream[start : start + step])
    expected = [b"before", b"x" * size, b"after"] if size <= 20 else [b"before", b"after"]
    assert got == [line for line in expected if line]
    assert len(told) == (size > 20)


def test_what_is_left_at_the_end_counts_as_a_line():
    got = []
    splitter = LineSplitter(100, got.append, lambda: None)
    splitter.feed(b"one\ntwo")
    splitter.end()
    assert got == [b"one", b"two"]


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


async def test_a_reader_pauses_resumes_and_sees_the_end(pipe):
    got, more, ended = [], asyncio.Event(), asyncio.Event()

    def take(data):
        got.append(data)
        more.set()

    reader = PipeReader(pipe[0], take, ended.set)
    reader.start()
    with anyio.fail_after(5):
        os.write(pipe[1], b"one")
        await more.wait()
        reader.pause()
        os.write(pipe[1], b"two")
        await anyio.wait_all_tasks_blocked()
        assert got == [b"one"]
        more.clear()
        reader.resume()
        await more.wait()
        os.close(pipe[1])
        await ended.wait()
    assert got == [b"one", b"two"]
    reader.close()


async def test_a_regular_file_is_read_to_its_end(tmp_path):
    path = tmp_path / "input"
    path.write_bytes(b"x" * 600_000)
    fd = os.open(path, os.O_RDONLY)
    got, ended = [], asyncio.Event()
    reader = PipeReader(fd, got.append, ended.set)
    assert not can_be_waited_for(fd)
    reader.start()
    with anyio.fail_after(5):
        await ended.wait()
    assert sum(map(len, got)) == 600_000
    os.close(fd)


async def test_a_writer_keeps_messages_on_lines_of_their_own(pipe):
    writer = PipeWriter(pipe[1], lambda _lagging: None, lambda: None)
    writer.put(b'{"a":\n1}')
    assert writer.send(b"{}")
    with anyio.fail_after(5):
        await writer.drained(5)
    assert os.read(pipe[0], 100) == b'{"a": 1}\n{}\n'
    writer.close()


async def test_a_lagging_reader_is_told_of_and_loses_notifications_but_no_responses(pipe):
    states, lagging = [], asyncio.Event()

    def congested(state):
        states.append(state)
        lagging.set()

    writer = PipeWriter(pipe[1], congested, lambda: None)
    chunk = b"x" * 1_000_000
    for _ in range(10):
        writer.put(chunk)
    with anyio.fail_after(10):
        await lagging.wait()
        assert not writer.send(b"{}")
        total = 0
        while total < 10 * len(chunk) + 10:
            total += len(await asyncio.to_thread(os.read, pipe[0], 1 << 20))
        await writer.drained(5)
    assert states == [True, False]
    writer.close()


async def test_a_broken_pipe_is_told_once_and_swallows_the_rest(pipe):
    broken = asyncio.Event()
    writer = PipeWriter(pipe[1], lambda _lagging: None, broken.set)
    os.close(pipe[0])
    writer.put(b"{}")
    with anyio.fail_after(5):
        await broken.wait()
        await writer.drained(5)
    assert writer.closed
    assert not writer.send(b"{}")
    writer.put(b"{}")


async def test_a_writer_that_nobody_reads_gives_up_waiting(pipe):
    writer = PipeWriter(pipe[1], lambda _lagging: None, lambda: None)
    writer.put(b"x" * 1_000_000)
    with anyio.fail_after(5):
        await writer.drained(0.01)
    writer.close()


async def test_a_writer_knows_whether_anybody_can_still_read(pipe, tmp_path):
    read, write = pipe
    writer = PipeWriter(write, lambda _lags: None, lambda: None)
    assert not writer.unread()
    os.close(read)
    assert writer.unread()
    with (tmp_path / "out").open("wb") as file:
        assert not PipeWriter(file.fileno(), lambda _lags: None, lambda: None).unread()


async def test_a_regular_file_is_written(tmp_path):
    path = tmp_path / "output"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    writer = PipeWriter(fd, lambda _lagging: None, lambda: None)
    writer.put(b"{}")
    await writer.drained(5)
    writer.close()
    os.close(fd)
    assert path.read_bytes() == b"{}\n"
