import asyncio
import gzip
import os
import socket
import ssl

import anyio
import pytest
from http_kit import until
from http_raw import raw_server
from tls_kit import certificate

from mcp_orchestrator.backends import http_pool
from mcp_orchestrator.backends.http_pool import Endpoint, HttpPool, header_lines
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

pytestmark = pytest.mark.anyio
JSON = [("content-type", "application/json")]


class Use:
    """A pool towards one raw server, closed with the test."""

    def __init__(self, server, **settings):
        settings.setdefault("max_body", 1_000_000)
        self.endpoint = Endpoint.parse(server.url)
        self.pool = HttpPool(self.endpoint, **settings)
        self.head = self.endpoint.head("POST", JSON)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.pool.aclose()

    def post(self, body=b"{}", **options):
        return self.pool.request(self.head, body, **options)


def echo(request):
    request.reply(request.body)


async def failure(awaitable):
    with pytest.raises(BackendError) as caught:
        await awaitable
    return caught.value


async def test_requests_share_one_kept_connection_and_carry_their_headers():
    async with raw_server(echo) as server, Use(server) as use:
        for number in range(5):
            response = await use.post(b"%d" % number)
            assert (response.status, response.body()) == (200, b"%d" % number)
        assert server.connections == 1
        assert server.requests[0].headers == {
            "host": f"127.0.0.1:{server.port}",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "content-length": "1",
        }


async def test_many_at_once_use_as_many_connections_as_allowed_and_no_more():
    most = 0
    busy = 0

    async def script(request):
        nonlocal most, busy
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        busy -= 1
        request.reply(request.body)

    async with raw_server(script) as server, Use(server, max_connections=4) as use:
        answers = await asyncio.gather(*(use.post(b"%d" % number) for number in range(40)))
        assert [answer.body() for answer in answers] == [b"%d" % number for number in range(40)]
        assert server.connections <= 4
        assert most <= 4
        assert use.pool.idle_connections == use.pool.open_connections <= 4


async def test_an_urgent_request_passes_the_limit():
    release = asyncio.Event()

    async def script(request):
        if request.body == b"slow":
            await release.wait()
        request.reply(request.body)

    async with raw_server(script) as server, Use(server, max_connections=1) as use:
        slow = asyncio.ensure_future(use.post(b"slow"))
        with anyio.fail_after(5):
            assert (await use.post(b"now", urgent=True)).body() == b"now"
        release.set()
        assert (await slow).body() == b"slow"


async def test_an_answer_may_be_cut_at_every_byte():
    body = b'{"a":1}'
    wire = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n3\r\n"
        + body[:3]
        + b"\r\n4\r\n"
        + body[3:]
        + b"\r\n0\r\nX-Trailer: 1\r\n\r\n"
    )

    async def script(request):
        for index in range(len(wire)):
            request.write(wire[index : index + 1])
            await request.writer.drain()
            await asyncio.sleep(0)

    async with raw_server(script) as server, Use(server) as use:
        for _ in range(2):
            response = await use.post()
            assert (response.status, response.body()) == (200, body)
            assert response.header(b"content-type") == "application/json"
        assert server.connections == 1


