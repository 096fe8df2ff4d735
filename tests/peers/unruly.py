"""A stdio MCP server on the standard library that can be told to misbehave in every way that real ones were seen to.

`python unruly.py [--era modern|legacy|both] [--mode WORD] [--counts FILE]`. Tools run in threads of their own. The
tool `count` writes one line to the file before it does anything, so that a call carried out twice shows.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
INFO = {"name": "unruly", "version": "1"}
TOOLS = ("count", "hang", "flood", "giant", "lie", "offspring", "whoami", "late", "log", "stderr")
LOCK = threading.Lock()


def put(text):
    with LOCK:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def say(**message):
    put(json.dumps({"jsonrpc": "2.0", **message}))


class Server:
    def __init__(self, options):
        self.options = options
        self.answers = {}
        self.cancelled = set()
        self.asked = 0
        self.pages = 0

    def take(self, message):
        method, key, params = message.get("method"), message.get("id"), message.get("params") or {}
        if method is None:
            self.answers.pop(key, lambda _message: None)(message)
        elif key is None:
            if method == "notifications/cancelled":
                self.note(f"cancelled {params.get('requestId')}")
                self.cancelled.add(params.get("requestId"))
        else:
            self.request(method, key, params)

    def note(self, text):
        if self.options.counts:
            with LOCK, Path(self.options.counts).open("a") as file:
                file.write(text + "\n")

    def request(self, method, key, params):
        modern = VERSION_KEY in (params.get("_meta") or {})
        if (modern and self.options.era == "legacy") or (method == "initialize" and self.options.era == "modern"):
            say(id=key, error={"code": -32601, "message": "Method not found"})
        elif method in ("server/discover", "initialize"):
            self.greet(method, key, params)
        elif method == "tools/list":
            self.list(key, params)
        elif method == "tools/call":
            threading.Thread(target=self.call, args=(key, params, modern), daemon=True).start()
        elif method == "ping":
            say(id=key, result={})
        else:
            say(id=key, error={"code": -32601, "message": "Method not found"})

    def greet(self, method, key, params):
        mode = self.options.mode
        if mode == "silent":
            return
        if mode == "slow":
            time.sleep(1.5)
        if mode == "early":
            for number in range(1, 20):
                say(id=number + key, result={"tools": [], "content": [], "early": True})
        if mode == "chatty-start":
            for number in range(5000):
                put(f"INFO  starting part {number} of the server")
                say(method="notifications/message", params={"level": "info", "data": number})
        abilities = {"tools": {"listChanged": True}}
        if method == "initialize":
            version = "1999-01-01" if mode == "wrong-version" else params["protocolVersion"]
            say(id=key, result={"protocolVersion": version, "capabilities": abilities, "serverInfo": INFO})
        else:
            versions = ["1999-01-01"] if mode == "wrong-version" else ["2026-07-28"]
            meta = {"io.modelcontextprotocol/serverInfo": INFO}
            say(id=key, result={"supportedVersions": versions, "capabilities": abilities, "_meta": meta})

    def list(self, key, params):
        mode = self.options.mode
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
        result = {"tools": tools}
        if mode == "many-tools":
            start = int(params.get("cursor") or 0)
            page = [{"name": f"tool_{n}", "inputSchema": {"type": "object"}} for n in range(start, start + 2000)]
            result = {"tools": tools * (start == 0) + page}
            if start + 2000 < 20_000:
                result["nextCursor"] = str(start + 2000)
        elif mode == "malformed-tools":
            odd = [
                {"name": "no_schema"}, {"inputSchema": {"type": "object"}}, {"name": 7, "inputSchema": {}}, None, "tool",
                {"name": "schema_is_text", "inputSchema": "object"}, {"name": "", "inputSchema": {}},
                {"name": "count", "inputSchema": {"type": "object"}},
                {"name": "bad_schema", "inputSchema": {"type": "no such type", "properties": 3}},
                {"name": "bad pattern", "inputSchema": {"type": "object", "properties": {"a": {"pattern": "("}}}},
                {"name": "loop", "inputSchema": {"$ref": "#"}},
                {"name": "far", "inputSchema": {"$ref": "http://127.0.0.1:1/x"}},
            ]  # fmt: skip
            result = {"tools": [*tools, *odd]}
        elif mode == "cursor-loop":
            result["nextCursor"] = "again" if params.get("cursor") != "again" else "and-again"
        elif mode == "endless-list":
            self.pages += 1
            result["nextCursor"] = f"page-{self.pages}"
        elif mode == "list-hangs":
            return
        elif mode == "list-lies":
            result = {"tools": "none"}
        say(id=key, result=result)

    def call(self, key, params, modern):
        name, arguments = params["name"], params.get("arguments") or {}
        act = getattr(self, f"do_{name}", None)
        if act is None:
            say(id=key, error={"code": -32602, "message": f"Unknown tool: {name}"})
            return
        found = act(key, params, arguments)
        if found is not None:
            say(
                id=key,
                result={"content": [], "structuredContent": found, **({"resultType": "complete"} if modern else {})},
            )

    def do_count(self, key, params, arguments):
        self.note(str(arguments.get("n")))
        time.sleep(arguments.get("delay", 0))
        return {"n": arguments.get("n"), "pid": os.getpid()}

    def do_hang(self, key, params, arguments):
        self.note(f"hang {key}")

    def do_late(self, key, params, arguments):
        """Answers twice, the second time long after anybody waits."""
        say(id=key, result={"content": [], "resultType": "complete", "turn": 1})
        say(id=key, result={"content": [], "resultType": "complete", "turn": 2})

    def do_flood(self, key, params, arguments):
        kind, until = arguments["kind"], time.monotonic() + arguments["seconds"]
        token = (params.get("_meta") or {}).get("progressToken")
        lines = {
            "text": "INFO a line of a log that has no business on standard output",
            "log": json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 80}}),
            "progress": json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}}),
            "lists": json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}),
            "stray": json.dumps({"jsonrpc": "2.0", "id": 10**9, "result": {"content": ["x" * 80]}}),
            "asks": json.dumps({"jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": {}}),
            "pings": json.dumps({"jsonrpc": "2.0", "id": "p", "method": "ping"}),
        }  # fmt: skip
        chunk = "\n".join([lines[kind]] * 200)
        sent = 0
        while time.monotonic() < until:
            put(chunk)
            sent += 200
        return {"sent": sent}

    def do_stderr(self, key, params, arguments):
        until = time.monotonic() + arguments["seconds"]
        while time.monotonic() < until:
            sys.stderr.write("e" * arguments["width"] + "\n")
        return {}

    def do_giant(self, key, params, arguments):
        text = "x" * arguments["bytes"]
        body = {"content": [{"type": "text", "text": text}], "resultType": "complete"}
        if arguments.get("last"):
            put(json.dumps({"result": body, "jsonrpc": "2.0", "id": key}))
        else:
            say(id=key, result=body)

    def do_lie(self, key, params, arguments):
        lie = arguments["lie"]
        if lie == "wrong-id":
            say(id=key + 1_000_000, result={"content": []})
            say(id=f"{key}x", result={"content": []})
            say(id=None, result={"content": []})
            say(id=key + 0.5, result={"content": []})
        elif lie == "not-json":
            put(f'{{"jsonrpc":"2.0","id":{key},"result":{{"content":[}}')
        elif lie == "no-result":
            say(id=key)
        elif lie == "both":
            say(id=key, result={"content": []}, error={"code": -1, "message": "both"})
        elif lie == "odd-error":
            say(id=key, error="just a text")
        elif lie == "asks":
            say(id="s1", method="sampling/createMessage", params={"messages": []})
            say(id="e1", method="elicitation/create", params={"message": "?", "requestedSchema": {}})
            say(id="u1", method="nobody/knows", params={})
            say(id={"an": "object"}, method="roots/list")
            say(id=key, result={"content": [], "resultType": "complete", "asked": True})
        elif lie == "nul":
            put("\0\0\0\0")
            with LOCK:
                sys.stdout.buffer.write(b'{"jsonrpc":"2.0","id":%d,"result":{"text":"\xff\xfe"}}\n' % key)
                sys.stdout.flush()
        elif lie == "deep":
            put(f'{{"jsonrpc":"2.0","id":{key},"result":{{"a":{"[" * 100_000}{"]" * 100_000}}}}}')
        else:
            say(id=key, result={"list": [], "text": "x", "null": None, "number": 3, "true": True}[lie])

    def do_log(self, key, params, arguments):
        token = (params.get("_meta") or {}).get("progressToken")
        for step in range(arguments["steps"]):
            say(
                method="notifications/progress",
                params={"progressToken": token, "progress": step, "message": f"p{step}"},
            )
            say(method="notifications/message", params={"level": "info", "data": f"l{step}", "logger": "order"})
        return {}

    def do_whoami(self, key, params, arguments):
        """Asks the client for its own name and answers with what it said."""
        got = threading.Event()
        with LOCK:
            self.asked += 1
            number = f"ask-{self.asked}"
        reply = {}
        self.answers[number] = lambda message: (reply.update(message), got.set())
        schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        say(id=number, method="elicitation/create", params={"message": "Who are you?", "requestedSchema": schema})
        got.wait(60)
        return {
            "said": reply.get("result"),
            "error": reply.get("error"),
            "tag": arguments.get("tag"),
            "pid": os.getpid(),
        }

    def do_offspring(self, key, params, arguments):
        """A child, one that left its session, and an orphan of both kinds that ignores SIGTERM."""
        stay = "import os,signal\nsignal.signal(15,signal.SIG_IGN)\nprint(os.getpid(),flush=True)\nos.close(1)\nwhile True: signal.pause()"
        ways = ["", "os.setsid()", "if os.fork(): os._exit(0)", "os.setsid()\nif os.fork(): os._exit(0)\nos.setsid()"]
        pids = []
        for way in ways:
            program = f"import os\n{way}\n{stay}"
            child = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
            )
            pids.append(int(child.stdout.readline()))
        return {"pids": pids}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--era", default="both")
    parser.add_argument("--mode", default="")
    parser.add_argument("--counts")
    parser.add_argument("--stubborn", action="store_true")
    options = parser.parse_args()
    if options.mode == "dies":
        sys.exit("cannot start: no licence key")
    if options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.mode == "stderr":
        threading.Thread(
            target=lambda: [sys.stderr.write("e" * 70_000 + "\n") for _ in range(10**6)], daemon=True
        ).start()
    server = Server(options)
    for line in sys.stdin:
        server.take(json.loads(line))
    while options.stubborn:
        signal.pause()


if __name__ == "__main__":
    main()
