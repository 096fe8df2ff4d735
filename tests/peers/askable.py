"""Clients of both eras over both transports that can be asked, with one face: call a tool, answer what is asked."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json

import httpx2
from gateway_kit import BOTH, MODERN, PREFIX, PROGRAM, Events, Piped

from mcp_orchestrator.core.wire.sse import Parser

ALL = {"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}, "context": {}}, "roots": {}}
LEGACY = "2025-11-25"


class RefusalError(Exception):
    """Raised by an answer function: a legacy client answers with this error."""

    def __init__(self, code, message):
        super().__init__(message)
        self.body = {"code": code, "message": message}


class ModernClient:
    """Asks again with answers until the result is there. `post(body)` sends a request and returns the response."""

    era = "modern"

    def __init__(self, post, capabilities=ALL, name="askable"):
        self._post = post
        self._capabilities = capabilities
        self._name = name
        self._ids = itertools.count(1)

    async def ask(self, method, params):
        meta = {
            PREFIX + "protocolVersion": MODERN,
            PREFIX + "clientInfo": {"name": self._name, "version": "1"},
            PREFIX + "clientCapabilities": self._capabilities,
        }
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": {**params, "_meta": meta}}
        return await self._post(body)

    async def first(self, name, arguments, **more):
        """One request for a tool; returns the response."""
        return await self.ask("tools/call", {"name": name, "arguments": arguments, **more})

    async def carry(self, method, params, answer):
        """A request and its retries; returns (response, [(method, params) asked])."""
        asked, more = [], {}
        while True:
            response = await self.ask(method, {**params, **more})
            result = response.get("result", {})
            if result.get("resultType") != "input_required":
                return response, asked
            requests = result.get("inputRequests", {})
            asked += [(one["method"], one.get("params")) for one in requests.values()]
            more = {
                "inputResponses": {key: answer(one["method"], one.get("params")) for key, one in requests.items()},
                "requestState": result["requestState"],
            }

    async def call(self, name, arguments, answer):
        return await self.carry("tools/call", {"name": name, "arguments": arguments}, answer)


def modern_http(http, url, **more):
    async def post(body):
        params = body["params"]
        headers = {"accept": BOTH, "mcp-protocol-version": MODERN, "mcp-method": body["method"]}
        name = params.get("name", params.get("uri"))
        if isinstance(name, str):
            headers["mcp-name"] = name
        reply = await http.post(url, content=json.dumps(body), headers={**headers, "content-type": "application/json"})
        if reply.headers["content-type"].startswith("text/event-stream"):
            messages = [json.loads(event.data) for event in Parser().feed(reply.content) if event.data]
            return messages[-1]
        return json.loads(reply.content)

    return ModernClient(post, **more)


def modern_pipe(piped, **more):
    async def post(body):
        return await piped.start(body["method"], body["params"], f"{body['id']}-{id(post)}")

    return ModernClient(post, **more)


class LegacyClient:
    """Is asked in place. `answer` is what it answers questions with until the next call brings another."""

    era = "legacy"

    def __init__(self):
        self.answer = lambda method, params: {"action": "decline"}
        self.asked = []
        self.silent = False
        self._ids = itertools.count(1)

    async def call(self, name, arguments, answer):
        return await self.carry("tools/call", {"name": name, "arguments": arguments}, answer)

    async def carry(self, method, params, answer):
        """One request; returns (response, [(method, params) asked meanwhile])."""
        self.answer, asked = answer, []
        self.asked = asked
        return await self.request(method, params), asked

    async def answered(self, message):
        """The response to a question, or None while the client keeps silent."""
        params = message.get("params")
        self.asked.append((message["method"], params))
        if self.silent:
            return None
        await asyncio.sleep(0)
        try:
            return {"jsonrpc": "2.0", "id": message["id"], "result": self.answer(message["method"], params)}
        except RefusalError as refusal:
            return {"jsonrpc": "2.0", "id": message["id"], "error": refusal.body}


class LegacyHttp(LegacyClient):
    """Over HTTP: a session, a stream for each call."""

    def __init__(self, http, url):
        super().__init__()
        self._http, self._url = http, url
        self._headers = {"accept": BOTH}

    async def open(self, capabilities=ALL, name="askable", version=LEGACY):
        info = {"name": name, "version": "1"}
        params = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": info}
        reply = await self.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
        self._headers["mcp-session-id"] = reply.headers["mcp-session-id"]
        self._headers["mcp-protocol-version"] = version
        await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    async def post(self, body):
        return await self._http.post(self._url, json=body, headers=self._headers)

    async def request(self, method, params):
        key = next(self._ids)
        body = {"jsonrpc": "2.0", "id": key, "method": method, "params": params}
        async with self._http.stream("POST", self._url, json=body, headers=self._headers) as reply:
            if not reply.headers["content-type"].startswith("text/event-stream"):
                return json.loads(await reply.aread())
            events = Events(reply)
            while message := await events.next():
                if "method" not in message:
                    return message
                if "id" in message and (response := await self.answered(message)):
                    assert (await self.post(response)).status_code == 202
        raise AssertionError("the stream ended without a response")

    async def close(self):
        await self._http.delete(self._url, headers=self._headers)


class LegacyPipe(LegacyClient):
    """Over a pipe: one stream for all."""

    def __init__(self, piped):
        super().__init__()
        self._piped = piped
        self._answering = asyncio.ensure_future(self._answer_all())

    async def open(self, capabilities=ALL):
        await self._piped.initialize(capabilities)
        return self

    async def request(self, method, params):
        return await self._piped.start(method, params, next(self._ids))

    async def _answer_all(self):
        while True:
            message = await self._piped.heard.get()
            if "method" in message and "id" in message and (response := await self.answered(message)):
                self._piped.send({key: value for key, value in response.items() if key != "jsonrpc"})

    async def close(self):
        self._answering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._answering


@contextlib.asynccontextmanager
async def pipe_to(config):
    """A `serve --stdio` process on a configuration and the pipe to it."""
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "serve", "--stdio", "--format", "json", "--config", str(config),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        limit=2**26, start_new_session=True,
    )  # fmt: skip
    piped = Piped(process)
    try:
        yield piped
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await piped._reading


def http_client():
    return httpx2.AsyncClient(timeout=60, trust_env=False, limits=httpx2.Limits(max_connections=None))


def found(response):
    """What the server `asker` says it heard."""
    assert "result" in response, response
    return response["result"]["_meta"]["found"]
