"""A gateway process for tests that break things, its clients of both eras on the raw wire, and what /proc says of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2

from mcp_orchestrator.core.wire.sse import Parser
from mcp_orchestrator.storage.reading import JournalReader

PROGRAM = str(Path(sys.executable).with_name("mcp-orchestrator"))
UNRULY = str(Path(__file__).with_name("unruly.py"))
BOTH = "application/json, text/event-stream"
MODERN = "2026-07-28"
PREFIX = "io.modelcontextprotocol/"
MARK = "MCP_TEST_MARK"


async def until(condition, seconds=20.0):
    """Wait until something is so, for what tells nobody when it changes; bounded."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - processes end without telling us
            await asyncio.sleep(0.02)


def marked(mark):
    """The processes whose environment carries a mark, zombies left out: `{pid: command line}`."""
    needle, found = f"{MARK}={mark}".encode(), {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            if needle in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def children(pid):
    """The children of a process that are no zombies: `{pid: command line}`."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            text = (entry / "stat").read_bytes()
            state, parent = text[text.rfind(b")") + 2 :].split()[:2]
            if int(parent) == pid and state != b"Z":
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def resident(pid):
    """Resident memory of a process in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def unruly(*arguments, mark="", **more):
    """A server block of the configuration: the unruly server with these arguments."""
    env = {MARK: mark} if mark else {}
    return {"command": sys.executable, "args": [UNRULY, *map(str, arguments)], "env": env, **more}


class Gateway:
    """A running `serve`. `told` are the JSON lines of its standard error, `mark` what its children carry."""

    def __init__(self, config, process):
        self.config = config
        self.process = process
        self.told = []
        self.url = ""
        self.listening = asyncio.Event()
        self.over = asyncio.ensure_future(self._hear())

    @property
    def pid(self):
        return self.process.pid

    @property
    def state(self):
        return self.config.parent / "state.db"

    async def _hear(self):
        while line := await self.process.stderr.readline():
            try:
                event = json.loads(line)
            except ValueError:
                event = {"text": line.decode("utf-8", "replace")}
            self.told.append(event)
            if event.get("event") == "listening":
                self.url = event["url"]
                self.listening.set()
        self.listening.set()
        await self.process.wait()

    def journal(self):
        return JournalReader(self.state)

    def runs(self, **only):
        with self.journal() as journal:
            return journal.runs(100_000, **only)

    def events(self, *kinds):
        with self.journal() as journal:
            return journal.events(kinds, 100_000)

    async def kill(self, number=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        async with asyncio.timeout(30):
            await self.ended()
        return self.process.returncode

    async def ended(self):
        await asyncio.wait({self.over})


def write_config(directory, servers, **sections):
    """A configuration in its own directory, with storage beside it and any free port. JSON is YAML."""
    path = directory / "orchestrator.yaml"
    listeners = {"http": {"host": "127.0.0.1", "port": 0, "path": "/mcp", "drain": "1s"}}
    storage = {"url": f"sqlite:///{directory / 'state.db'}"}
    new = directory / "new.yaml"
    new.write_text(json.dumps({"mcpServers": servers, "storage": storage, "listeners": listeners, **sections}))
    new.replace(path)
    return path


@contextlib.asynccontextmanager
async def serving(directory, servers=None, *, config=None, **sections) -> AsyncIterator[Gateway]:
    """A gateway over HTTP, listening, ended with the block."""
    config = config or write_config(directory, servers, **sections)
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "serve", "--format", "json", "--config", str(config),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        limit=2**24, start_new_session=True,
    )  # fmt: skip
    gateway = Gateway(config, process)
    try:
        async with asyncio.timeout(30):
            await gateway.listening.wait()
        assert gateway.url, gateway.told
        yield gateway
    finally:
        if process.returncode is None:
            try:
                await gateway.kill(signal.SIGTERM)
            except TimeoutError:
                await gateway.kill()
        await gateway.ended()


@contextlib.asynccontextmanager
async def modern(url, **info):
    """A modern client with a connection pool of its own."""
    async with httpx2.AsyncClient(timeout=60, trust_env=False, limits=httpx2.Limits(max_connections=None)) as http:
        yield Modern(url, http, **info)


class Modern:
    """A modern client over HTTP."""

    def __init__(self, url, http, name="raw", capabilities=None):
        self.url, self.http = url, http
        self._meta = {
            PREFIX + "protocolVersion": MODERN,
            PREFIX + "clientInfo": {"name": name, "version": "1"},
            PREFIX + "clientCapabilities": capabilities or {},
        }

    def request(self, method, params=None, key=1, meta=None):
        params = {**(params or {}), "_meta": {**self._meta, **(meta or {})}}
        headers = {"accept": BOTH, "mcp-protocol-version": MODERN, "mcp-method": method}
        name = params.get("name", params.get("uri"))
        if isinstance(name, str):
            headers["mcp-name"] = name
        body = json.dumps({"jsonrpc": "2.0", "id": key, "method": method, "params": params})
        return {"content": body.encode(), "headers": {**headers, "content-type": "application/json"}}

    async def ask(self, method, params=None, key=1, meta=None):
        """One request; returns (response, notifications before it)."""
        reply = await self.http.post(self.url, **self.request(method, params, key, meta))
        return _split(reply, key)

    async def call(self, tool, arguments=None, key=1, meta=None):
        """One tool call; returns the whole response."""
        return (await self.ask("tools/call", {"name": tool, "arguments": arguments or {}}, key, meta))[0]

    @contextlib.asynccontextmanager
    async def stream(self, method, params=None, key=1, meta=None):
        """One request whose messages are read as they come: yields an async function that takes the next."""
        async with self.http.stream("POST", self.url, **self.request(method, params, key, meta)) as reply:
            yield Events(reply).next


def _split(reply, key):
    if reply.headers["content-type"].startswith("text/event-stream"):
        messages = [json.loads(event.data) for event in Parser().feed(reply.content) if event.data]
    else:
        messages = [json.loads(reply.content)]
    (response,) = [message for message in messages if "method" not in message]
    assert response["id"] == key
    return response, [message for message in messages if "method" in message]


class Events:
    """The messages of a stream, one at a time; None at the end."""

    def __init__(self, reply):
        self._chunks = reply.aiter_bytes()
        self._parser = Parser(2**27)
        self._ready = []

    async def next(self):
        while not self._ready:
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                return None
            self._ready += [json.loads(event.data) for event in self._parser.feed(chunk) if event.data]
        return self._ready.pop(0)


@contextlib.asynccontextmanager
async def legacy(url, name="raw", capabilities=None, answer=None, version="2025-11-25"):
    """A legacy client with an open session; `answer(question)` gives the result for a request of the server."""
    async with httpx2.AsyncClient(timeout=60, trust_env=False, limits=httpx2.Limits(max_connections=None)) as http:
        client = Legacy(url, http, answer)
        await client.open(name, capabilities or {}, version)
        yield client
        await client.end()


class Legacy:
    """A legacy client over HTTP."""

    def __init__(self, url, http, answer=None):
        self.url, self.http, self._answer = url, http, answer
        self.headers = {"accept": BOTH}
        self.asked = []
        self._key = 0

    async def open(self, name, capabilities, version):
        info = {"name": name, "version": "1"}
        params = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": info}
        body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        reply = await self.http.post(self.url, json=body, headers=self.headers)
        assert reply.status_code == 200, reply.text
        self.initialized = _split(reply, 0)[0]["result"]
        self.headers["mcp-session-id"] = reply.headers["mcp-session-id"]
        self.headers["mcp-protocol-version"] = self.initialized["protocolVersion"]
        await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def post(self, body):
        return await self.http.post(self.url, json=body, headers=self.headers)

    async def ask(self, method, params=None, meta=None, key=None):
        """One request; questions on its stream are answered; returns (response, notifications before it)."""
        if key is None:
            self._key += 1
            key = self._key
        params = {**(params or {}), **({"_meta": meta} if meta is not None else {})}
        body = {"jsonrpc": "2.0", "id": key, "method": method, "params": params}
        notes = []
        async with self.http.stream("POST", self.url, json=body, headers=self.headers) as reply:
            if not reply.headers["content-type"].startswith("text/event-stream"):
                return json.loads(await reply.aread()), notes
            events = Events(reply)
            while message := await events.next():
                if "method" not in message:
                    assert message["id"] == key
                    return message, notes
                if "id" in message:
                    self.asked.append(message)
                    given = self._answer(message) if self._answer else {"action": "decline"}
                    await self.post({"jsonrpc": "2.0", "id": message["id"], "result": given})
                else:
                    notes.append(message)
        raise AssertionError("the stream ended without a response")

    async def call(self, tool, arguments=None, meta=None, key=None):
        """One tool call; returns the whole response."""
        return (await self.ask("tools/call", {"name": tool, "arguments": arguments or {}}, meta, key))[0]

    @contextlib.asynccontextmanager
    async def listening(self):
        """The GET stream: yields an async function that takes the next message."""
        async with self.http.stream("GET", self.url, headers=self.headers) as reply:
            assert reply.status_code == 200
            yield Events(reply).next

    async def end(self):
        with contextlib.suppress(httpx2.HTTPError):  # the gateway may be gone
            await self.http.delete(self.url, headers=self.headers)


class Piped:
    """A client of `serve --stdio`: requests by id, everything else in `heard`."""

    def __init__(self, process):
        self.process = process
        self.heard = asyncio.Queue()
        self._waiting = {}
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self):
        while line := await self.process.stdout.readline():
            message = json.loads(line)
            future = self._waiting.pop(message.get("id"), None) if "method" not in message else None
            if future is None:
                self.heard.put_nowait(message)
            elif not future.done():
                future.set_result(message)
        for future in self._waiting.values():
            future.cancel()

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def start(self, method, params, key):
        """Send a request; returns the future of its response."""
        future = self._waiting[key] = asyncio.get_running_loop().create_future()
        self.send({"id": key, "method": method, "params": params})
        return future

    async def ask(self, method, params=None, key=1):
        return await self.start(method, params or {}, key)

    async def initialize(self, capabilities=None):
        info = {"name": "piped", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": capabilities or {}, "clientInfo": info}
        result = await self.ask("initialize", params, "init")
        self.send({"method": "notifications/initialized"})
        return result


@contextlib.asynccontextmanager
async def piped(config, *words):
    """A `serve --stdio` process and its client."""
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "serve", "--stdio", "--format", "json", "--config", str(config), *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        limit=2**26, start_new_session=True,
    )  # fmt: skip
    client = Piped(process)
    try:
        yield client
    finally:
        if process.returncode is None:
            process.stdin.close()
            try:
                async with asyncio.timeout(25):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        await client._reading


def new_mark():
    """A word that only the processes of one test carry."""
    return secrets.token_hex(8)
