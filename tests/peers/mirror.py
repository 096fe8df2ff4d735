"""A server that answers exactly what it is told to, and shows exactly what it was asked: the measure of a faithful hop.

`python mirror.py modern|legacy NAME` serves stdio; `Mirror` is the same for any other way. Tools: `give` answers with
its argument `result`, `fail` with its argument `error`, `show` with its own parameters, `talk` sends the notifications
of its argument `say` first, `wait` never answers. A method `NAME/anything` shows its parameters, too.
"""

import json
import sys
from collections import Counter
from pathlib import Path

PROGRAM = str(Path(__file__))
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("give", "fail", "show", "talk", "wait")]


class Mirror:
    """`messages` are what one request is answered with, in order; none for one that is not answered."""

    def __init__(self, era, name):
        self.era = era
        self.name = name
        self.waiting = {}
        self.heard = Counter()

    def messages(self, message):
        method, key, params = message["method"], message.get("id"), message.get("params", {})
        if key is None:
            self.heard[method] += 1
            if method == "notifications/cancelled" and params.get("requestId") in self.waiting:
                self.heard[self.waiting.pop(params["requestId"])] += 1
            return []
        try:
            return [*self._notes(method, params), {"jsonrpc": "2.0", "id": key, **self._answer(method, params, key)}]
        except UnansweredError:
            return []

    def _notes(self, method, params):
        if method != "tools/call" or params["name"] != "talk":
            return
        token = params["_meta"].get("progressToken")
        for kind, body in params["arguments"]["say"]:
            of_call = {"progressToken": token} if kind == "notifications/progress" else {}
            yield {"jsonrpc": "2.0", "method": kind, "params": of_call | body}

    def _answer(self, method, params, key):  # noqa: PLR0911 - a table of methods
        modern = VERSION_KEY in params.get("_meta", {})
        abilities = {"tools": {}, "logging": {}, "extensions": {self.name: {}}, "experimental": {self.name: {}}}
        if modern != (self.era == "modern"):
            return {"error": {"code": -32601, "message": "Method not found"}}
        match method:
            case "server/discover":
                return {
                    "result": {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": abilities}
                }
            case "initialize":
                info = {"name": self.name, "version": "1"}
                version = params["protocolVersion"]
                return {"result": {"protocolVersion": version, "capabilities": abilities, "serverInfo": info}}
            case "tools/list":
                return {"result": {"tools": TOOLS}}
            case "logging/setLevel" | "ping":
                return {"result": {}}
            case "tools/call":
                return self._call(params, key)
        if method == f"{self.name}/heard":
            return {"result": {"heard": self.heard}}
        return {"result": self.shown(method, params)}

    def _call(self, params, key):
        match params["name"]:
            case "give":
                return {"result": params["arguments"]["result"]}
            case "fail":
                return {"error": params["arguments"]["error"]}
            case "wait":
                self.waiting[key] = f"cancelled {params['arguments']['word']}"
                self.heard[f"waits {params['arguments']['word']}"] += 1
                raise UnansweredError
        return {"result": self.shown("tools/call", params)}

    def shown(self, method, params):
        done = {"resultType": "complete"} if self.era == "modern" else {}
        return {"method": method, "params": params, "content": [], **done}


class UnansweredError(Exception):
    """The request is kept waiting."""


def main():
    mirror = Mirror(sys.argv[1], sys.argv[2])
    for line in sys.stdin:
        for message in mirror.messages(json.loads(line)):
            print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
