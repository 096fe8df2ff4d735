"""What the tests of HTTP backends share: specifications, invocations, a talk that records, real servers as children."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import anyio

from mcp_orchestrator.model.call import ClientFace, Era, Invocation
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.snapshot import BackendSpec, Secret, TransportKind
from mcp_orchestrator.plugin_api import Opening

REFERENCE = str(Path(__file__).with_name("reference_server.py"))
MODERN_CLIENT = ClientFace(Era.MODERN, "2026-07-28", {"elicitation": {}}, {"name": "ada", "version": "7"})
LEGACY_CLIENT = ClientFace(Era.LEGACY, "2025-11-25", {"elicitation": {}, "sampling": {}, "roots": {}})
DISCOVERY = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "raw", "version": "1"}},
}


class RecordingTalk:
    """Keeps what a backend says to its run, in order; answers questions with `answer`."""

    def __init__(self, answer=None):
        self.said = []
        self.questions = []
        self.heard = asyncio.Event()
        self.answer = answer or Answer(result={"action": "accept", "content": {"username": "ada"}})

    def progress(self, params):
        self.said.append(("progress", dict(params)))
        self.heard.set()

    def notify(self, method, params):
        self.said.append((method, dict(params)))
        self.heard.set()

    def let_go(self, after):
        self.said.append(("let go", after))
        self.heard.set()

    async def ask(self, question):
        self.questions.append(question)
        self.heard.set()
        return self.answer


class Ears:
    """The outside of a session: its events and its notes."""

    def __init__(self):
        self.events = []
        self.notes = []
        self.woken = asyncio.Event()

    def opening(self, era=None, **settings):
        settings.setdefault("client_info", {"name": "gateway", "version": "1"})
        settings.setdefault("capabilities", {"elicitation": {"form": {}}, "sampling": {}, "roots": {}})
        return Opening(era, on_event=self._event, on_stderr=self._note, **settings)

    def _event(self, event):
        self.events.append(event)
        self.woken.set()

    def _note(self, line):
        self.notes.append(line)
        self.woken.set()


def spec(url, *, transport=TransportKind.HTTP, headers=(), **settings):
    settings.setdefault("start_timeout", 20.0)
    secret = tuple((name, Secret(value)) for name, value in headers)
    return BackendSpec("raw", transport, url=Secret(url), headers=secret, **settings)


def tool_call(
    name, *, client=MODERN_CLIENT, meta=None, wants_progress=False, log_level=None, headers=None, **arguments
):
    return Invocation(
        "run-1",
        "tools/call",
        {"name": name, "arguments": arguments},
        meta or {},
        client,
        wants_progress=wants_progress,
        log_level=log_level,
        name_header=name,
        headers=headers,
    )


class Conversation:
    """A raw server, a backend towards it and an open session, for the length of a block.

    `server` is a context that gives the raw server; `make` makes the backend from its address.
    """

    def __init__(self, server, make, client):
        self.ears = Ears()
        self._context = server
        self._make = make
        self._client = client

    async def __aenter__(self):
        self.server = await self._context.__aenter__()
        self.backend = self._make(self.server.url)
        self.session = await self.backend.open(self.ears.opening())
        assert self.session.era is self._client.era
        return self

    async def __aexit__(self, *_):
        await self.session.close()
        await self.backend.aclose()
        await self._context.__aexit__(None, None, None)

    async def call(self, name="echo", talk=None, **options):
        with anyio.fail_after(10):
            return await self.session.invoke(tool_call(name, client=self._client, **options), talk or RecordingTalk())


async def until(condition):
    """Wait until something is so, for what tells nobody when it changes; bounded."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def child(*argv, port, env=None):
    """Run a server as a child process until it listens on `port`; ended with the block."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=env,
    )
    try:
        await _listening(process, port)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def _listening(process, port):
    for _attempt in range(600):
        if process.returncode is not None:
            raise AssertionError(f"the server ended: {(await process.stderr.read()).decode()[-2000:]}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise AssertionError("the server does not listen")


def reference(port):
    """The reference server in both eras, as a child."""
    return child(sys.executable, REFERENCE, str(port), port=port)
