"""Host, origin, accept, content type and size, checked before anyone reads the meaning of a request."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from listener_wire import initialize, raw_request, serving

from mcp_orchestrator.listeners import http_guard
from mcp_orchestrator.listeners.http_guard import Exchange, Guard, Rejection, preflight_headers
from mcp_orchestrator.model.snapshot import HttpSpec

pytestmark = pytest.mark.anyio
ALLOWED = HttpSpec(
    allowed_hosts=("gw.example", "gw.example:9000", "*.wild.example"), allowed_origins=("https://app.example",)
)


def status(guard, **headers):
    rejection = guard.check({name.encode(): value.encode() for name, value in headers.items()})
    return 200 if rejection is None else rejection.status


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:1", "[::1]:8808", "LOCALHOST:5", "gw.example", "gw.example:9000", "gw.example:1"]
)
def test_loopback_and_configured_hosts_are_served(host):
    guard = Guard(ALLOWED)
    assert status(guard, host=host) == 200
    assert status(guard, host=host) == 200  # remembered


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil", "wild.example", "[::2]", "[", "0.0.0.0"]
)
def test_other_hosts_are_misdirected(host):
    assert status(Guard(ALLOWED), host=host) == 421


def test_a_wildcard_covers_names_below_it_only():
    guard = Guard(ALLOWED)
    assert status(guard, host="a.b.wild.example:80") == 200
    assert status(guard, host="xwild.example") == 421


def test_the_address_that_is_listened_on_is_a_host_of_its_own():
    assert status(Guard(HttpSpec(host="192.0.2.7")), host="192.0.2.7:8808") == 200
    assert status(Guard(HttpSpec(host="0.0.0.0")), host="0.0.0.0:8808") == 421


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:1", "https://app.example"]
)
def test_loopback_and_configured_origins_may_call(origin):
    assert status(Guard(ALLOWED), host="localhost", origin=origin) == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://app.example",
        "file://localhost",
        "http://localhost.evil",
        "http://[::",
    ],
)
def test_other_origins_are_forbidden(origin):
    assert status(Guard(ALLOWED), host="localhost", origin=origin) == 403


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_host_and_no_origin_breaks_the_guard(host, origin):
    sent = {b"host": host.encode("utf-8", "replace"), b"origin": origin.encode("utf-8", "replace")}
    rejection = Guard(ALLOWED).check(sent)
    assert rejection is None or rejection.status in (403, 421)


def test_verdicts_are_remembered_within_bounds():
    guard = Guard(ALLOWED)
    for number in range(1000):
        assert status(guard, host=f"localhost:{number}") == 200
        guard.accepts({b"accept": b"x/%d" % number})
    assert len(guard._good_hosts) <= 256
    assert len(guard._accepts) <= 256


@pytest.mark.parametrize(
    ("accept", "events"),
    [
        (b"application/json, text/event-stream", True),
        (b"Text/Event-Stream;q=0.5, */*", True),
        (b"*/*", False),
        (b"application/json", False),
        (None, False),
    ],
)
def test_only_a_client_that_names_event_streams_is_answered_in_events(accept, events):
    assert Guard(ALLOWED).wants_events({} if accept is None else {b"accept": accept}) is events


async def test_the_guard_stands_before_every_path_and_method():
    async with serving() as served:
        for method, path in (("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp"), ("GET", "/healthz"), ("GET", "/x")):
            assert (await raw_request(served.url, method, {"host": "evil.example"}, path=path))[0] == 421
            assert (await raw_request(served.url, method, {"origin": "http://evil.example"}, path=path))[0] == 403


async def test_pages_of_an_allowed_origin_may_read_answers_and_others_get_no_such_headers():
    async with serving(allowed_origins=("https://app.example",)) as served:
        origin = {"origin": "https://app.example"}
        asked = {**origin, "access-control-request-headers": "mcp-param-region, x-y"}
        status_code, headers, _ = await raw_request(served.url, "OPTIONS", asked)
        assert status_code == 204
        assert headers["access-control-allow-origin"] == "https://app.example"
        assert "mcp-session-id" in headers["access-control-allow-headers"]
        assert "mcp-param-region" in headers["access-control-allow-headers"]
        reply = await served.client.post(served.url, json=initialize(), headers=origin)
        assert reply.headers["access-control-allow-origin"] == "https://app.example"
        assert "mcp-session-id" in reply.headers["access-control-expose-headers"]
        plain = await served.client.post(served.url, json=initialize())
        assert not [name for name in plain.headers if name.startswith("access-control")]


def test_a_preflight_cannot_inject_headers():
    answer = dict(preflight_headers({b"access-control-request-headers": b"x\r\nevil: 1"}))
    assert b"evil" not in answer[b"access-control-allow-headers"]


async def test_a_body_must_be_json_by_name():
    async with serving() as served:
        for kind in ("text/plain", "application/jsonp", "", "-"):
            assert (await raw_request(served.url, "POST", {"content-type": kind}, b"{}"))[0] == 415


async def test_a_body_has_a_limit_whether_declared_or_not():
    async with serving(max_body_bytes=1000) as served:
        sent = {"content-type": "application/json"}
        assert (await raw_request(served.url, "POST", {**sent, "content-length": "1001"}))[0] == 413
        assert (await raw_request(served.url, "POST", {**sent, "content-length": "9" * 19}))[0] == 413
        chunked = {**sent, "content-length": "-", "transfer-encoding": "chunked"}
        assert (await raw_request(served.url, "POST", chunked, b"3e9\r\n" + b" " * 1001 + b"\r\n0\r\n\r\n"))[0] == 413
        slowly = b"1f4\r\n" + b" " * 500 + b"\r\n"
        assert (await raw_request(served.url, "POST", chunked, slowly * 3 + b"0\r\n\r\n"))[0] == 413
        fits = await raw_request(served.url, "POST", chunked, slowly * 2 + b"0\r\n\r\n")
        assert fits[0] == 400  # nothing but blanks is no JSON, but it was read


async def read(messages, limit=10):
    queue = list(messages)

    async def receive():
        if not queue:
            await asyncio.get_running_loop().create_future()
        return queue.pop(0)

    async def send(_message):
        raise AssertionError("the guard answers nothing itself")

    exchange = Exchange("POST", [], {b"content-type": b"application/json"}, receive, send)
    return await Guard(HttpSpec(max_body_bytes=limit)).read_json(exchange)


def part(body, *, more=False):
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_parts_is_one_body_and_a_client_that_leaves_is_no_error_of_ours():
    assert await read([part(b'{"a"', more=True), part(b":", more=True), part(b"1}")]) == {"a": 1}
    assert await read([part(b"null")]) is None
    for left in ([{"type": "http.disconnect"}], [part(b"{", more=True), {"type": "http.disconnect"}]):
        assert isinstance(await read(left), Rejection)


async def test_a_body_that_never_ends_is_given_up(monkeypatch):
    monkeypatch.setattr(http_guard, "BODY_SECONDS", 0.01)
    slow = await read([part(b"{", more=True)])
    assert isinstance(slow, Rejection)
    assert slow.status == 408
