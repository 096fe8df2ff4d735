import asyncio
import contextlib
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest

pytestmark = pytest.mark.anyio

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def kit(monkeypatch):
    """The modules of the benchmark, which are scripts and no package."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return SimpleNamespace(**{name: importlib.import_module(name) for name in ("load", "stdio_load", "wire")})


@pytest.fixture
def load(kit):
    """Loads a URL with calls of `echo` for 200 characters."""

    async def run(url, **much):
        with anyio.fail_after(20):
            operation = kit.wire.Echo("echo", 200)
            return await kit.load.over_http(url, operation, **({"concurrency": 2, "calls": 4} | much))

    return run


def right(asked, size=200):
    text = asked["params"]["arguments"]["text"].ljust(size, ".")
    return {"id": asked["id"], "result": {"resultType": "complete", "content": [{"type": "text", "text": text}]}}


@contextlib.asynccontextmanager
async def served(answer, *, head="Content-Type: application/json\r\n", status="200 OK", frame="{}"):
    """An HTTP server that answers every POST with what `answer(request)` says; None closes the connection."""

    talking = set()

    async def talk(reader, writer):
        talking.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                headers = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(headers.split("content-length:")[1].split("\r\n")[0])
                said = answer(json.loads(await reader.readexactly(length)))
                if said is None:
                    break
                body = frame.replace("{}", json.dumps({"jsonrpc": "2.0"} | said)).encode()
                writer.write(f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                if "close" in head:
                    break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    finally:
        server.close()
        await asyncio.gather(*talking)


async def test_right_answers_are_counted_and_none_fails(load):
    async with served(right) as url:
        report = await load(url)
    assert (report.calls, report.failures) == (4, [])
    assert 0 < report.percentile(0.5) <= report.percentile(0.99)


async def test_a_wrong_id_is_a_failure_and_no_call(load):
    async with served(lambda asked: right(asked) | {"id": "c999"}) as url:
        report = await load(url)
    assert report.calls == 0
    assert len(report.failures) == 4
    assert "c999" in report.failures[0]


async def test_an_id_of_another_type_is_a_failure(load):
    async with served(lambda asked: right(asked) | {"id": 0}) as url:
        assert (await load(url)).calls == 0


async def test_a_short_result_is_a_failure(load):
    async with served(lambda asked: right(asked, size=199)) as url:
        report = await load(url)
    assert report.calls == 0
    assert "199 characters instead of 200" in report.failures[0]


async def test_the_text_of_another_call_is_a_failure(load):
    def crossed(asked):
        asked["params"]["arguments"]["text"] = "n77;"
        return right(asked)

    async with served(crossed) as url:
        report = await load(url)
    assert report.calls == 0
    assert "another call" in report.failures[0]


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"code": -32000, "message": "no"}},
        {"result": {"content": [], "isError": True}},
        {"result": {"resultType": "input_required", "inputRequests": {}}},
    ],
)
async def test_an_error_is_a_failure(load, said):
    async with served(lambda asked: {"id": asked["id"]} | said) as url:
        report = await load(url)
    assert (report.calls, len(report.failures)) == (0, 4)


async def test_a_status_other_than_200_is_a_failure_even_with_a_right_body(load):
    async with served(right, status="503 Service Unavailable") as url:
        report = await load(url)
    assert report.calls == 0
    assert "503" in report.failures[0]


async def test_a_connection_lost_in_flight_is_a_failure_and_the_load_goes_on(load):
    left = [2]

    def sometimes(asked):
        left[0] -= 1
        return right(asked) if left[0] < 0 else None

    async with served(sometimes) as url:
        report = await load(url, calls=6)
    assert (report.calls, len(report.failures)) == (4, 2)


async def test_a_connection_closed_after_every_answer_is_opened_again(load):
    async with served(right, head="Content-Type: application/json\r\nConnection: close\r\n") as url:
        report = await load(url, calls=6)
    assert (report.calls, report.failures) == (6, [])


async def test_answers_may_come_as_server_sent_events(load):
    async with served(right, head="Content-Type: text/event-stream\r\n", frame="event: message\ndata: {}\n\n") as url:
        report = await load(url)
    assert (report.calls, report.failures) == (4, [])


async def test_a_load_that_only_fails_ends_early(load):
    async with served(lambda asked: right(asked, size=1)) as url:
        report = await load(url, calls=None, seconds=60)
    assert report.calls == 0
    assert 20 <= len(report.failures) < 30


async def test_nobody_listening_is_an_error(load, free_port):
    with pytest.raises(ConnectionRefusedError):
        await load(f"http://127.0.0.1:{free_port}/mcp")


async def test_a_list_is_walked_to_its_last_page_and_must_be_whole(kit):
    def paged(asked):
        second = "cursor" in asked["params"]
        names = ["tool_0002"] if second else ["echo", "tool_0001"]
        page = {"tools": [{"name": name, "inputSchema": {}} for name in names]}
        return {"id": asked["id"], "result": page if second else page | {"nextCursor": "more"}}

    async with served(paged) as url:
        whole = await kit.load.over_http(url, kit.wire.ListTools(3), concurrency=2, calls=4)
        short = await kit.load.over_http(url, kit.wire.ListTools(4), concurrency=2, calls=4)
    assert (whole.calls, whole.failures) == (4, [])
    assert short.calls == 0
    assert "3 tools instead of 4" in short.failures[0]


SHORTENED = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    text = asked["params"]["arguments"]["text"].ljust(int(sys.argv[1]), ".")
    answer = {"jsonrpc": "2.0", "id": asked["id"] + sys.argv[2], "result": {"content": [{"type": "text", "text": text}]}}
    print(json.dumps(answer), flush=True)
"""


@pytest.mark.parametrize(
    ("size", "suffix", "calls", "complaint"),
    [("200", "", 4, None), ("199", "", 0, "199 characters"), ("200", "x", 0, "nobody waits for")],
)
async def test_a_stdio_server_is_judged_like_an_http_one(kit, size, suffix, calls, complaint):
    server = kit.stdio_load.StdioServer()
    await server.start([sys.executable, "-c", SHORTENED, size, suffix])
    with anyio.fail_after(20):
        report = await server.load(kit.wire.Echo("echo", 200), concurrency=2, calls=4)
        await server.close()
    assert report.calls == calls
    assert bool(report.failures) == (complaint is not None)
    assert complaint is None or complaint in report.failures[0]


@pytest.mark.parametrize("size", [200, 1_000_000])
async def test_the_backend_of_the_benchmark_gives_right_answers_on_pipes(kit, size):
    server = kit.stdio_load.StdioServer()
    await server.start([sys.executable, str(BENCHMARKS / "backend.py"), "--tools", "7"])
    with anyio.fail_after(20):
        calls = await server.load(kit.wire.Echo("echo", size), concurrency=2, calls=4)
        lists = await server.load(kit.wire.ListTools(7), concurrency=2, calls=4)
        await server.close()
    assert (calls.calls, calls.failures, lists.calls, lists.failures) == (4, [], 4, [])