@pytest.mark.parametrize("size", [0, 1, 65_536, 300_000, 2_500_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_of_every_size_arrive_whole(size, chunked):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    def script(request):
        if chunked:
            request.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for start in range(0, size, 100_000):
                request.chunk(body[start : start + 100_000])
            request.end_events()
        else:
            request.reply(body)

    async with raw_server(script) as server, Use(server, max_body=4_000_000) as use:
        for _ in range(2):
            response = await use.post()
            assert response.body() == body
            assert response.size == size
        assert server.connections == 1


async def test_a_body_without_length_ends_with_the_connection():
    def script(request):
        request.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        request.close()

    async with raw_server(script) as server, Use(server) as use:
        assert (await use.post()).body() == b"all of it"
        assert (await use.post()).body() == b"all of it"
        assert server.connections == 2


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_beyond_the_limit_is_refused_and_the_connection_closed(announced):
    async def script(request):
        if announced:
            request.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
        else:
            request.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            request.chunk(b"x" * 5000)
        await request.gone()

    async with raw_server(script) as server, Use(server, max_body=4096) as use:
        with anyio.fail_after(5):
            error = await failure(use.post())
        assert error.kind is FailureKind.BAD_ANSWER
        assert "limit" in error.message
        assert "4096" in error.message
        assert use.pool.open_connections == 0


async def test_a_compressed_answer_is_refused_in_words():
    def script(request):
        request.reply(gzip.compress(b"{}"), extra="content-encoding: gzip\r\n")

    async with raw_server(script) as server, Use(server) as use:
        error = await failure(use.post())
        assert error.kind is FailureKind.BAD_ANSWER
        assert "compressed (gzip)" in error.message


@pytest.mark.parametrize(
    "wire",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000,
    ],
)
async def test_what_is_no_http_is_a_bad_answer_and_bounded(wire):
    async def script(request):
        request.write(wire)
        await request.gone()

    async with raw_server(script) as server, Use(server) as use:
        with anyio.fail_after(5):
            error = await failure(use.post())
        assert error.kind is FailureKind.BAD_ANSWER
        assert use.pool.open_connections == 0


async def test_bytes_after_an_answer_do_not_reach_the_next_one():
    def script(request):
        request.write(
            b"HTTP/1.1 200 OK\r\nx: mine\r\ncontent-length: 2\r\n\r\n{}"
            b"HTTP/1.1 200 OK\r\nx: forged\r\ncontent-length: 4\r\n\r\nevil"
        )

    async with raw_server(script) as server, Use(server) as use:
        for _ in range(3):
            response = await use.post()
            assert response.body() == b"{}"
            assert response.header(b"x") == "mine"
        assert server.connections == 3


async def test_nothing_is_sent_twice_when_a_kept_connection_breaks_under_a_call():
    def script(request):
        if request.body == b"second":
            request.close()
        else:
            request.reply(b"ok")

    async with raw_server(script) as server, Use(server) as use:
        await use.post(b"first")
        error = await failure(use.post(b"second"))
        assert error.kind is FailureKind.DIED
        assert error.sent
        assert [request.body for request in server.requests] == [b"first", b"second"]


async def test_a_harmless_request_is_sent_again_once_on_a_new_connection():
    def script(request):
        if request.number == 2:
            request.close()
        else:
            request.reply(request.body)

    async with raw_server(script) as server, Use(server) as use:
        await use.post(b"first")
        assert (await use.post(b"again", replayable=True)).body() == b"again"
        assert [request.body for request in server.requests] == [b"first", b"again", b"again"]
        assert server.connections == 2


async def test_a_connection_that_the_server_closed_while_idle_is_not_written_to():
    closed = asyncio.Event()

    async def script(request):
        request.reply(request.body)
        if request.number == 1:
            await request.writer.drain()
            request.close()
            await request.writer.wait_closed()
            closed.set()

    async with raw_server(script) as server, Use(server) as use:
        await use.post(b"first")
        await closed.wait()
        await until(lambda: not use.pool.open_connections)
        assert (await use.post(b"second")).body() == b"second"
        assert server.connections == 2


async def test_a_close_that_still_waits_in_the_socket_is_noticed_before_writing(monkeypatch):
    monkeypatch.setattr(http_pool, "_PROBE_AFTER_SECONDS", -1.0)
    async with raw_server(echo) as server, Use(server) as use:
        await use.post(b"first")
        (idle,) = use.pool._idle
        assert idle.silent()
        descriptor = server.requests[0].writer.transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(descriptor)) as peer:
            peer.shutdown(socket.SHUT_WR)
        # No turn of the loop in between: the pool has not been told, only the kernel knows.
        assert not idle.silent()
        assert (await use.post(b"second")).body() == b"second"
        assert server.connections == 2


async def test_a_server_that_closes_each_connection_is_served_with_new_ones():
    def script(request):
        request.reply(request.body, extra="connection: close\r\n")

    async with raw_server(script) as server, Use(server) as use:
        for body in (b"1", b"2"):
            assert (await use.post(body)).body() == body
        assert server.connections == 2


async def test_a_connection_lost_in_the_middle_of_an_answer_died():
    def script(request):
        request.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        request.close()

    async with raw_server(script) as server, Use(server) as use:
        error = await failure(use.post())
        assert error.kind is FailureKind.DIED
        assert "middle" in error.message


