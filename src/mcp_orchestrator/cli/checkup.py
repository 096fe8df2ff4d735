"""What `doctor` examines, one function an area; each yields what it found."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import os
import platform
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from mcp_orchestrator.backends.mcp import create
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.gateways import running_card
from mcp_orchestrator.cli.loading import ERROR, Configuration, Loading, look
from mcp_orchestrator.cli.results import needs_sign_in
from mcp_orchestrator.config.identities import is_loopback
from mcp_orchestrator.listeners.control import GatewayCard, read_card
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.snapshot import BackendSpec, StorageSpec, TransportKind
from mcp_orchestrator.plugin_api import Backend, Opening
from mcp_orchestrator.storage.choice import database_of
from mcp_orchestrator.storage.connecting import open_reader
from mcp_orchestrator.storage.trouble import StorageError
from mcp_orchestrator.wiring import SERVER_INFO, run

SLOW: Final = 10.0
"""Seconds from which a start counts as slow: some clients give up on a server after this (November 2026)."""

_DOCKER_PATIENCE: Final = 5.0
_LAST_WORDS: Final = 3
_CONTAINERS: Final = frozenset({"docker", "podman"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `status` is ok, warning or problem; `code` is what a problem ends with."""

    status: str
    area: str
    text: str
    fix: str = ""
    code: Exit = Exit.USAGE
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"status": self.status, "area": self.area, "text": self.text, "fix": self.fix, "facts": self.facts}


Tell = Callable[[Iterable[Finding]], None]


def examine(config: Path | None, tell: Tell, *, start: bool) -> None:
    """Look at everything, telling what is found as it is found. With `start`, every backend is opened once."""
    tell(_python())
    loading = look(config)
    tell(_configuration(loading))
    if loading.path is None or loading.snapshot is None:
        return
    configuration = Configuration(loading.path, loading.snapshot, loading.problems)
    card = running_card(configuration)
    tell(_state(configuration, card))
    tell(_port(configuration, card))
    tell(_sign_in(configuration))
    specs = list(configuration.snapshot.backends.values())
    for spec in specs:
        tell(_mistakes(spec))
    if start:
        run(lambda: _open_all([spec for spec in specs if not spec.disabled], tell))
        agents = [spec for spec in configuration.snapshot.agents.values() if not spec.disabled]
        if agents:
            from mcp_orchestrator.cli.checkup_agents import look_at_all  # noqa: PLC0415 - it builds on this room

            run(lambda: look_at_all(agents, tell))


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    if importlib.util.find_spec("uvloop") is None and os.name == "posix":
        yield Finding("warning", "python", f"{version}, without uvloop: slower", "pip install uvloop")
    else:
        yield Finding("ok", "python", f"{version} on {platform.system()}")


def _configuration(loading: Loading) -> Iterator[Finding]:
    for problem in loading.problems:
        status = "problem" if problem.severity == ERROR else "warning"
        text = f"{problem.where}: {problem.message} ({problem.code})"
        yield Finding(status, "configuration", text, problem.fix)
    if loading.snapshot is not None:
        number = len(loading.snapshot.backends)
        yield Finding("ok", "configuration", f"{loading.path}: {number} backend{'' if number == 1 else 's'}")


# -- state and address ------------------------------------------------------------------------------------------------


def _state(configuration: Configuration, card: GatewayCard | None) -> Iterator[Finding]:
    path = configuration.snapshot.storage.path.absolute()
    if card is not None:
        yield Finding("ok", "gateway", f"running as process {card.pid}, at {card.url}", facts={"pid": card.pid})
    else:
        other = read_card(path.parent)
        if other is not None:
            text = f"process {other.pid} keeps the state of {other.config} in {path.parent}"
            fix = "stop it, or set storage.url to a file in a directory of its own"
            yield Finding("problem", "gateway", text, fix)
        else:
            yield Finding("ok", "gateway", "none is running with this configuration")
    storage = configuration.snapshot.storage
    yield _writable(path) if storage.url is None else _reached(storage)


