"""HTTP proxies of the environment: which one an address goes through, and the tunnel to it.

CONNECT as of RFC 9110 section 9.3.6, for http addresses too; the variables are those that curl reads (`https_proxy`,
`http_proxy`, `all_proxy`, `no_proxy`, also in capitals). Loopback addresses never go through a proxy.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

_MAX_HEAD: Final = 16 * 1024
_PORT: Final = {"http": 80, "https": 443}


class Target(Protocol):
    """Where a tunnel shall lead."""

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken inside the tunnel."""
        ...

    @property
    def host(self) -> str:
        """Host name or address."""
        ...

    @property
    def port(self) -> int:
        """TCP port."""
        ...


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy. `shown` is scheme, host and port, for messages."""

    secure: bool
    host: str
    port: int
    authorization: str = field(repr=False)
    shown: str


class ProxyError(OSError):
    """The proxy refused the tunnel, or is of a kind that we do not speak; the text says which."""


def proxy_for(target: Target, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy of an address, or None for a direct connection.

    Raises:
        ProxyError: the environment names a proxy that we cannot use.
    """
    scheme = "https" if target.secure else "http"
    url = next((value for name in (f"{scheme}_proxy", "all_proxy") if (value := _variable(environ, name))), "")
    if not url or _excepted(target, _variable(environ, "no_proxy")):
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ProxyError(f"the environment's {scheme}_proxy is no URL") from None
    if parts.scheme not in _PORT or not host:
        raise ProxyError(f"the environment's {scheme}_proxy is of a kind that is not supported ({parts.scheme})")
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"proxy-authorization: Basic {base64.b64encode(pair.encode()).decode('ascii')}\r\n"
    port = port or _PORT[parts.scheme]
    return Proxy(parts.scheme == "https", host, port, authorization, f"{parts.scheme}://{host}:{port}")


async def connect_through(
    proxy: Proxy, target: Target, protocol: asyncio.BufferedProtocol, tls: ssl.SSLContext | None
) -> None:
    """Open a tunnel and give it to `protocol`, whose `connection_made` is called when it can be written to.

    `tls` is spoken inside the tunnel.

    Raises:
        OSError: no connection to the proxy, or no tunnel.
    """
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[int] = loop.create_future()
    outer = ssl.create_default_context() if proxy.secure else None
    transport, _ = await loop.create_connection(lambda: _Greeting(opened), proxy.host, proxy.port, ssl=outer)
    ready = False
    try:
        host = f"[{target.host}]" if ":" in target.host else target.host
        address = f"{host}:{target.port}"
        head = f"CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n{proxy.authorization}\r\n"
        transport.write(head.encode("latin-1"))
        status = await opened
        if status // 100 != 2:  # noqa: PLR2004 - any success opens the tunnel
            why = "wants sign-in" if status == 407 else "refused the connection"  # noqa: PLR2004
            raise ProxyError(f"the proxy {proxy.shown} {why} (HTTP {status})")
        if tls is None:
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
        else:
            inner = await loop.start_tls(transport, protocol, tls, server_hostname=target.host)
            if inner is None:
                raise ProxyError(f"the connection through the proxy {proxy.shown} was lost")
            protocol.connection_made(inner)
        ready = True
    finally:
        if not ready:
            transport.abort()


class _Greeting(asyncio.Protocol):
    """Reads the proxy's answer to CONNECT; `opened` gets its status."""

    def __init__(self, opened: asyncio.Future[int]) -> None:
        self._opened = opened
        self._head = b""

    def data_received(self, data: bytes) -> None:
        """Collect the head of the answer, bounded."""
        if self._opened.done():
            return
        self._head += data
        if b"\r\n\r\n" in self._head:
            word = self._head.split(b" ", 2)[1:2]
            status = int(word[0]) if word and word[0].isdigit() else 0
            self._opened.set_result(status)
        elif len(self._head) > _MAX_HEAD:
            self._opened.set_exception(ProxyError("the proxy's answer is no HTTP"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The proxy hung up."""
        if not self._opened.done():
            self._opened.set_exception(exc or ProxyError("the proxy closed the connection"))


def _variable(environ: Mapping[str, str], name: str) -> str:
    if name == "http_proxy" and "REQUEST_METHOD" in environ:
        return environ.get(name, "")  # under CGI the capitals would be a header that any client can send
    return environ.get(name) or environ.get(name.upper(), "")


def _excepted(target: Target, exceptions: str) -> bool:
    host = target.host.lower().rstrip(".")
    try:
        if ipaddress.ip_address(host).is_loopback:
            return True
    except ValueError:
        if host == "localhost" or host.endswith(".localhost"):
            return True
    for entry in exceptions.lower().replace(",", " ").split():
        name, _, port = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        if port and port != str(target.port):
            continue
        name = name.removeprefix("*").strip("[]")
        if not name or host == name.lstrip(".") or host.endswith("." + name.lstrip(".")) or _in_network(host, name):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    try:
        return "/" in network and ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
