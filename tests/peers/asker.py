"""A server that asks whatever it is told to, in one era, over stdio or HTTP, and counts what it carried out.

`python asker.py stdio|http:PORT --era modern|legacy [--log FILE]`. The tool `ask` gets the questions of each round and
answers with what it heard; `visit` wants an address visited first, so many `times`. Each execution is one line of the file: its tag.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import sys
from pathlib import Path

PREFIX = "io.modelcontextprotocol/"
INFO = {"name": "asker", "version": "1"}
TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("ask", "visit")]
ABILITIES = {"tools": {}, "prompts": {}, "resources": {}}
PROMPTS = [{"name": "ask", "arguments": [{"name": "tag"}]}]
NAME = {"message": "Your name?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}


class RpcError(Exception):
    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.body = {"code": code, "message": message, **({} if data is None else {"data": data})}


class Asker:
    """What both transports share: one request in, one result out. `visited` counts calls that wanted an address visited."""

    def __init__(self, era, log, way=""):
        self.era = era
        self.uri = f"ask://{era}-{way}/one"
        self.log = log
        self.visited = collections.Counter()

    def count(self, arguments):
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{arguments.get('tag')}\n")

    async def result(self, method, params, abilities, ask):  # noqa: PLR0911 - a table of methods
        """`ask(question)` puts a question to a legacy client and returns its response."""
        meta = params.get("_meta") or {}
        modern = PREFIX + "protocolVersion" in meta
        if modern is not (self.era == "modern") and method != "initialize":
            raise RpcError(-32601, f"Method not found: {method}")
        match method:
            case "initialize" if self.era == "legacy":
                return {"protocolVersion": params["protocolVersion"], "capabilities": ABILITIES, "serverInfo": INFO}
            case "initialize":
                raise RpcError(-32022, "Unsupported protocol version", {"supported": ["2026-07-28"]})
            case "server/discover":
                return self.done({"supportedVersions": ["2026-07-28"], "capabilities": ABILITIES}, lists=True)
            case "ping" if self.era == "legacy":
                return {}
            case "tools/list":
                return self.done({"tools": TOOLS}, lists=True)
            case "prompts/list":
                return self.done({"prompts": PROMPTS}, lists=True)
            case "resources/list":
                return self.done({"resources": [{"name": "ask", "uri": self.uri}]}, lists=True)
            case "resources/templates/list":
                return self.done({"resourceTemplates": []}, lists=True)
            case "tools/call" | "prompts/get" | "resources/read":
                abilities = meta.get(PREFIX + "clientCapabilities", abilities)
                return await self.call(method, params, abilities, ask)
        raise RpcError(-32601, f"Method not found: {method}")

    def done(self, result, *, lists=False):
        if self.era == "legacy":
            return result
        return {**result, "resultType": "complete", **({"ttlMs": 0, "cacheScope": "private"} if lists else {})}

    async def call(self, method, params, abilities, ask):
        arguments = params.get("arguments") or {}
        given, state = params.get("inputResponses"), params.get("requestState")
        if given is None and state is None:
            self.count(arguments)
        if method == "prompts/get":
            rounds, form = [[question(NAME)]], {"messages": []}
        elif method == "resources/read":
            rounds, form = [[question(NAME)]], {"contents": [{"uri": params["uri"], "text": "read"}]}
        elif params["name"] == "visit":
            rounds, form = self.visit(arguments), {"content": []}
        else:
            rounds, form = arguments["rounds"], {"content": []}
        if arguments.get("name_pid"):
            for one in rounds[0]:
                one["params"]["message"] = str(os.getpid())
        heard, abilities = [], abilities or {}
        if self.era == "legacy":
            heard = [list(await asyncio.gather(*(ask(one) for one in asked))) for asked in rounds]
        else:
            needed = self.still_needed(rounds, given or {}, state, heard, arguments)
            if needed is not None:
                return needed
        found = {"tag": arguments.get("tag"), "answers": heard, "capabilities": abilities, "params": sorted(params)}
        return self.done({**form, "_meta": {"found": found}})

    def visit(self, arguments):
        """An address that must be visited first: an error in the legacy era, a question in the modern one."""
        asked = {"mode": "url", "url": arguments["url"], "message": "Please sign in"}
        if self.era == "modern":
            return [[question(asked)]]
        self.visited[arguments["tag"]] += 1
        if self.visited[arguments["tag"]] <= arguments.get("times", 1):
            data = {"elicitations": [{**asked, "elicitationId": arguments["tag"]}]}
            raise RpcError(-32042, "Sign in first", data)
        return []

    def shown(self, asked):
        """Questions as a modern server asks them: its elicitations have no ids."""
        kept = lambda one: {key: value for key, value in one.get("params", {}).items() if key != "elicitationId"}  # noqa: E731
        return {key: {**one, "params": kept(one)} for key, one in asked.items()}

    def still_needed(self, rounds, given, state, heard, arguments):
        """The next `input_required` result, or None when every round is answered; fills `heard`."""
        past = json.loads(state) if state is not None else {"heard": [], "part": {}}
        heard += past["heard"]
        part = {**past["part"], **given}
        if len(heard) == len(rounds):
            return None
        asked = {f"k{len(heard)}.{number}": one for number, one in enumerate(rounds[len(heard)])}
        missing = {key: one for key, one in asked.items() if key not in part}
        if not missing:
            heard.append([part[key] for key in asked])
            part = {}
            if len(heard) == len(rounds):
                return None
            missing = {f"k{len(heard)}.{number}": one for number, one in enumerate(rounds[len(heard)])}
        kept = {"heard": heard, "part": {key: part[key] for key in asked if key in part}}
        result = {"resultType": "input_required", "inputRequests": self.shown(missing)}
        return result if arguments.get("stateless") else {**result, "requestState": json.dumps(kept)}


def question(params):
    return {"method": "elicitation/create", "params": dict(params)}


class Conversation:
    """Questions that are open towards one legacy client."""

    def __init__(self):
        self.abilities = {}
        self.open = {}
        self.count = 0

    async def ask(self, send, one):
        self.count += 1
        key = f"s{self.count}"
        future = self.open[key] = asyncio.get_running_loop().create_future()
        await send({"jsonrpc": "2.0", "id": key, **one})
        message = await future
        return message.get("result", {"error": message.get("error")})

    def answered(self, message):
        future = self.open.pop(message["id"], None)
        if future is not None:
            future.set_result(message)


async def reply(asker, message, abilities, ask):
    try:
        result = await asker.result(message["method"], message.get("params") or {}, abilities, ask)
    except RpcError as error:
        return {"jsonrpc": "2.0", "id": message["id"], "error": error.body}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


async def serve_stdio(asker):
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    client, tasks = Conversation(), {}

    async def send(message):
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    async def answer(message):
        await send(await reply(asker, message, client.abilities, lambda one: client.ask(send, one)))
        tasks.pop(message["id"], None)

    while line := await reader.readline():
        message = json.loads(line)
        if "method" not in message:
            client.answered(message)
        elif "id" in message:
            if message["method"] == "initialize":
                client.abilities = message["params"]["capabilities"]
            tasks[message["id"]] = asyncio.ensure_future(answer(message))
        elif message["method"] == "notifications/cancelled":
            task = tasks.pop(message["params"].get("requestId"), None)
            if task is not None:
                task.cancel()


class Http:
    """An ASGI application: one JSON reply in the modern era, one event stream for a call in the legacy one."""

    def __init__(self, asker):
        self.asker = asker
        self.sessions = {}

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        if scope["method"] != "POST":
            await answer_http(send, 200 if scope["method"] == "DELETE" else 405, b"")
            return
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        message = json.loads(body)
        session = self.sessions.get(headers.get("mcp-session-id"))
        if "method" not in message:
            session.answered(message)
            await answer_http(send, 202, b"")
        elif "id" not in message:
            await answer_http(send, 202, b"")
        elif session is not None and message["method"] in ("tools/call", "prompts/get", "resources/read"):
            await self.stream(message, session, send)
        else:
            await self.plain(message, session, send)

    async def plain(self, message, session, send):
        more = []
        if message["method"] == "initialize" and self.asker.era == "legacy":
            session = Conversation()
            session.abilities = message["params"]["capabilities"]
            key = f"session-{len(self.sessions)}"
            self.sessions[key] = session
            more = [(b"mcp-session-id", key.encode())]
        abilities = session.abilities if session else {}
        body = await reply(self.asker, message, abilities, None)
        await answer_http(send, 200, json.dumps(body).encode(), more)

    async def stream(self, message, session, send):
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def event(one):
            data = f"event: message\ndata: {json.dumps(one)}\n\n".encode()
            await send({"type": "http.response.body", "body": data, "more_body": True})

        await event(await reply(self.asker, message, session.abilities, lambda one: session.ask(event, one)))
        await send({"type": "http.response.body", "body": b""})


async def answer_http(send, status, body, more=()):
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("way")
    parser.add_argument("--era", required=True)
    parser.add_argument("--log")
    options = parser.parse_args()
    asker = Asker(options.era, options.log, options.way.partition(":")[0])
    if options.way == "stdio":
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve_stdio(asker))
        return
    import uvicorn  # noqa: PLC0415 - only over HTTP

    port = int(options.way.removeprefix("http:"))
    uvicorn.run(
        Http(asker), host="127.0.0.1", port=port, log_level="warning", lifespan="off", timeout_graceful_shutdown=1
    )


if __name__ == "__main__":
    main()