def _sign_in(configuration: Configuration) -> Iterator[Finding]:
    """Whether callers must say who they are; a name that is no loopback one tells of a proxy before the gateway."""
    snapshot = configuration.snapshot
    if snapshot.identity.required:
        yield Finding("ok", "sign-in", "callers over HTTP need a token")
        return
    a2a = snapshot.a2a
    public = (urlsplit(a2a.public_url or "").hostname,) if a2a is not None else ()
    names = [*snapshot.http.allowed_hosts, *(a2a.allowed_hosts if a2a is not None else ()), *filter(None, public)]
    foreign = [name for name in names if not is_loopback(name.rpartition(":")[0] or name)]
    if foreign:
        text = f"nobody has to sign in, though the gateway is to be reached as {', '.join(foreign)}"
        fix = "add identity: {required: true}, and make tokens with mcp-orchestrator tokens create NAME"
        yield Finding("warning", "sign-in", text, fix)
    else:
        yield Finding("ok", "sign-in", "not required: whoever is on this machine may call")


def _reached(storage: StorageSpec) -> Finding:
    """Whether the database answers and lets us in."""
    try:
        database_of(storage).open_reader().close()
    except StorageError as error:
        if error.errno == errno.ENOENT:
            return Finding("ok", "state", f"{storage.name} answers; what we need is made there at the first start")
        if error.errno == errno.EINVAL and "older schema" in str(error):
            return Finding("ok", "state", f"{storage.name}, of an older version: brought up to date at the next start")
        return Finding("problem", "state", str(error))
    return Finding("ok", "state", storage.name)


def _writable(path: Path) -> Finding:
    existing = next(place for place in (path, *path.parents) if place.exists())
    if existing != path and not existing.is_dir():
        return Finding("problem", "state", f"{existing} is no directory", "set storage.url to another place")
    if not os.access(existing, os.W_OK | (os.X_OK if existing.is_dir() else 0)):
        fix = f"make {existing} writable, or set storage.url to another place"
        return Finding("problem", "state", f"{path} cannot be written", fix)
    if not path.exists():
        return Finding("ok", "state", f"{path} will be made")
    try:
        open_reader(path).close()
    except StorageError as error:
        if error.errno == errno.EINVAL:  # of an older version: brought up to date at the next start
            return Finding("ok", "state", f"{path}, of an older version: brought up to date at the next start")
        return Finding("problem", "state", str(error))
    return Finding("ok", "state", str(path))


def _port(configuration: Configuration, card: GatewayCard | None) -> Iterator[Finding]:
    http = configuration.snapshot.http
    where = f"{http.host}:{http.port}" if http.port else f"a port of {http.host}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(http.host, http.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if card is not None and error.errno == errno.EADDRINUSE:
            return  # by the gateway that is running
        fix = "stop the program that uses it, or choose another port: listeners.http.port"
        yield Finding("problem", "address", f"cannot listen on {where}: {error.strerror}", fix)
    else:
        if card is None:
            yield Finding("ok", "address", f"{where} is free")


# -- backends ---------------------------------------------------------------------------------------------------------


def _mistakes(spec: BackendSpec) -> Iterator[Finding]:
    """What often goes wrong with a definition, though it is no error."""
    area = f"backend {spec.name}"
    if spec.disabled:
        yield Finding("warning", area, "disabled: it offers nothing")
    if spec.transport is not TransportKind.STDIO:
        return
    if os.sep in spec.command and not Path(spec.command).is_absolute():
        fix = "write the full path, for programs that start the gateway elsewhere"
        yield Finding("warning", area, f"the command {spec.command} counts from where the gateway is started", fix)
    if spec.cwd is not None and not Path(spec.cwd).is_absolute():
        yield Finding(
            "warning", area, f"cwd {spec.cwd} counts from where the gateway is started", "write the full path"
        )