async def test_a_caller_who_leaves_closes_the_connection_and_frees_its_place():
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(request):
        if request.number == 1:
            asked.set()
            await request.gone()
            gone.set()
        else:
            request.reply(request.body)

    async with raw_server(script) as server, Use(server, max_connections=1) as use:
        leaving = asyncio.ensure_future(use.post(b"1"))
        await asked.wait()
        waiting = asyncio.ensure_future(use.post(b"2"))
        given_up = asyncio.ensure_future(use.post(b"3"))
        await asyncio.sleep(0)
        given_up.cancel()
        leaving.cancel()
        with anyio.fail_after(5):
            await gone.wait()
            assert (await waiting).body() == b"2"
        assert leaving.cancelled()
        assert not use.pool._queue
        assert use.pool.open_connections == 1


async def test_idle_connections_are_closed_after_their_time():
    async with raw_server(echo) as server, Use(server, idle=0.05) as use:
        await use.post()
        await until(lambda: not use.pool.open_connections)
        assert use.pool.idle_connections == 0


async def test_the_keep_alive_time_that_a_server_tells_is_kept():
    def script(request):
        request.reply(b"{}", extra="keep-alive: timeout=1\r\n")

    async with raw_server(script) as server, Use(server) as use:
        await use.post()
        (idle,) = use.pool._idle
        assert idle.idle_limit == 0.0


async def test_an_event_stream_arrives_as_it_comes_and_its_connection_is_kept():
    more = asyncio.Event()
    seen = []
    first = asyncio.Event()

    async def script(request):
        request.start_events()
        request.chunk(b"data: 1\n\n")
        await more.wait()
        request.chunk(b"data: 2\n\n")
        request.end_events()

    def take(chunk):
        seen.append(chunk)
        if chunk:  # an empty one only says that the stream is open
            first.set()
        return b"2" in chunk

    async with raw_server(script) as server, Use(server) as use:
        answer = asyncio.ensure_future(use.post(on_chunk=take))
        with anyio.fail_after(5):
            await first.wait()
            assert b"".join(seen) == b"data: 1\n\n"
            more.set()
            await answer
            await use.post(on_chunk=take)
        assert server.connections == 1


async def test_an_answer_that_is_not_a_stream_is_collected_though_a_stream_was_allowed():
    async with raw_server(echo) as server, Use(server) as use:
        assert (await use.post(b"{}", on_chunk=lambda _: True)).body() == b"{}"


async def test_a_stream_that_talks_on_after_its_answer_loses_its_connection():
    gone = asyncio.Event()

    async def script(request):
        request.start_events()
        request.chunk(b"data: answer\n\n")
        for _ in range(100):
            request.chunk(b": " + b"x" * 10_000 + b"\n")
        await request.gone()
        gone.set()

    async with raw_server(script) as server, Use(server) as use:
        await use.post(on_chunk=lambda _: True)
        with anyio.fail_after(5):
            await gone.wait()
        assert use.pool.open_connections == 0


async def test_a_stream_that_ends_before_its_answer_died():
    def script(request):
        request.start_events()
        request.chunk(b"data: 1\n\n")
        request.end_events()

    async with raw_server(script) as server, Use(server) as use:
        error = await failure(use.post(on_chunk=lambda _: False))
        assert error.kind is FailureKind.DIED
        assert "ended its event stream" in error.message


async def test_a_reader_who_finds_a_stream_wrong_ends_it():
    async def script(request):
        request.start_events()
        request.chunk(b"data: 1\n\n")
        await request.gone()

    def refuse(_chunk):
        raise BackendError(FailureKind.BAD_ANSWER, "no")

    async with raw_server(script) as server, Use(server) as use:
        assert (await failure(use.post(on_chunk=refuse))).message == "no"
        assert use.pool.open_connections == 0


async def test_long_streams_do_not_count_against_the_limit():
    async def script(request):
        if request.method == "GET":
            request.start_events()
            await request.gone()
        else:
            request.reply(request.body)

    async with raw_server(script) as server, Use(server, max_connections=1) as use:
        stream = asyncio.ensure_future(use.pool.stream(use.endpoint.head("GET", []), None, lambda _: False))
        assert (await use.post(b"x")).body() == b"x"
        await use.pool.aclose()
        assert (await failure(stream)).kind is FailureKind.DIED


