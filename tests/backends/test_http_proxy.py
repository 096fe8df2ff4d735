import asyncio
import contextlib
import ssl
from types import SimpleNamespace

import pytest
from http_raw import raw_server
from tls_kit import certificate

from mcp_orchestrator.backends.http_pool import Endpoint, HttpPool
from mcp_orchestrator.backends.http_proxy import Proxy, ProxyError, proxy_for
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def tunnel_proxy(status="200 Connection established"):
    """A proxy that takes CONNECT; keeps the heads that it got."""
    heads = []
    pipes = set()

    async def copy(reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
            writer.close()

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
        if not status.startswith("200"):
            writer.close()
            return
        host, _, port = head.split(" ")[1].rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        pipes.update({asyncio.ensure_future(copy(reader, back)), asyncio.ensure_future(copy(there, writer))})

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Proxy(secure=False, host="127.0.0.1", port=port, authorization="x-key: 1\r\n", shown="the-proxy"), heads
    finally:
        server.close()
        await asyncio.gather(*pipes, return_exceptions=True)


def echo(request):
    request.reply(request.body)


@pytest.mark.parametrize("secure", [False, True])
async def test_calls_pass_through_a_tunnel(secure, tmp_path, monkeypatch):
    tls = None
    if secure:
        paths = certificate(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", paths[0])
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*paths)
    async with raw_server(echo, tls=tls) as server, tunnel_proxy() as (proxy, heads):
        endpoint = Endpoint.parse(server.url)
        pool = HttpPool(endpoint, max_body=2_000_000, proxy=proxy)
        head = endpoint.head("POST", [])
        for body in (b"{}", b"x" * 1_000_000, b"{}"):
            assert (await pool.request(head, body)).body() == body
        assert heads == [
            f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\nx-key: 1\r\n\r\n"
        ]
        await pool.aclose()


@pytest.mark.parametrize(("status", "words"), [("407 Sign in", "wants sign-in"), ("403 No", "refused the connection")])
async def test_a_proxy_that_refuses_is_told_apart_from_the_server(status, words):
    async with tunnel_proxy(status) as (proxy, _):
        endpoint = Endpoint.parse("http://server.example/")
        with pytest.raises(BackendError) as caught:
            await HttpPool(endpoint, max_body=1, proxy=proxy).request(endpoint.head("POST", []), b"")
        assert (caught.value.kind, caught.value.sent) == (FailureKind.UNAVAILABLE, False)
        assert f"the proxy the-proxy {words}" in caught.value.message


def to(host, port=443, *, secure=True):
    return SimpleNamespace(host=host, port=port, secure=secure)


def test_the_variables_of_the_environment_choose_the_proxy():
    proxy = proxy_for(to("a.example"), {"HTTPS_PROXY": "http://u:p%40@proxy.example:3128", "no_proxy": "b.example"})
    assert (proxy.secure, proxy.host, proxy.port, proxy.shown) == (
        False,
        "proxy.example",
        3128,
        "http://proxy.example:3128",
    )
    assert proxy.authorization == "proxy-authorization: Basic dTpwQA==\r\n"
    assert "dTpwQA" not in repr(proxy)
    assert proxy_for(to("a.example"), {"all_proxy": "proxy.example"}).port == 80
    assert proxy_for(to("a.example", 80, secure=False), {"HTTPS_PROXY": "x"}) is None
    assert proxy_for(to("a.example", 80, secure=False), {"HTTP_PROXY": "x", "REQUEST_METHOD": "GET"}) is None
    assert proxy_for(to("a.example"), {}) is None


@pytest.mark.parametrize(
    ("host", "exceptions", "direct"),
    [
        ("a.example", "a.example", True),
        ("x.a.example", ".a.example, other", True),
        ("x.a.example", "*.a.example", True),
        ("x.a.example", "a.example:443", True),
        ("x.a.example", "a.example:80", False),
        ("xa.example", "a.example", False),
        ("a.example", "*", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("localhost", "", True),
        ("127.0.0.1", "", True),
        ("::1", "", True),
        ("b.example", "", False),
    ],
)
def test_exceptions_and_loopback_go_direct(host, exceptions, direct):
    environ = {"https_proxy": "http://proxy.example", "NO_PROXY": exceptions}
    assert (proxy_for(to(host), environ) is None) is direct


@pytest.mark.parametrize("url", ["socks5://proxy.example:1080", "http://[", "http://"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(url):
    with pytest.raises(ProxyError, match="https_proxy"):
        proxy_for(to("a.example"), {"https_proxy": url})