async def _open_all(specs: list[BackendSpec], tell: Tell) -> None:
    """Open every backend at the same time, so that one slow one does not hold up the others."""
    reaper = Reaper()
    try:
        tasks = [asyncio.ensure_future(_open(spec, reaper)) for spec in specs]
        for task in asyncio.as_completed(tasks):
            tell([await task])
    finally:
        await reaper.aclose()


async def _open(spec: BackendSpec, reaper: Reaper) -> Finding:
    area = f"backend {spec.name}"
    began = time.monotonic()
    stderr: list[str] = []
    backend = create(spec, reaper)
    try:
        async with asyncio.timeout(spec.start_timeout):
            offers = await _offers(backend, stderr)
    except BackendError as error:
        code = Exit.SIGN_IN if needs_sign_in({"data": error.data}) else Exit.UNREACHABLE
        text = error.message.removeprefix(f"{area}: ").removeprefix(f"{area} ")
        told = bool(spec.where) and spec.where in text  # messages that say how to mend it name the place too
        fix = await _advice(spec, stderr) or ("" if told else _remedy(spec, code))
        return Finding("problem", area, text, fix, code)
    except TimeoutError:
        text = f"no answer within {spec.start_timeout:g} s"
        fix = await _advice(spec, stderr) or f"raise backends.{spec.name}.startTimeout if it needs longer"
        return Finding("problem", area, text, fix, Exit.UNREACHABLE)
    finally:
        await backend.aclose()
    seconds = time.monotonic() - began
    facts = {
        "era": offers.era.value,
        "version": offers.version,
        "server": dict(offers.server_info),
        "seconds": round(seconds, 3),
        "tools": len(offers.tools),
    }
    server = f"{offers.server_info.get('name', '')} {offers.server_info.get('version', '')}".strip()
    era = "modern" if offers.era is Era.MODERN else "legacy"
    text = f"{server or 'it'} answers in {seconds:.2f} s; {era} ({offers.version}); {len(offers.tools)} tools"
    if seconds > SLOW:
        return Finding("warning", area, text, "start it before clients need it: start: eager", facts=facts)
    return Finding("ok", area, text, facts=facts)


async def _offers(backend: Backend, stderr: list[str]) -> Offers:
    session = await backend.open(Opening(None, client_info=SERVER_INFO, on_stderr=stderr.append))
    try:
        return await session.offers()
    finally:
        await session.close()


async def _advice(spec: BackendSpec, stderr: list[str]) -> str:
    """What may help with a backend that did not come up: the container engine, then its own last words."""
    engine = Path(spec.command).name
    if engine in _CONTAINERS and not await _engine_runs(spec.command):
        return f"{engine} does not answer: start it ({engine} info says more)"
    return f"it printed: {' / '.join(stderr[-_LAST_WORDS:])}" if stderr else ""


def _remedy(spec: BackendSpec, code: Exit) -> str:
    """What to do about a backend that does not come up and says nothing itself."""
    if code is Exit.SIGN_IN:
        return f'give it credentials: headers: {{Authorization: "Bearer ${{secret:env/NAME}}"}} ({spec.where})'
    if spec.transport is TransportKind.STDIO:
        return f"mend command, args or cwd ({spec.where}), and try the command in a terminal"
    return f"start that server, or mend url ({spec.where})"


async def _engine_runs(command: str) -> bool:
    """Whether `docker info` succeeds within a few seconds."""
    quiet = asyncio.subprocess.DEVNULL
    try:
        child = await asyncio.create_subprocess_exec(command, "info", stdin=quiet, stdout=quiet, stderr=quiet)
    except OSError:
        return True  # it is not there at all, which has been said already
    try:
        async with asyncio.timeout(_DOCKER_PATIENCE):
            return await child.wait() == 0
    except TimeoutError:
        child.kill()
        await child.wait()
        return False
