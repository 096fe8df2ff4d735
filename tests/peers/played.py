"""An MCP server of one era that notes every request and does what its tools are told: over HTTP in this loop, or on stdio.

`python played.py modern|legacy` serves stdin and stdout. Tools: `report`, `touch`, `change`, `say`, `link`, `end`, and
unlisted ones: `later` says something after its answer, `visit` wants an address visited first.
"""

import asyncio
import base64
import contextlib
import json
import os
import sys

META = "io.modelcontextprotocol/"
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
MEMO = {"uri": "memo://a", "name": "a", "size": 4, "annotations": {"priority": 0.5}, "icons": [{"src": "data:,"}]}
PLAIN = {"type": "object"}


class Conversation:
    """What is known of one session (legacy) or of everybody (modern). `push` says something outside of any request."""

    def __init__(self, push):
        self.push = push
        self.level = None
        self.subscribed = set()


def set_level(talk, params):
    talk.level = params["level"]
    return {}


def subscribe(talk, params):
    talk.subscribed.add(params["uri"])
    return {}


def unsubscribe(talk, params):
    talk.subscribed.discard(params["uri"])
    return {}


def big(kind, size):
    """The contents of `big://KIND/SIZE`: that many characters of text, or bytes."""
    if kind == "text":
        return {"text": ("0123456789 äöü\n" * (size // 15 + 1))[:size]}
    return {"blob": base64.b64encode((bytes(range(256)) * (size // 256 + 1))[:size]).decode()}


def read(_talk, params):
    if params["uri"].startswith("big://"):
        kind, size = params["uri"].removeprefix("big://").split("/")
        return {"contents": [{"uri": params["uri"], **big(kind, int(size))}]}
    return {"contents": [{"uri": params["uri"], "text": f"text of {params['uri']}"}]}


def prompt(_talk, params):
    block = {"type": "resource", "resource": {"uri": "memo://a", "text": "t"}}
    return {"messages": [{"role": "user", "content": block}], "description": params["name"]}


PLAYS = {
    "ping": lambda _talk, _params: {}, "logging/setLevel": set_level,
    "resources/subscribe": subscribe, "resources/unsubscribe": unsubscribe, "resources/read": read, "prompts/get": prompt,
    "completion/complete": lambda _talk, params: {"completion": {"values": [json.dumps(params["ref"])]}},
}  # fmt: skip


class Played:
    """The server. `seen` are (method, params, headers) of every request and notification, in order."""

    def __init__(self, era, tools=(), resources=(MEMO,), templates=(), prompts=({"name": "ask"},)):
        self.era = era
        self.seen = []
        self.tools = [
            {"name": name, "inputSchema": PLAIN} for name in ("report", "touch", "change", "say", "link", "end")
        ]
        self.tools += tools
        self.resources, self.templates, self.prompts = list(resources), list(templates), list(prompts)
        self.conversations = set()
        self.plays = {}

    def methods(self):
        return [method for method, _, _ in self.seen]

    async def answer(self, method, params, talk, say, key=None):
        """The result of a request, or an exception with its error; `say` sends a notification before it."""
        if method == "server/discover":
            info = {META + "serverInfo": {"name": "played", "version": "1"}}
            return self.complete({"supportedVersions": ["2026-07-28"], "capabilities": self.abilities(), "_meta": info})
        if method == "initialize":
            version = params["protocolVersion"]
            return {
                "protocolVersion": version,
                "capabilities": self.abilities(),
                "serverInfo": {"name": "played", "version": "1"},
            }
        lists = {
            "tools/list": {"tools": self.tools}, "resources/list": {"resources": self.resources},
            "resources/templates/list": {"resourceTemplates": self.templates}, "prompts/list": {"prompts": self.prompts},
        }  # fmt: skip
        if method in lists:
            return self.complete(lists[method])
        if method in PLAYS:
            return self.complete(PLAYS[method](talk, params))
        if method == "tools/call":
            return await self.call(params["name"], params.get("arguments") or {}, params.get("_meta") or {}, talk, say)
        raise RefusedError(-32601, f"Method not found: {method}")

    async def call(self, name, given, meta, talk, say):
        if name in self.plays:
            return self.complete(await self.plays[name](given, say))
        if name == "touch":
            for each in self.conversations:
                if given.get("only", given["uri"]) in each.subscribed:
                    each.push("notifications/resources/updated", {"uri": given["uri"]})
        elif name == "change":
            kind = given["kind"]
            {"tools": self.tools, "resources": self.resources, "prompts": self.prompts}[kind].append(
                {"name": "new", "uri": "memo://new", "inputSchema": PLAIN}
            )
            for each in self.conversations:
                each.push(f"notifications/{kind}/list_changed", {})
        elif name == "say":
            least = meta.get(META + "logLevel") if self.era == "modern" else talk.level or "debug"
            for level in given["levels"]:
                if least is not None and LEVELS.index(level) >= LEVELS.index(least):
                    say("notifications/message", {"level": level, "data": given.get("data", level)})
        elif name == "link":
            return self.complete({"content": [{"type": "resource_link", "name": "l", "uri": given["uri"], "size": 7}]})
        elif name == "later":
            for each in self.conversations:
                for method, params in given["says"]:
                    asyncio.get_running_loop().call_later(0.05, each.push, method, params)
        elif name == "visit":
            address = {"mode": "url", "url": "https://a.example/", "message": "visit", "elicitationId": given["id"]}
            raise RefusedError(-32042, "visit an address first", {"elicitations": [address]})
        elif name == "report":
            return self.complete({"content": [], "structuredContent": {"seen": self.seen}})
        return self.complete({"content": []})

    def complete(self, result):
        return {"resultType": "complete", **result} if self.era == "modern" else result

    def abilities(self):
        changes = {"listChanged": True}
        return {
            "tools": changes, "prompts": changes, "resources": {"subscribe": True, **changes}, "logging": {}, "completions": {},
        }  # fmt: skip


class RefusedError(Exception):
    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({} if data is None else {"data": data})


# Over HTTP, on the raw server.


class OverHttp:
    """Serves a `Played` over HTTP: `raw_server(OverHttp(played).play)`."""

    def __init__(self, played):
        self.played = played
        self.sessions = {}
        self.opened = 0

    async def play(self, request):
        played = self.played
        if request.method == "DELETE":
            played.seen.append(("DELETE", {}, request.headers))
            self.sessions.pop(request.headers.get("mcp-session-id"), None)
            request.reply(b"")
            return
        if request.method == "GET":
            await self.stream(request)
            return
        message = request.json
        method, params = message["method"], message.get("params") or {}
        played.seen.append((method, params, request.headers))
        if "id" not in message:
            request.reply(b"", status="202 Accepted")
        elif (method == "initialize") is (played.era == "modern") and method in ("initialize", "server/discover"):
            request.error(
                -32601,
                f"Method not found: {method}",
                status="404 Not Found" if played.era == "modern" else "400 Bad Request",
            )
        elif method == "subscriptions/listen":
            await self.listen(request, message["id"], params["notifications"])
        else:
            await self.respond(request, method, params)

    async def respond(self, request, method, params):
        played, session = self.played, request.headers.get("mcp-session-id")
        extra, streamed = "", False
        if method == "initialize":
            self.opened += 1
            session = f"s{self.opened}"
            self.sessions[session] = Conversation(lambda *_event: None)
            extra = f"mcp-session-id: {session}\r\n"
        elif played.era == "legacy" and session not in self.sessions:
            request.reply(b"", status="404 Not Found")
            return

        def say(name, said):
            nonlocal streamed
            if not streamed:
                request.start_events()
                streamed = True
            request.event({"jsonrpc": "2.0", "method": name, "params": said})

        reply = {"jsonrpc": "2.0", "id": request.json["id"]}
        try:
            reply["result"] = await played.answer(method, params, self.sessions.get(session) or Conversation(None), say)
        except RefusedError as error:
            reply["error"] = error.error
        if params.get("name") == "end":
            self.sessions.clear()
        if streamed:
            request.event(reply)
            request.end_events()
        else:
            request.reply(json.dumps(reply).encode(), extra=extra)

    async def stream(self, request):
        talk = self.sessions.get(request.headers.get("mcp-session-id"))
        if talk is None:
            request.reply(b"", status="405 Method Not Allowed" if self.played.era == "modern" else "404 Not Found")
            return
        request.start_events()
        await self.open(
            request, talk, lambda method, params: request.event({"jsonrpc": "2.0", "method": method, "params": params})
        )

    async def listen(self, request, key, wanted):
        meta = {META + "subscriptionId": key}
        talk = Conversation(None)
        talk.subscribed.update(wanted.get("resourceSubscriptions", ()))

        def push(method, params):
            kind = method.split("/")[1]
            if method.endswith("updated") or wanted.get(f"{kind}ListChanged"):
                request.event({"jsonrpc": "2.0", "method": method, "params": {**params, "_meta": meta}})

        request.start_events()
        request.event(
            {
                "jsonrpc": "2.0",
                "method": "notifications/subscriptions/acknowledged",
                "params": {"notifications": wanted, "_meta": meta},
            }
        )
        await self.open(request, talk, push)

    async def open(self, request, talk, push):
        talk.push = push
        self.played.conversations.add(talk)
        try:
            await request.gone()
        finally:
            self.played.conversations.discard(talk)


# On stdin and stdout.


def put(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


async def take(played, talk, message):
    method, params, key = message.get("method"), message.get("params") or {}, message.get("id")
    if method is None:
        return
    played.seen.append((method, params, {}))
    if method == "notifications/cancelled":
        for listening in [
            each for each in played.conversations if getattr(each, "key", None) == params.get("requestId")
        ]:
            played.conversations.discard(listening)
    if key is None:
        return
    if (method == "initialize") is (played.era == "modern") and method in ("initialize", "server/discover"):
        put({"id": key, "error": {"code": -32601, "message": "Method not found"}})
    elif method == "subscriptions/listen":
        listen(played, key, params["notifications"])
    else:
        try:
            result = await played.answer(method, params, talk, lambda name, said: put({"method": name, "params": said}))
        except RefusedError as error:
            put({"id": key, "error": error.error})
        else:
            put({"id": key, "result": result})
        if params.get("name") == "end":
            os._exit(3)


def listen(played, key, wanted):
    meta = {META + "subscriptionId": key}
    listening = Conversation(None)
    listening.key = key
    listening.subscribed.update(wanted.get("resourceSubscriptions", ()))

    def push(method, params):
        if method.endswith("updated") or wanted.get(f"{method.split('/')[1]}ListChanged"):
            put({"method": method, "params": {**params, "_meta": meta}})

    listening.push = push
    played.conversations.add(listening)
    put({"method": "notifications/subscriptions/acknowledged", "params": {"notifications": wanted, "_meta": meta}})


async def main(era):
    played = Played(era)
    talk = Conversation(lambda method, params: put({"method": method, "params": params}))
    if era == "legacy":
        played.conversations.add(talk)
    while line := await asyncio.to_thread(sys.stdin.readline):
        await take(played, talk, json.loads(line))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1]))