async def test_a_refused_connection_is_unavailable_and_nothing_was_sent(free_port):
    endpoint = Endpoint.parse(f"http://127.0.0.1:{free_port}/mcp?key=hidden")
    pool = HttpPool(endpoint, max_body=1)
    error = await failure(pool.request(endpoint.head("POST", []), b""))
    assert (error.kind, error.sent) == (FailureKind.UNAVAILABLE, False)
    assert error.message == f"cannot connect to http://127.0.0.1:{free_port}: connection refused"


async def test_an_unknown_host_is_told():
    endpoint = Endpoint.parse("http://nowhere.invalid/")
    error = await failure(HttpPool(endpoint, max_body=1).request(endpoint.head("POST", []), b""))
    assert error.kind is FailureKind.UNAVAILABLE
    assert "resolved" in error.message


async def test_a_server_without_tls_and_one_that_does_not_answer_are_told_apart():
    async def plain(_reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as listener:
        endpoint = Endpoint.parse(f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/")
        error = await failure(HttpPool(endpoint, max_body=1).request(endpoint.head("POST", []), b""))
        assert error.kind is FailureKind.UNAVAILABLE
        assert "TLS failed" in error.message

    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        endpoint = Endpoint.parse(f"https://127.0.0.1:{mute.getsockname()[1]}/")
        pool = HttpPool(endpoint, max_body=1, connect_timeout=0.1)
        error = await failure(pool.request(endpoint.head("POST", []), b""))
        assert error.kind is FailureKind.UNAVAILABLE
        assert "within 0.1 seconds" in error.message


async def test_tls_is_verified_and_carries_small_and_large_bodies(tmp_path, monkeypatch):
    paths = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*paths)
    async with raw_server(echo, tls=context) as server:
        endpoint = Endpoint.parse(server.url)
        head = endpoint.head("POST", JSON)
        distrusting = HttpPool(endpoint, max_body=1)
        error = await failure(distrusting.request(head, b"{}"))
        assert error.kind is FailureKind.UNAVAILABLE
        assert "certificate was not accepted" in error.message

        monkeypatch.setenv("SSL_CERT_FILE", paths[0])
        async with Use(server) as use:
            for body in (b"{}", b"x" * 900_000, b"{}"):
                assert (await use.post(body)).body() == body
            assert use.pool.open_connections == 1


async def test_closing_the_pool_ends_everything_that_waits():
    asked = asyncio.Event()

    async def script(request):
        asked.set()
        await request.gone()

    async with raw_server(script) as server, Use(server, max_connections=1) as use:
        calls = [asyncio.ensure_future(failure(use.post())) for _ in range(3)]
        await asked.wait()
        await use.pool.aclose()
        with anyio.fail_after(5):
            kinds = [(await call).kind for call in calls]
        assert kinds == [FailureKind.DIED, FailureKind.UNAVAILABLE, FailureKind.UNAVAILABLE]
        assert (await failure(use.post())).kind is FailureKind.UNAVAILABLE


def test_a_url_is_taken_apart_and_shown_without_its_secrets():
    endpoint = Endpoint.parse("https://ada:p%40ss@Example.org:8443/secret/mcp?token=t&q=ä#x")
    assert (endpoint.secure, endpoint.host, endpoint.port) == (True, "example.org", 8443)
    assert endpoint.target == "/secret/mcp?token=t&q=%C3%A4"
    assert endpoint.authorization == "Basic YWRhOnBAc3M="
    assert endpoint.shown == "https://example.org:8443"
    assert "secret" not in repr(endpoint)
    assert "Basic" not in repr(endpoint)
    assert Endpoint.parse("http://[::1]:80/x").authority == "[::1]"
    assert Endpoint.parse("http://bücher.example").authority == "xn--bcher-kva.example"
    assert Endpoint.parse("HTTPS://example.org/").origin == Endpoint.parse("https://EXAMPLE.org:443").origin


@pytest.mark.parametrize("url", ["", "ftp://x/", "http://", "http://a:b/", "/mcp", "http://[::1/"])
def test_what_is_no_http_url_is_refused(url):
    with pytest.raises(BackendError):
        Endpoint.parse(url)


@pytest.mark.parametrize("header", [("a b", "x"), ("x", "a\r\nb: c"), ("x", "a\0"), ("", "x"), ("x", "€")])
def test_no_header_can_forge_another_and_the_refusal_hides_its_value(header):
    with pytest.raises(ValueError, match="header") as caught:
        header_lines([header])
    assert header[1] not in str(caught.value) or header[1] == "x"
