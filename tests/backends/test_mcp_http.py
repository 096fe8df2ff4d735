import anyio
import pytest
from http_kit import DISCOVERY, Ears, spec
from http_legacy_raw import INITIALIZED, accept
from http_raw import raw_server

from mcp_orchestrator.backends import mcp_http
from mcp_orchestrator.backends.mcp_http import HttpBackend
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import EraPolicy

pytestmark = pytest.mark.anyio


def server(discover, initialize=None):
    """A server by what it does with `server/discover` and with `initialize` (accepted if None)."""

    def play(request):
        method = request.json.get("method") if request.body else request.method
        if method == "server/discover":
            return discover(request)
        if method == "initialize":
            return initialize(request) if initialize else request.result(INITIALIZED)
        if method == "GET":
            return request.reply(b"", status="405 Method Not Allowed")
        return accept(request)

    return raw_server(play)


async def opened(context, era=None, policy=EraPolicy.AUTO, **settings):
    """The era in which a server is opened, and the methods that it was asked."""
    async with context as running:
        backend = HttpBackend(spec(running.url, era=policy, **settings))
        try:
            with anyio.fail_after(5):
                session = await backend.open(Ears().opening(era))
            await session.close()
        finally:
            await backend.aclose()
        return session.era, [request.json["method"] for request in running.requests if request.body]


async def failed(context, era=None, **settings):
    with pytest.raises(BackendError) as caught:
        await opened(context, era, **settings)
    return caught.value


def discovered(request):
    request.result(DISCOVERY)


async def test_a_server_that_discovers_is_modern():
    era, methods = await opened(server(discovered))
    assert (era, methods) == (Era.MODERN, ["server/discover"])


@pytest.mark.parametrize(
    "refusal",
    [
        *(lambda r, s=status: r.reply(b"no", status=s) for status in ("400 x", "404 x", "405 x", "406 x", "415 x")),
        lambda r: r.reply(b"crash", status="500 x"),
        lambda r: r.error(-32601, "Method not found"),
        lambda r: r.error(-32000, "Bad Request: Server not initialized", status="400 Bad Request"),
        lambda r: r.error(-32022, "version", {"supported": ["2025-06-18"]}, status="400 Bad Request"),
        lambda r: r.result({"supportedVersions": ["2025-11-25"], "capabilities": {}}),
        lambda r: r.result({"hello": "there"}),
        lambda r: r.reply(b"<html>", kind="text/html"),
        lambda r: r.reply(b"", status="202 Accepted"),
    ],
)
async def test_every_way_not_to_know_discovery_leads_to_initialize(refusal):
    era, methods = await opened(server(refusal))
    assert era is Era.LEGACY
    assert methods[:2] == ["server/discover", "initialize"]


async def test_a_version_that_both_speak_is_asked_for_once_more():
    def discover(request):
        if request.number == 1:
            request.error(-32022, "version", {"supported": ["2026-07-28"]}, status="400 Bad Request")
        else:
            discovered(request)

    era, methods = await opened(server(discover))
    assert (era, methods) == (Era.MODERN, ["server/discover"] * 2)


async def test_a_server_of_unknown_modern_versions_is_no_legacy_server():
    error = await failed(server(lambda r: r.error(-32022, "version", {"supported": ["2031-01-01"]}, status="400 x")))
    assert error.code == -32022
    assert "2031-01-01" in error.message


async def test_silence_to_discovery_leads_to_initialize(monkeypatch):
    monkeypatch.setattr(mcp_http, "_PATIENCE", 0.1)
    era, _ = await opened(server(lambda request: request.gone()))
    assert era is Era.LEGACY


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "429 Too Many", "502 Bad Gateway", "503 x"])
async def test_sign_in_and_outages_are_no_verdict(status):
    async with server(lambda r: r.reply(b"", status=status)) as running:
        with pytest.raises(BackendError):
            await HttpBackend(spec(running.url)).open(Ears().opening())
        assert len(running.requests) == 1


async def test_a_redirect_is_named_and_not_followed():
    extra = "location: https://elsewhere.example/mcp?token=x\r\n"
    error = await failed(server(lambda r: r.reply(b"", status="308 Permanent Redirect", extra=extra)))
    assert error.kind is FailureKind.UNAVAILABLE
    assert "redirects to https://elsewhere.example/mcp (" in error.message


@pytest.mark.parametrize(
    "discover",
    [lambda r: r.close(), lambda r: (r.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{"), r.close())[1]],
)
async def test_a_connection_that_breaks_while_shaking_hands_is_unavailable(discover):
    error = await failed(server(discover))
    assert error.kind is FailureKind.UNAVAILABLE


async def test_a_wanted_era_is_the_only_one_tried():
    era, methods = await opened(server(discovered), Era.LEGACY)
    assert (era, "server/discover" in methods) == (Era.LEGACY, False)
    error = await failed(server(lambda r: r.error(-32601, "no")), Era.MODERN)
    assert (error.kind, error.code) == (FailureKind.BACKEND_ERROR, -32022)
    era, _ = await opened(server(discovered), policy=EraPolicy.LEGACY)
    assert era is Era.LEGACY
    assert HttpBackend(spec("http://x/", era=EraPolicy.MODERN)).eras == (Era.MODERN,)
    assert HttpBackend(spec("http://x/")).eras == (Era.MODERN, Era.LEGACY)


async def test_a_server_that_never_answers_is_given_up_in_time():
    error = await failed(server(lambda r: r.gone(), lambda r: r.gone()), start_timeout=0.2)
    assert error.kind is FailureKind.UNAVAILABLE
    assert "within 0.2 s" in error.message


async def test_an_initialize_refused_by_status_without_an_older_transport_keeps_its_reason():
    def no(request):
        request.reply(b"", status="404 Not Found")

    error = await failed(server(no, no))
    assert error.data == {"httpStatus": 404}
    assert "check the server's `url`" in error.message


async def test_a_configured_header_that_cannot_be_sent_is_named_without_its_value():
    error = await failed(server(discovered), headers=[("X-Key", "se\ncret")])
    assert error.kind is FailureKind.INVALID
    assert "X-Key" in error.message
    assert "cret" not in error.message


@pytest.mark.parametrize("url", ["mcp.example", "ftp://a/b", ""])
async def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(BackendError) as caught:
        await HttpBackend(spec(url)).open(Ears().opening())
    assert caught.value.kind is FailureKind.INVALID
