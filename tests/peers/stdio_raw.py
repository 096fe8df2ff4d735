"""A stdio server on the standard library that can misbehave in every way the tests need.

`python stdio_raw.py [--era modern|legacy|both] [--flag ...]`. The first request decides the era, as with mcp 2.3.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time

MODERN = "io.modelcontextprotocol/protocolVersion"
LIST = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("echo", "hang", "ask", "die")]}


def say(message):
    with LOCK:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


LOCK = threading.Lock()


class Server:
    def __init__(self, options):
        self.options = options
        self.era = None
        self.cancelled = []
        self.answers = {}
        self.asking = None
        self.waiting = {}
        self.subscriptions = []

    def take(self, message):
        method, key = message.get("method"), message.get("id")
        if method is None:
            say(
                {
                    "id": self.asking,
                    "result": {"content": [], "answer": {k: message.get(k) for k in ("result", "error")}},
                }
            )
        elif key is None:
            if method == "notifications/cancelled":
                self.cancelled.append(message["params"])
        else:
            self.request(method, key, message.get("params") or {})

    def request(self, method, key, params):
        modern = MODERN in params.get("_meta", {})
        if self.options.silent or (method == "server/discover" and self.options.ignore_discover):
            return
        if method == "server/discover" and self.options.die_on_discover:
            sys.exit(3)
        if self.era is None:
            self.era = "modern" if modern and method != "initialize" else "legacy"
            if self.options.era not in {"both", self.era}:
                wrong, self.era = self.era, None
                if self.options.locks:
                    self.era = wrong
                error = {"code": -32601, "message": "Method not found"}
                if self.options.era == "modern":
                    error = {"code": -32022, "message": "modern only", "data": {"supported": ["2026-07-28"]}}
                say({"id": key, "error": error})
                return
        elif self.options.locks and self.options.era not in {"both", self.era}:
            say({"id": key, "error": {"code": -32600, "message": "locked to the wrong era"}})
            return
        elif modern != (self.era == "modern"):
            say({"id": key, "error": {"code": -32022, "message": "era", "data": {"supported": ["2026-07-28"]}}})
            return
        self.serve(method, key, params)

    def serve(self, method, key, params):
        capabilities = {"tools": {"listChanged": True}, "resources": {"subscribe": True}}
        info = {"name": "raw", "version": "1"}
        if method == "server/discover":
            meta = {"io.modelcontextprotocol/serverInfo": info}
            say(
                {
                    "id": key,
                    "result": {"supportedVersions": ["2026-07-28"], "capabilities": capabilities, "_meta": meta},
                }
            )
        elif method == "initialize":
            if self.options.early:
                say({"method": "notifications/message", "params": {"level": "info", "data": "before"}})
                say({"method": "notifications/tools/list_changed"})
            version = self.options.version or params["protocolVersion"]
            say({"id": key, "result": {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info}})
        elif method == "tools/list":
            say({"id": key, "result": LIST})
        elif method == "subscriptions/listen":
            self.subscriptions.append(params["notifications"])
            meta = {"io.modelcontextprotocol/subscriptionId": key}
            say({"method": "notifications/subscriptions/acknowledged", "params": {**params, "_meta": meta}})
            for uri in params["notifications"].get("resourceSubscriptions", ()):
                say({"method": "notifications/resources/updated", "params": {"_meta": meta, "uri": uri}})
            say({"method": "notifications/tools/list_changed", "params": {"_meta": meta}})
        elif method == "tools/call":
            self.call(params["name"], params.get("arguments", {}), key, params)
        else:
            say({"id": key, "error": {"code": -32601, "message": "Method not found"}})

    def call(self, name, arguments, key, params):
        result = {"content": []}
        if name == "hang":
            return
        if name == "die":
            os._exit(arguments["code"])
        if name == "ask":
            self.asking = key
            say({"id": "q1", "method": arguments["method"], "params": {"of": key}})
            return
        if name == "progress":
            token = params["_meta"]["progressToken"]
            for step in range(arguments["steps"]):
                say({"method": "notifications/progress", "params": {"progressToken": token, "progress": step}})
        elif name == "log":
            say({"method": "notifications/message", "params": {"level": "info", "data": "mine"}})
        elif name == "cancelled":
            result["cancelled"] = self.cancelled
        elif name == "big":
            result["content"] = [{"type": "text", "text": "x" * arguments["bytes"]}]
        elif name == "big_id_last":
            text = json.dumps({"result": {"text": "x" * arguments["bytes"]}, "jsonrpc": "2.0", "id": key})
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
            return
        elif name == "endless":
            while True:
                sys.stdout.write('{"result":"' + "x" * 65536)
        elif name == "noise":
            sys.stdout.write("Listening on stdio\n{not json\n\n[]\n")
        elif name == "stderr":
            sys.stderr.write(("e" * 99 + "\n") * arguments["lines"])
            sys.stderr.flush()
        elif name == "offspring":
            result["pids"] = offspring()
        elif name == "environment":
            result["environment"] = dict(os.environ)
        elif name == "batch":
            sys.stdout.write(json.dumps([{"jsonrpc": "2.0", "id": key, "result": {"batch": True}}]) + "\n")
            sys.stdout.flush()
            return
        elif name == "last_words":
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": key, "result": {"last": True}}))
            sys.stdout.flush()
            os._exit(0)
        elif name == "subscriptions":
            result["subscriptions"] = self.subscriptions
        elif name == "params":
            result["params"] = params
        elif name == "stop_reading":
            say({"id": key, "result": result})
            signal.pause()
        say({"id": key, "result": result})


def offspring():
    """A child, and a grandchild that left the session with setsid; both would live for ever. Returns their ids."""
    program = "import os,signal;print(os.getpid(),flush=True);signal.signal(15,signal.SIG_IGN);signal.pause()"
    pids = []
    for leaves in (False, True):
        # The double fork makes the second one an orphan that only its environment still ties to us.
        command = [sys.executable, "-I", "-S", "-c", program]
        if leaves:
            command = [
                sys.executable,
                "-I",
                "-S",
                "-c",
                f"import os\nif os.fork(): os._exit(0)\nos.setsid()\n{program}",
            ]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        pids.append(int(child.stdout.readline()))
    return pids


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--era", default="both")
    parser.add_argument("--version")
    for flag in ("silent", "ignore-discover", "die-on-discover", "locks", "early", "stubborn"):
        parser.add_argument(f"--{flag}", action="store_true")
    parser.add_argument("--exit", type=int)
    options = parser.parse_args()
    if options.exit is not None:
        print("cannot start: no key", file=sys.stderr)
        sys.exit(options.exit)
    if options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server = Server(options)
    for line in sys.stdin:
        server.take(json.loads(line))
    while options.stubborn:
        time.sleep(3600)


if __name__ == "__main__":
    main()
